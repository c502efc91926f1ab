use std::os::unix::fs::symlink;
use std::time::SystemTime;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::model::RecordMode;

const KEY: &str = "agent:claude:acp:a6238e66-5172-4d81-95af-2c5e35a97b19";

fn json(id: &str, pid: i32) -> String {
    format!(
        r#"{{"schema":"acpx.session.v1","acpx_record_id":"{id}","acp_session_id":"s","pid":{pid},
            "agent_command":"node a.mjs","cwd":"/w","name":"{KEY}","closed":false}}"#
    )
}

/// A workspace whose folder of records was last changed at second 1,000.
struct Bed {
    dir: TempDir,
    reader: RecordReader,
    now: UnixMillis,
}

impl Bed {
    fn new() -> Bed {
        let bed = Bed {
            dir: tempdir().unwrap(),
            reader: RecordReader::default(),
            now: UnixMillis(2_000_000),
        };
        fs::create_dir_all(bed.folder().path).unwrap();
        bed.touch("", 1000);
        bed
    }

    fn folder(&self) -> RecordFolder {
        let path = self.dir.path().join("workspace/state/sessions");
        RecordFolder { path, base: self.dir.path().to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().path.join(name)
    }

    /// Writes a record in place.
    fn write(&self, id: &str, pid: i32) {
        self.write_raw(&file_name(id), json(id, pid).as_bytes(), 1000);
    }

    fn write_raw(&self, name: &str, bytes: &[u8], second: u64) {
        fs::write(self.path(name), bytes).unwrap();
        self.touch(name, second);
        self.touch("", 1000);
    }

    fn touch(&self, name: &str, second: u64) {
        let file = fs::File::open(self.path(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second)).unwrap();
    }

    /// Returns `pid` of each record, and the reasons of the gaps.
    fn look(&mut self) -> String {
        let folder = self.folder();
        self.look_in(&[folder])
    }

    fn look_in(&mut self, folders: &[RecordFolder]) -> String {
        let read = self.reader.read(folders, self.now);
        let pids = read.records.iter().map(|record| record.pid.unwrap_or(-1).to_string());
        let gaps = read.gaps.iter().map(|gap| gap.reason.clone());
        pids.chain(gaps).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_record_is_told_with_its_owners_and_its_incarnation() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    let folder = bed.folder();
    let read = bed.reader.read(&[folder], bed.now);
    let (record, meta) = (&read.records[0], fs::metadata(bed.path(&file_name(KEY))).unwrap());
    assert_eq!((&record.path, record.stamp), (&bed.path(&file_name(KEY)), stamp(&meta)));
    assert_eq!((record.uid, record.folder_uid), (meta.uid(), meta.uid()));
    assert_eq!((record.mode, &*record.command), (RecordMode::Persistent, "node a.mjs"));
}

#[test]
fn an_unchanged_record_is_not_read_again_and_a_changed_one_is() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    assert_eq!(bed.look(), "7");
    bed.write(KEY, 8);
    assert_eq!(bed.look(), "7", "same inode, size and time: taken as unchanged");
    bed.touch(&file_name(KEY), 1001);
    assert_eq!(bed.look(), "8", "although the folder looks the same");
    let other = bed.path("other");
    fs::write(&other, json(KEY, 9)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "replaces a record as the gateway does")]
    fs::rename(other, bed.path(&file_name(KEY))).unwrap();
    assert_eq!(bed.look(), "9");
}

#[test]
fn a_record_that_was_young_when_it_was_read_is_read_again() {
    let mut bed = Bed::new();
    bed.now = UnixMillis(1_001_999);
    bed.write(KEY, 7);
    assert_eq!(bed.look(), "7");
    bed.write(KEY, 8);
    assert_eq!(bed.look(), "8");
}

