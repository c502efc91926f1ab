use std::fs;

use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::model::{Field, LaneStatus};

const LATE: UnixMillis = UnixMillis(i64::MAX);
const STATE: &str = "state/openclaw.sqlite";
const AGENT: &str = "agents/main/agent/openclaw-agent.sqlite";
const KEY: &str = "agent:main:acp:1";

/// The columns of 2026.9.6 that are read.
const ACP: &str = "CREATE TABLE acp_sessions (session_key TEXT NOT NULL PRIMARY KEY,
    session_id TEXT, backend TEXT NOT NULL, agent TEXT NOT NULL, runtime_session_name TEXT NOT NULL,
    identity_json TEXT, mode TEXT NOT NULL, runtime_options_json TEXT, cwd TEXT,
    state TEXT NOT NULL, last_activity_at INTEGER NOT NULL, last_error TEXT,
    updated_at INTEGER NOT NULL) STRICT;
    CREATE TABLE agent_databases (agent_id TEXT, path TEXT, schema_version INTEGER) STRICT;";
const NODES: &str = "CREATE TABLE session_nodes (session_key TEXT NOT NULL PRIMARY KEY,
    current_session_id TEXT NOT NULL, entry_json TEXT NOT NULL, updated_at INTEGER NOT NULL,
    status TEXT, parent_session_key TEXT, spawned_by TEXT) STRICT;";

struct Bed {
    dir: TempDir,
    reader: AcpReader,
}

impl Bed {
    fn new() -> Bed {
        Bed { dir: tempdir().unwrap(), reader: AcpReader::default() }
    }

    fn run(&self, name: &str, sql: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    /// A row of metadata of `key`, bound to `bound`, with `id`.
    fn metadata(&self, key: &str, bound: &str, id: &str, at: i64) {
        self.run(
            STATE,
            &format!(
                r#"INSERT INTO acp_sessions VALUES ('{key}', {bound}, 'acpx', 'claude', 'n',
                '{{"acpxSessionId":"{id}"}}', 'oneshot', NULL, '/w', 'idle', 1, NULL, {at})"#
            ),
        );
    }

    fn node(&self, key: &str, entry: &str) {
        let sql = format!(
            "INSERT INTO session_nodes VALUES
                ('{key}', 's1', '{entry}', 7, 'running', 'agent:main:p', 'agent:main:main')"
        );
        self.run(AGENT, &sql);
    }

    fn read(&mut self, era: &Era, files: Vec<Arc<AcpSession>>) -> (Vec<Arc<AcpSession>>, Vec<Gap>) {
        self.reader.read(self.dir.path(), era, files, LATE)
    }

    /// Each session with its backing ids, `!` if the gateway does not read them; then the gaps.
    fn look(&mut self, era: &Era, files: Vec<Arc<AcpSession>>) -> String {
        let (sessions, gaps) = self.read(era, files);
        let said = sessions.iter().map(|session| {
            let ids = session.metadata.as_ref().map_or("-".to_owned(), |of| {
                let ids: Vec<_> = of.backing_ids.iter().map(|id| id.0.as_str()).collect();
                format!("{}{}", ids.join("+"), if of.is_current { "" } else { "!" })
            });
            format!("{}={ids}", session.key)
        });
        let gaps = gaps.into_iter().map(|gap| format!("gap: {}", gap.reason));
        said.chain(gaps).collect::<Vec<_>>().join(" ")
    }
}

fn sqlite_bed() -> Bed {
    let bed = Bed::new();
    bed.run(STATE, ACP);
    bed.run(AGENT, NODES);
    bed
}

fn file(key: &str, session_id: &str) -> Arc<AcpSession> {
    Arc::new(AcpSession {
        key: key.into(),
        agent: "main".into(),
        store: "/s/sessions.json".into(),
        session_id: Some(session_id.into()),
        status: LaneStatus::Ended,
        started_at: Field::Absent,
        ended_at: Field::Absent,
        updated_at: Field::Absent,
        spawned_by: None,
        parent: None,
        metadata: None,
    })
}

