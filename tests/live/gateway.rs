//! One real gateway process, and what can be asked of it.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::Home;
use crate::lab;
use crate::process::Process;
use crate::wait::{seconds, until};

/// One process instead of two, and no word to anybody.
const ALONE: [(&str, &str); 3] =
    [("OPENCLAW_NO_RESPAWN", "1"), ("OPENCLAW_HIDE_BANNER", "1"), ("DO_NOT_TRACK", "1")];

/// No channels, no neighbours.
const QUIET: [(&str, &str); 2] =
    [("OPENCLAW_SKIP_CHANNELS", "1"), ("OPENCLAW_DISABLE_BONJOUR", "1")];

/// A gateway that is up; it ends with this value.
pub(crate) struct Gateway<'h> {
    home: &'h Home,
    /// `None`: somebody else started it.
    child: Option<Child>,
    process: Process,
}

impl<'h> Gateway<'h> {
    /// Starts the gateway of `home` and waits until it answers.
    #[track_caller]
    pub(crate) fn start(home: &'h Home) -> Self {
        let port = home.port.to_string();
        let child = openclaw(home, "gateway.log")
            .args(["gateway", "run", "--port", &port])
            .envs(QUIET)
            .spawn()
            .unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).expect("the gateway lives");
        let gateway = Self { home, child: Some(child), process };
        gateway.wait_until_ready();
        gateway
    }

    /// Waits until the gateway of `home`, which somebody else has started, answers.
    #[track_caller]
    pub(crate) fn adopt(home: &'h Home, process: Process) -> Self {
        let gateway = Self { home, child: None, process };
        gateway.wait_until_ready();
        gateway
    }

    /// What starts the gateway of `home` from a shell of its user, in the shell's place.
    pub(crate) fn command_line(home: &Home) -> String {
        let quiet = QUIET.iter().chain(&ALONE).map(|(name, value)| format!("{name}={value}"));
        let quiet = quiet.collect::<Vec<_>>().join(" ");
        let [node, program, log] = [home.lab.node_path(), home.lab.openclaw(), home.log()];
        let [node, program, log] = [node.display(), program.display(), log.display()];
        format!("exec env {quiet} {node} {program} gateway run --port {} >>{log} 2>&1", home.port)
    }

    #[track_caller]
    fn wait_until_ready(&self) {
        let Self { home, .. } = self;
        let from = Instant::now();
        self.rpc(&["--ready", "300"]).expect("the gateway becomes ready");
        if home.lab.spawns_agents() {
            until("the gateway has tried an agent", seconds(180), || {
                let log = fs::read_to_string(home.log()).ok()?;
                let this_start = log.rsplit("starting channels and sidecars").next()?;
                this_start.contains("acpx runtime backend ready").then_some(())
            });
        }
        eprintln!("  gateway {} ready after {:?}", home.lab.version, from.elapsed());
    }

    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.process.pid).unwrap()
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// SIGKILL; returns once it is gone.
    pub(crate) fn kill(mut self) {
        let child = self.child.as_mut().expect("a gateway of our own");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, as a service manager sends it; returns how the gateway ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        let child = self.child.as_mut().expect("a gateway of our own");
        until("the gateway ends by itself", seconds(90), || child.try_wait().unwrap())
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
        assert_eq!(self.wait_for(&run, seconds(180)), "ok", "a message on {key} is answered");
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

    /// What `tool` returns to an agent that uses it.
    #[track_caller]
    pub(crate) fn tool(&self, tool: &str, args: &Value) -> Value {
        self.rpc(&["--tool", tool, &args.to_string()]).unwrap_or_else(|said| panic!("{said}"))
    }

    /// The client of these tests; what it is to ask comes behind.
    pub(crate) fn client(&self) -> Command {
        let mut command = self.home.lab.node();
        command.arg(lab::script("rpc.mjs")).arg(self.home.port.to_string());
        command.arg(self.home.token_file());
        command
    }

    fn rpc(&self, args: &[&str]) -> Result<Value, String> {
        let said = self.client().args(args).output().unwrap();
        if said.status.success() {
            return Ok(serde_json::from_slice(&said.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both are no-ops after `kill` and `terminate`.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The gateway's program in the environment of `home`; its output is appended to `lab/<log>`.
pub(crate) fn openclaw(home: &Home, log: &str) -> Command {
    // A session of its own, as a service has it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "setsid"]).arg(home.lab.node_path());
    let log = File::options().create(true).append(true).open(home.path().join("lab").join(log));
    let log = log.unwrap();
    home.dress(command.arg(home.lab.openclaw()))
        .envs(ALONE)
        .stdin(std::process::Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log);
    command
}

/// A name that is not used twice on this machine.
pub(crate) fn uuid_like() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}