#[test]
fn records_come_and_go() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(), "");
    bed.write("b", 8);
    bed.touch("", 1001);
    assert_eq!(bed.look(), "8");
    bed.write("a", 7);
    bed.touch("", 1002);
    assert_eq!(bed.look(), "7 8");
    #[expect(clippy::disallowed_methods, reason = "takes away what the test made")]
    fs::remove_file(bed.path("a.json")).unwrap();
    assert_eq!(bed.look(), "8");
    let away = bed.dir.path().join("away");
    #[expect(clippy::disallowed_methods, reason = "moves what the test made")]
    fs::rename(bed.dir.path().join("workspace"), &away).unwrap();
    assert_eq!(bed.look(), "");
    assert_eq!(bed.look_in(&[]), "");
    assert!(bed.reader.folders.is_empty());
}

#[test]
fn a_listing_is_believed_for_five_minutes_and_never_into_the_past() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(), "");
    bed.write(KEY, 7);
    let first = bed.now;
    bed.now = UnixMillis(first.0 + 299_999);
    assert_eq!(bed.look(), "", "the folder looks the same");
    bed.now = UnixMillis(first.0 - 1);
    assert_eq!(bed.look(), "7");
}

#[test]
fn another_owner_is_seen() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    assert_eq!(bed.look(), "7");
    // As if the folder had had another owner at the last look.
    let folder = bed.reader.folders.values_mut().next().unwrap();
    folder.uid += 1;
    let known = folder.names.value[0].known.as_mut().unwrap();
    Arc::make_mut(known.said.as_mut().unwrap().as_mut().unwrap()).folder_uid += 1;
    let at = bed.folder();
    let read = bed.reader.read(&[at], bed.now);
    let uid = fs::metadata(bed.path("")).unwrap().uid();
    assert_eq!(read.records[0].folder_uid, uid);
}

#[test]
fn a_broken_record_hides_no_other_and_stays_a_gap_until_it_changes() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    bed.write_raw("torn.json", b"{\"schema\":", 1000);
    bed.write_raw("binary.json", b"\xff\xfe", 1000);
    let want = "7 not UTF-8 not JSON: EOF while parsing a value at line 1 column 10";
    assert_eq!((bed.look(), bed.look()), (want.to_owned(), want.to_owned()));
    bed.write_raw("torn.json", b"{}", 1001);
    assert_eq!(bed.look(), "7 not UTF-8");
}

#[test]
fn what_is_no_record_is_ignored() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    let name = file_name(KEY);
    bed.write_raw(&format!("{name}.123.456.tmp"), b"{", 1000);
    bed.write_raw("other.json", b"{\"schema\":\"acpx.session.v2\"}", 1000);
    bed.write_raw("copy.json", json(KEY, 9).as_bytes(), 1000);
    bed.write_raw("readme", b"x", 1000);
    assert_eq!(bed.look(), "7");
}

#[test]
fn nothing_odd_is_opened_or_followed() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    mkfifo(&bed.path("fifo.json"), Mode::S_IRWXU).unwrap();
    symlink(bed.path(&file_name(KEY)), bed.path("link.json")).unwrap();
    symlink("loop.json", bed.path("loop.json")).unwrap();
    fs::create_dir(bed.path("folder.json")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(bed.path("x.json")).unwrap();
    assert_eq!(bed.look(), "7 a FIFO a directory a symbolic link a symbolic link a socket");
}

#[test]
fn a_hostile_name_is_a_path_and_nothing_else() {
    let mut bed = Bed::new();
    bed.write_raw("\u{1b}[31m\n.json", b"[", 1000);
    let folder = bed.folder();
    let gaps = bed.reader.read(&[folder], bed.now).gaps;
    assert_eq!(gaps[0].path, bed.path("\u{1b}[31m\n.json"));
}