#[test]
fn a_session_of_the_sqlite_era_is_read_whole() {
    let mut bed = sqlite_bed();
    bed.node(KEY, r#"{"startedAt":5,"lifecycleRevision":"r1","spawnedBy":"x"}"#);
    bed.node("agent:main:telegram:acp:1", "{}");
    bed.metadata("@acp:v1:WyJtYWluIiwiYWdlbnQ6bWFpbjphY3A6MSJd", "'r1'", "B", 1);
    let (sessions, gaps) = bed.read(&Era::Sqlite, vec![]);
    assert_eq!((sessions.len(), gaps), (1, vec![]));
    let found = &sessions[0];
    assert_eq!((found.key.0.as_str(), found.agent.0.as_str()), (KEY, "main"));
    assert_eq!(found.requester(), Some(&"agent:main:main".into()));
    assert_eq!(found.parent, Some("agent:main:p".into()));
    assert_eq!(found.status, LaneStatus::Running);
    assert_eq!(found.started_at, Field::Value(UnixMillis(5)));
    assert_eq!(found.updated_at, Field::Value(UnixMillis(7)));
    assert_eq!(found.store, bed.dir.path().join(AGENT));
    assert!(found.metadata.as_ref().is_some_and(|of| of.is_current && of.family == "claude"));
}

#[test]
fn a_reset_leaves_metadata_behind_that_the_gateway_no_longer_reads() {
    for (bound, updated_at, want) in [
        ("NULL", 1, "B"),
        ("'r1'", 1, "B"),
        ("'r0'", 1, "B!"),
        // As an earlier version bound it: to the session, and only as long as that is the same.
        ("'s1'", 100, "B"),
        ("'s1'", 99, "B!"),
        ("'s0'", 100, "B!"),
    ] {
        let mut bed = sqlite_bed();
        bed.node(KEY, r#"{"lifecycleRevision":"r1","sessionStartedAt":100}"#);
        bed.metadata(KEY, bound, "B", updated_at);
        assert_eq!(bed.look(&Era::Sqlite, vec![]), format!("{KEY}={want}"), "{bound}");
    }
}

#[test]
fn of_two_spellings_the_one_that_is_read_counts_and_the_agent_must_fit() {
    let mut bed = sqlite_bed();
    bed.node(KEY, r#"{"lifecycleRevision":"r1"}"#);
    bed.metadata(KEY, "'r0'", "OLD", 9);
    bed.metadata(&format!("@agent:main:{KEY}"), "'r1'", "NEW", 1);
    bed.metadata(&format!("@agent:other:{KEY}"), "'r1'", "OTHER", 1);
    assert_eq!(bed.look(&Era::Sqlite, vec![]), format!("{KEY}=NEW {KEY}=OTHER!"));
}

#[test]
fn in_the_hybrid_era_the_row_counts_and_a_block_in_the_file_is_dead_data() {
    let mut bed = Bed::new();
    bed.run(STATE, ACP);
    bed.metadata(KEY, "'s1'", "B", 1);
    bed.metadata("agent:main:acp:2", "'s0'", "C", 1);
    bed.metadata("agent:main:acp:3", "NULL", "D", 1);
    let mut block = AcpSession::clone(&file("agent:main:acp:4", "s1"));
    block.metadata = Some(bed.read(&Era::Hybrid, vec![]).0[0].metadata.clone().unwrap());
    let files = vec![file(KEY, "s1"), file("agent:main:acp:2", "s1"), Arc::new(block)];
    let want = "agent:main:acp:1=B agent:main:acp:2=C! agent:main:acp:4=B! agent:main:acp:3=D!";
    assert_eq!(bed.look(&Era::Hybrid, files), want);
}

#[test]
fn up_to_2026_5_28_the_files_have_everything_and_no_database_is_opened() {
    let mut bed = sqlite_bed();
    bed.metadata(KEY, "NULL", "B", 1);
    assert_eq!(bed.look(&Era::Files, vec![file("agent:main:acp:9", "s")]), "agent:main:acp:9=-");
}

#[test]
fn tables_and_columns_that_are_missing_say_nothing() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(&Era::Sqlite, vec![]), "");
    bed.run(STATE, "CREATE TABLE acp_sessions (session_key TEXT, agent TEXT)");
    bed.run(STATE, &format!("INSERT INTO acp_sessions VALUES ('{KEY}', 'claude')"));
    bed.run(AGENT, "CREATE TABLE session_nodes (session_key TEXT, spawned_by TEXT)");
    bed.run(AGENT, &format!("INSERT INTO session_nodes VALUES ('{KEY}', 'p')"));
    assert_eq!(bed.look(&Era::Sqlite, vec![]), format!("{KEY}="));
}

#[test]
fn rows_of_another_shape_are_read_as_far_as_they_go() {
    let mut bed = sqlite_bed();
    for (key, entry) in [
        ("agent:main:acp:torn", "{\"startedAt\":".to_owned()),
        ("agent:main:acp:list", "[]".to_owned()),
        ("agent:main:acp:long", format!("{{\"x\":\"{}\"}}", "x".repeat(10 << 20))),
        ("agent:main:acp:type", "{\"lifecycleRevision\":[1]}".to_owned()),
    ] {
        bed.node(key, &entry);
    }
    bed.run(
        STATE,
        "PRAGMA writable_schema=ON; DROP TABLE acp_sessions;
         CREATE TABLE acp_sessions (session_key, session_id, agent, identity_json, state, cwd);
         INSERT INTO acp_sessions VALUES
            (x'00ff', 7, 'a', 'b', 'c', 'd'), (7, NULL, NULL, NULL, NULL, NULL),
            ('agent:main:acp:list', x'00', 9, '{\"acpxSessionId\":\"B\"}', x'ff', 1.5),
            ('agent:main:acp:nul' || char(0), NULL, NULL, printf('%.*c', 100000, 'x'), NULL, NULL);",
    );
    let want = "agent:main:acp:list=B agent:main:acp:long=- agent:main:acp:torn=- \
                agent:main:acp:type=- agent:main:acp:nul\0=!";
    assert_eq!(bed.look(&Era::Sqlite, vec![]), want);
}

#[test]
fn what_cannot_be_read_is_a_gap_and_never_an_absence() {
    let mut bed = Bed::new();
    bed.run(STATE, ACP);
    bed.run(AGENT, NODES);
    fs::write(bed.dir.path().join(STATE), "no database at all").unwrap();
    fs::write(bed.dir.path().join(AGENT), "neither").unwrap();
    assert_eq!(bed.look(&Era::Sqlite, vec![]).matches("gap: ").count(), 2);
    let why = || Era::Newer { what: "schema 99".to_owned() };
    assert_eq!(bed.look(&why(), vec![]), "gap: not opened: schema 99");
}

#[test]
fn a_database_elsewhere_is_found_by_the_table_unless_it_leads_out() {
    let mut bed = sqlite_bed();
    let outside = tempdir().unwrap();
    let out = outside.path().join("o.sqlite");
    Connection::open(&out).unwrap().execute_batch(NODES).unwrap();
    bed.run("elsewhere/x.sqlite", NODES);
    bed.run(
        "elsewhere/x.sqlite",
        "INSERT INTO session_nodes VALUES ('agent:b:acp:1', 's', '{}', 1, NULL, NULL, NULL)",
    );
    bed.run(
        STATE,
        &format!(
            "INSERT INTO agent_databases VALUES ('b', 'elsewhere/x.sqlite', 23),
                ('c', '{}', 23), ('d', 'missing.sqlite', 23), ('main', '{AGENT}', 23)",
            out.display()
        ),
    );
    let want = "agent:b:acp:1=- gap: not opened: outside the state directory";
    assert_eq!(bed.look(&Era::Sqlite, vec![]), want);
}

#[test]
fn unchanged_databases_are_joined_once() {
    let mut bed = sqlite_bed();
    bed.node(KEY, "{}");
    let (first, _) = bed.read(&Era::Sqlite, vec![]);
    let (again, _) = bed.read(&Era::Sqlite, vec![]);
    assert!(Arc::ptr_eq(&first[0], &again[0]));
    bed.metadata(KEY, "NULL", "B", 1);
    assert_eq!(bed.look(&Era::Sqlite, vec![]), format!("{KEY}=B"));
}
