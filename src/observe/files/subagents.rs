//! The registry of subagent runs, `subagents/runs.json` (up to 2026.5.28).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::gap;
use super::gated::Gated;
use super::open::{open_below, stamp};
use crate::format::Loose;
use crate::model::{FileStamp, Gap, RunId, SessionKey, Source, SubagentRun, UnixMillis};

/// Largest registry that is read. The gateway prunes it; a run has about 1 kB.
const REGISTRY_BYTES_MAX: u64 = 16 << 20;

/// Most runs. A gateway runs a handful of subagents at a time, and forgets them in an hour.
const RUNS_MAX: usize = 20_000;

/// Reads the child session keys of all runs without an `endedAt`.
///
/// A missing registry has no runs. The gateway reads it once, at its start, and never ends a
/// run for good that it lost sight of: an open run is a reason to hold, no proof of life.
///
/// # Errors
///
/// Returns a gap if the registry is unreadable, larger than 16 MiB, or of an unknown shape, such
/// as an open run without the key of its child.
pub fn open_subagents(state_dir: &Path) -> Result<BTreeSet<SessionKey>, Gap> {
    read(state_dir)
        .map(|read| read.map(|(_, runs)| open(&runs)).unwrap_or_default())
        .map_err(|reason| refused(state_dir, reason))
}

/// Returns the children of the runs without an end.
fn open(runs: &[SubagentRun]) -> BTreeSet<SessionKey> {
    let open = runs.iter().filter(|run| run.ended_at.is_none());
    open.map(|run| run.child.clone()).collect()
}

/// The last look at the registry.
#[derive(Debug, Default)]
pub struct SubagentCache {
    kept: Option<Gated<Arc<Vec<SubagentRun>>>>,
}

impl SubagentCache {
    /// Does what [`open_subagents`] does, without reading a registry again that has not changed.
    ///
    /// # Errors
    ///
    /// As [`open_subagents`].
    pub fn read(&mut self, state_dir: &Path, now: UnixMillis) -> Result<BTreeSet<SessionKey>, Gap> {
        self.runs(state_dir, now).map(|runs| open(&runs))
    }

    /// Returns all runs that name their child.
    ///
    /// # Errors
    ///
    /// As [`open_subagents`].
    pub fn runs(
        &mut self,
        state_dir: &Path,
        now: UnixMillis,
    ) -> Result<Arc<Vec<SubagentRun>>, Gap> {
        // A link is never taken as unchanged: this is the stamp of the name itself.
        if let Some(kept) = &self.kept
            && fs::symlink_metadata(registry(state_dir))
                .is_ok_and(|meta| kept.is_current(stamp(&meta)))
        {
            return Ok(kept.value.clone());
        }
        self.kept = None;
        match read(state_dir).map_err(|reason| refused(state_dir, reason))? {
            None => Ok(Arc::default()),
            Some((stamp, runs)) => {
                let runs = Arc::new(runs);
                self.kept = Some(Gated::new(stamp, now, runs.clone()));
                Ok(runs)
            }
        }
    }
}

fn registry(state_dir: &Path) -> std::path::PathBuf {
    state_dir.join("subagents/runs.json")
}

fn refused(state_dir: &Path, reason: String) -> Gap {
    gap(Source::Subagents, &registry(state_dir), reason)
}

fn read(state_dir: &Path) -> Result<Option<(FileStamp, Vec<SubagentRun>)>, String> {
    let path = registry(state_dir);
    let Some(opened) = open_below(state_dir, &path)? else {
        return Ok(None);
    };
    let mut json = Vec::new();
    let mut bounded = opened.file.take(REGISTRY_BYTES_MAX + 1);
    bounded.read_to_end(&mut json).map_err(|error| error.to_string())?;
    if json.len() as u64 > REGISTRY_BYTES_MAX {
        return Err(format!("larger than {} MiB", REGISTRY_BYTES_MAX >> 20));
    }
    Ok(Some((stamp(&opened.meta), parse(&json, &path)?)))
}

