//! One real gateway process, and what can be asked of it.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};

use crate::home::Home;
use crate::lab;
use crate::wait::{seconds, until};

/// A gateway that is up; it ends with this value.
pub(crate) struct Gateway<'h> {
    home: &'h Home,
    child: Child,
}

impl<'h> Gateway<'h> {
    /// Starts the gateway of `home` and waits until it answers.
    #[track_caller]
    pub(crate) fn start(home: &'h Home) -> Self {
        let port = home.port.to_string();
        let child = openclaw(home, "gateway.log")
            .args(["gateway", "run", "--port", &port])
            .env("OPENCLAW_SKIP_CHANNELS", "1")
            .env("OPENCLAW_DISABLE_BONJOUR", "1")
            .spawn()
            .unwrap();
        let gateway = Self { home, child };
        let from = Instant::now();
        gateway.rpc(&["--ready", "180"]).expect("the gateway becomes ready");
        eprintln!("  gateway {} ready after {:?}", home.lab.version, from.elapsed());
        gateway
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL; returns once it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as a service manager sends it; returns how the gateway ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        pidfd_send_signal(&process, Signal::TERM).unwrap();
        until("the gateway ends by itself", seconds(90), || self.child.try_wait().unwrap())
    }

    /// The payload of one call.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        self.rpc(&[method, &params.to_string()]).unwrap_or_else(|said| panic!("{method}: {said}"))
    }

    /// The session row of `key`, as the gateway lists it.
    #[track_caller]
    pub(crate) fn row(&self, key: &str) -> Value {
        let list = self.call("sessions.list", &json!({ "limit": 200 }));
        let rows = list["sessions"].as_array().expect("sessions.list has sessions");
        rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no row {key}")).clone()
    }

    /// Sends `message` the way `method` does (`chat.send` or `agent`); returns the run id.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, key: &str, message: &str) -> String {
        let id = format!("{key}-{}", uuid_like());
        let params = json!({ "sessionKey": key, "message": message, "idempotencyKey": id });
        self.call(method, &params)["runId"].as_str().expect("a run id").to_owned()
    }

    /// Waits for the end of a run; returns its status.
    #[track_caller]
    pub(crate) fn wait_for(&self, run: &str, limit: Duration) -> String {
        let limit = u64::try_from(limit.as_millis()).unwrap();
        let end = self.call("agent.wait", &json!({ "runId": run, "timeoutMs": limit }));
        end["status"].as_str().unwrap_or_default().to_owned()
    }

    /// One message that is answered.
    #[track_caller]
    pub(crate) fn turn(&self, key: &str) {
        // The mark, because a message that hung before may still be without an answer.
        let run = self.send("chat.send", key, "[[say:ok]] hello");
        assert_eq!(self.wait_for(&run, seconds(90)), "ok", "a message on {key} is answered");
    }

    /// Gives every lane of `keys` one answered message, and then one that hangs in the provider.
    ///
    /// The lanes are driven in turn as a chat client and as the command line do it.
    #[track_caller]
    pub(crate) fn hang(&self, keys: &[&str]) {
        keys.iter().for_each(|key| self.turn(key));
        self.home.provider.set_mode("hang");
        for (key, method) in keys.iter().zip(["chat.send", "agent"].iter().cycle()) {
            self.send(method, key, "never answered");
        }
        self.home.provider.wait_for_open(keys.len() as u64);
        until("the lanes run", seconds(90), || {
            keys.iter().all(|key| self.row(key)["status"] == "running").then_some(())
        });
    }

    fn rpc(&self, args: &[&str]) -> Result<Value, String> {
        let mut command = self.home.lab.node();
        command.arg(lab::script("rpc.mjs")).arg(self.home.port.to_string());
        command.arg(self.home.token_file()).args(args);
        let said = command.output().unwrap();
        if said.status.success() {
            return Ok(serde_json::from_slice(&said.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        // Both are no-ops after `kill` and `terminate`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The gateway's program in the environment of `home`; its output is appended to `lab/<log>`.
pub(crate) fn openclaw(home: &Home, log: &str) -> Command {
    let mut command = home.lab.node();
    let log = File::options().create(true).append(true).open(home.path().join("lab").join(log));
    let log = log.unwrap();
    home.dress(command.arg(home.lab.openclaw()))
        .env("OPENCLAW_NO_RESPAWN", "1")
        .env("OPENCLAW_HIDE_BANNER", "1")
        .env("DO_NOT_TRACK", "1")
        .stdin(std::process::Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log);
    command
}

/// A name that is not used twice on this machine.
pub(crate) fn uuid_like() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}
