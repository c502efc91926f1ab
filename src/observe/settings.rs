//! The gateway's configuration, read again when it may have changed.

use std::fs;
use std::time::Duration;

use super::files::{Gated, stamp};
use super::locate::{Env, Install};
use crate::model::UnixMillis;

/// How long a configuration is believed although its file looks unchanged: it may include others,
/// and need variables that they set.
const LASTS: Duration = Duration::from_secs(60);

/// A state directory with its configuration of the last look.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) install: Install,
    read: Option<Gated<UnixMillis>>,
}

impl Settings {
    pub(super) fn new(install: Install) -> Settings {
        Settings { install, read: None }
    }

    /// Reads the configuration again if it may be another one at `now`. A file that is missing or
    /// cannot be looked at may be any.
    pub(super) fn renew(&mut self, env: Env<'_>, now: UnixMillis) {
        let found = fs::metadata(&self.install.config_path).ok().map(|meta| stamp(&meta));
        if let (Some(read), Some(found)) = (&self.read, found)
            && read.is_current(found)
            && now >= read.value
            && now.since(read.value) < LASTS
        {
            return;
        }
        self.install = self.install.read_again(env);
        self.read = found.map(|found| Gated::new(found, now, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::locate::{Request, locate};

    const NOW: UnixMillis = UnixMillis(i64::MAX - 1_000_000);

    struct Home {
        dir: tempfile::TempDir,
        settings: Settings,
    }

    fn env(_: &str) -> Option<String> {
        None
    }

    fn home(config: &str) -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("openclaw.json"), config).unwrap();
        let request = Request { state_dir: Some(dir.path().to_owned()), env: &env };
        let settings = Settings::new(locate(&request).unwrap());
        Home { dir, settings }
    }

    impl Home {
        fn write(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join(name), text).unwrap();
        }

        #[track_caller]
        fn check(&mut self, seconds: u64, port: Option<u16>, gaps: usize) {
            self.settings.renew(&env, NOW.plus(Duration::from_secs(seconds)));
            let install = &self.settings.install;
            assert_eq!((install.config.port, install.gaps.len()), (port, gaps));
        }
    }

    #[test]
    fn a_changed_configuration_is_taken_into_use_and_a_mended_one_is_no_gap() {
        let mut home = home("{gateway: {port: 1");
        home.check(0, None, 1);
        home.write("openclaw.json", "{gateway: {port: 1}}");
        home.check(1, Some(1), 0);
        home.write("openclaw.json", "{gateway: {port: 22}}");
        home.check(2, Some(22), 0);
        fs::write(home.dir.path().join("clawdbot.json"), "{}").unwrap();
        home.write("openclaw.json", "{gateway: {port: 3}}");
        home.check(3, Some(3), 0);
    }

    #[test]
    fn an_included_file_is_read_again_after_a_minute() {
        let mut home = home("{$include: './other.json'}");
        home.write("other.json", "{gateway: {port: 1}}");
        home.check(0, Some(1), 0);
        home.write("other.json", "{gateway: {port: 2}}");
        home.check(59, Some(1), 0);
        home.check(60, Some(2), 0);
        home.write("other.json", "{gateway: {port: 3}}");
        home.check(0, Some(3), 0);
    }

    #[test]
    fn a_configuration_that_appears_is_found() {
        let mut home = home("{}");
        home.check(0, None, 0);
        let path = home.dir.path().join("openclaw.json");
        let away = home.dir.path().join("x");
        #[expect(clippy::disallowed_methods, reason = "moves what the test itself made")]
        let rename = |from, to| fs::rename(from, to).unwrap();
        rename(&path, &away);
        home.check(1, None, 0);
        home.write("openclaw.json", "{gateway: {port: 5}}");
        home.check(2, Some(5), 0);
    }
}