fn parse(json: &[u8], path: &Path) -> Result<Vec<SubagentRun>, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let found = deserializer.deserialize_map(Registry(path)).map_err(why)?;
    deserializer.end().map_err(why)?;
    found.ok_or_else(|| "has no runs".to_owned())
}

/// Returns the reason in words that quote nothing of the file.
fn why(error: serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "not a registry of subagent runs".to_owned(),
        _ => format!("not JSON: {error}"),
    }
}

struct Registry<'a>(&'a Path);

impl<'de> Visitor<'de> for Registry<'_> {
    type Value = Option<Vec<SubagentRun>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a registry of subagent runs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut runs = None;
        while let Some(name) = map.next_key::<Loose<'de>>()? {
            if name.text().as_deref() == Some("runs") {
                runs = Some(map.next_value_seed(Runs(self.0))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(runs)
    }
}

struct Runs<'a>(&'a Path);

impl<'de> DeserializeSeed<'de> for Runs<'_> {
    type Value = Vec<SubagentRun>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Runs<'_> {
    type Value = Vec<SubagentRun>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of subagent runs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut runs = Vec::new();
        while let Some(id) = map.next_key::<Loose<'de>>()? {
            let id = RunId(id.text().unwrap_or_default().into_owned());
            runs.extend(map.next_value_seed(Run { id, registry: self.0 })?);
            if runs.len() > RUNS_MAX {
                return Err(A::Error::custom("too many runs"));
            }
        }
        Ok(runs)
    }
}

/// One run; `None` if it has ended and names no child.
struct Run<'a> {
    id: RunId,
    registry: &'a Path,
}