#[test]
fn a_record_is_read_up_to_its_bound() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    let file = fs::File::options().write(true).open(bed.path(&file_name(KEY))).unwrap();
    file.set_len(RECORD_BYTES_MAX + 1).unwrap();
    assert_eq!(bed.look(), "larger than 16 MiB");
    let messages = format!(r#","messages":["{}"]}}"#, "x".repeat(15 << 20));
    let large = json(KEY, 7).replace('}', &messages);
    bed.write_raw(&file_name(KEY), large.as_bytes(), 1001);
    assert_eq!(bed.look(), "7");
}

#[test]
fn a_flood_of_records_is_cut_and_told() {
    let mut bed = Bed::new();
    let second = bed.dir.path().join("workspace-a/state/sessions");
    fs::create_dir_all(&second).unwrap();
    for n in 0..7 {
        bed.write(&format!("r{n}"), 10 + n);
    }
    let folders = [bed.folder(), RecordFolder { path: second.clone(), ..bed.folder() }];
    let mut look = |max, records, gaps: &[&Path]| {
        let read = bed.reader.read_at_most(max, &folders, bed.now);
        let at: Vec<_> = read.gaps.iter().map(|gap| gap.path.as_path()).collect();
        assert_eq!((read.records.len(), at), (records, gaps.to_vec()));
    };
    let first = &folders[0].path;
    look(6, 6, &[first]);
    look(6, 6, &[first]);
    look(7, 7, &[]);
    fs::write(second.join(file_name("x")), json("x", 8)).unwrap();
    look(7, 7, &[&second]);
    look(8, 8, &[]);
    look(6, 6, &[first, &second]);
    look(0, 0, &[first, &second]);
}

#[test]
fn only_the_first_broken_records_are_told_one_by_one() {
    let mut bed = Bed::new();
    for n in 0..GAPS_MAX + 7 {
        bed.write_raw(&format!("{n}.json"), b"", 1000);
    }
    let folder = bed.folder();
    let gaps = bed.reader.read(std::slice::from_ref(&folder), bed.now).gaps;
    assert_eq!(gaps.len(), GAPS_MAX + 1);
    let last = gaps.last().unwrap();
    assert_eq!((&last.path, &*last.reason), (&folder.path, "7 more records could not be read"));
}

#[test]
fn a_folder_that_leads_out_is_not_read() {
    let (mut bed, outside) = (Bed::new(), tempdir().unwrap());
    bed.write(KEY, 7);
    let sessions = outside.path().join("state/sessions");
    fs::create_dir_all(&sessions).unwrap();
    fs::write(sessions.join(file_name("x")), json("x", 8)).unwrap();
    let workspace = bed.dir.path().join("workspace-x");
    symlink(outside.path(), &workspace).unwrap();
    let folder = |base: &Path| RecordFolder {
        path: workspace.join("state/sessions"),
        base: base.to_owned(),
    };
    let why = "a link out of the state directory, or of the configured folder";
    assert_eq!(bed.look_in(&[folder(bed.dir.path())]), why);
    assert_eq!(bed.look_in(&[folder(&workspace)]), "8", "it is what the configuration names");
}

#[test]
fn one_folder_under_two_names_is_read_once() {
    let mut bed = Bed::new();
    bed.write(KEY, 7);
    let link = bed.dir.path().join("link");
    symlink(bed.dir.path(), &link).unwrap();
    let again = RecordFolder { path: link.join("workspace/state/sessions"), base: link };
    let folders = [bed.folder(), again];
    assert_eq!(bed.look_in(&folders), "7");
}

#[test]
fn a_folder_that_is_missing_or_none_has_no_records_and_an_unreadable_one_is_a_gap() {
    let mut bed = Bed::new();
    let at = |path: PathBuf| RecordFolder { base: bed.dir.path().to_owned(), path };
    let (none, loops) = (at(bed.path("none/sessions")), at(bed.path("loop/x")));
    let file = at(bed.path("file"));
    fs::write(&file.path, "").unwrap();
    symlink("loop", bed.path("loop")).unwrap();
    assert_eq!(bed.look_in(&[none, file]), "");
    assert!(bed.look_in(&[loops]).contains("symbolic link"));
}