impl<'de> DeserializeSeed<'de> for Run<'_> {
    type Value = Option<SubagentRun>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Run<'_> {
    type Value = Option<SubagentRun>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a subagent run")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut child, mut requester, mut controller) = (None, None, None);
        let (mut created, mut started, mut ended, mut announced) = (None, None, None, None);
        while let Some(name) = map.next_key::<Loose<'de>>()? {
            let Some(name) = name.text() else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (text, at) = match &*name {
                "childSessionKey" => (Some(&mut child), None),
                "requesterSessionKey" => (Some(&mut requester), None),
                "controllerSessionKey" => (Some(&mut controller), None),
                "createdAt" => (None, Some(&mut created)),
                "startedAt" => (None, Some(&mut started)),
                "endedAt" => (None, Some(&mut ended)),
                "completionAnnouncedAt" => (None, Some(&mut announced)),
                _ => (None, None),
            };
            let value = map.next_value::<Loose<'de>>()?;
            if let Some(at) = at {
                *at = value.millis().value();
            } else if let Some(text) = text {
                *text = value.text().map(|text| SessionKey(text.into_owned()));
            }
        }
        match child {
            Some(child) => Ok(Some(SubagentRun {
                run: self.id,
                registry: self.registry.to_owned(),
                child,
                requester: requester.or(controller),
                started_at: started.or(created),
                ended_at: ended,
                announced_at: announced,
            })),
            None if ended.is_some() => Ok(None),
            // It may be the child of any lane.
            None => Err(A::Error::custom("an open run without the key of its child")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "moves the registry aside")]

    use std::time::{Duration, SystemTime};

    use tempfile::{TempDir, tempdir};

    use super::*;

    #[track_caller]
    fn check(json: &str, want: Result<&[&str], &str>) {
        let got = parse(json.as_bytes(), Path::new("/s/subagents/runs.json"))
            .map(|runs| open(&runs).into_iter().map(|key| key.0).collect::<Vec<_>>());
        let want = want.map(|keys| keys.iter().map(|&key| key.to_owned()).collect());
        assert_eq!(got, want.map_err(str::to_owned), "{json}");
    }

    #[test]
    fn an_open_run_is_one_without_an_end_as_2026_4_15_writes_it() {
        let runs = r#"{"version": 2, "runs": {
            "6a9f4149": {"runId": "6a9f4149", "childSessionKey": "agent:claude:acp:a6238e66",
              "requesterOrigin": {"channel": "webchat"}, "createdAt": 1795160073046,
              "endedAt": 1795160073304, "outcome": {"status": "ok"}},
            "d6b9e59b": {"runId": "d6b9e59b", "childSessionKey": "agent:claude:acp:eede7136",
              "createdAt": 1795160110120, "startedAt": 1795160110296, "cleanup": "keep"}}}"#;
        check(runs, Ok(&["agent:claude:acp:eede7136"]));
    }

    #[test]
    fn an_end_of_another_shape_is_no_end() {
        for end in ["null", "\"soon\"", "{}", "true", "1.5"] {
            let json = format!(r#"{{"runs":{{"r":{{"endedAt":{end},"childSessionKey":"c"}}}}}}"#);
            check(&json, Ok(&["c"]));
        }
    }

    #[test]
    fn an_unknown_shape_is_refused_and_never_no_runs() {
        check(r#"{"version":2,"runs":{}}"#, Ok(&[]));
        check(r#"{"runs":{"r":{"endedAt":5}}}"#, Ok(&[]));
        let odd = "not a registry of subagent runs";
        for json in [
            r#"{"runs":{"r":{"startedAt":5}}}"#,
            r#"{"runs":{"r":{"childSessionKey":7}}}"#,
            r#"{"runs":{"r":null}}"#,
            r#"{"runs":[]}"#,
            "[]",
            "null",
        ] {
            check(json, Err(odd));
        }
        check(r#"{"version":3}"#, Err("has no runs"));
        check("", Err("not JSON: EOF while parsing a value at line 1 column 0"));
        check("{\"runs\":{\"r\":{}", Err("not a registry of subagent runs"));
        let deep = format!(r#"{{"x":{},"runs":{{}}}}"#, "[".repeat(9) + &"]".repeat(9));
        check(&deep, Ok(&[]));
    }

    struct Bed(TempDir);

    impl Bed {
        fn write(json: &str) -> Bed {
            let bed = Bed(tempdir().unwrap());
            fs::create_dir(bed.0.path().join("subagents")).unwrap();
            bed.rewrite(json, 1000);
            bed
        }

        fn rewrite(&self, json: &str, second: u64) {
            fs::write(registry(self.0.path()), json).unwrap();
            let file = fs::File::options().write(true).open(registry(self.0.path())).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }
    }

    #[test]
    fn a_missing_registry_has_no_runs_and_a_huge_one_is_a_gap() {
        let none = tempdir().unwrap();
        assert_eq!(open_subagents(none.path()), Ok(BTreeSet::new()));
        let bed = Bed::write("");
        let file = fs::File::options().write(true).open(registry(bed.0.path())).unwrap();
        file.set_len(REGISTRY_BYTES_MAX + 1).unwrap();
        let gap = open_subagents(bed.0.path()).unwrap_err();
        assert_eq!((gap.source, &*gap.reason), (Source::Subagents, "larger than 16 MiB"));
    }

    #[test]
    fn an_unchanged_registry_is_not_read_again_and_a_changed_one_is() {
        let (one, two) = (
            r#"{"runs":{"r":{"childSessionKey":"one"}}}"#,
            r#"{"runs":{"r":{"childSessionKey":"two"}}}"#,
        );
        let (bed, mut cache) = (Bed::write(one), SubagentCache::default());
        let mut look = |bed: &Bed| {
            let open = cache.read(bed.0.path(), UnixMillis(2_000_000)).unwrap();
            open.into_iter().map(|key| key.0).collect::<String>()
        };
        assert_eq!(look(&bed), "one");
        bed.rewrite(two, 1000);
        assert_eq!(look(&bed), "one", "same inode, size and time: taken as unchanged");
        bed.rewrite(two, 1001);
        assert_eq!(look(&bed), "two");
        fs::rename(registry(bed.0.path()), bed.0.path().join("gone")).unwrap();
        assert_eq!(look(&bed), "");
    }
}
