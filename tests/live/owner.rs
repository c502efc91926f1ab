//! Processes that own agents without being a gateway, and can be killed without restarting one.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::home::Home;
use crate::lab;
use crate::process::{self, Process, of_role, roles};
use crate::wait::{seconds, until};

/// A running owner; it ends with this value, and its agents with the home.
pub(crate) struct Owner {
    pub(crate) name: &'static str,
    /// The process that was started for it, unless it has gone its own way.
    child: Option<Child>,
    process: Process,
    said: PathBuf,
}

impl Owner {
    /// Starts what stands for a gateway of `home`: the real acpx runtime of its version, told by
    /// `spec` what to do (see `lab/owner.mjs`).
    pub(crate) fn start(home: &Home, name: &'static str, spec: &Value) -> Self {
        Self::by(home, name, &["setsid"], spec)
    }

    /// The same below a process that takes in orphans, as the init of a container does.
    pub(crate) fn start_in_container(home: &Home, name: &'static str, spec: &Value) -> Self {
        // It ends when its own child does, which must therefore be another than the owner.
        let beside = "setsid \"$@\" & exec sleep infinity";
        Self::by(home, name, &["tini", "-s", "--", "sh", "-c", beside, "sh"], spec)
    }

    /// Starts an editor with an agent of its own in the workspace of `home`. It talks to it by
    /// `link`: `pipes` or `sockets`. Its environment is that of the gateway's user and `changes`.
    pub(crate) fn editor(
        home: &Home,
        name: &'static str,
        link: &str,
        changes: &[(&str, &str)],
    ) -> Self {
        fs::create_dir_all(home.workspace()).unwrap();
        let mut command = Command::new("setpriv");
        home.dress(command.args(["--pdeathsig", "KILL", "setsid", "python3"]));
        command.arg(lab::script("editor.py")).arg(link);
        command.arg(home.lab.node_path()).arg(home.lab.old_adapter());
        command.current_dir(home.workspace()).envs(changes.iter().copied());
        Self::spawn(home, name, command)
    }

    /// Starts an acpx session, whose owner detaches itself, as 2026.3.24 has it, or a person.
    #[track_caller]
    pub(crate) fn acpx(home: &Home, name: &'static str) -> Self {
        fs::create_dir_all(home.workspace()).unwrap();
        let before = home.processes();
        let agent = persistent(home)["command"].as_str().unwrap().to_owned();
        let said = home.note(name).with_extension("said");
        for args in [["sessions", "new"], ["prompt", "hello"]] {
            let mut command = home.lab.node();
            home.dress(command.arg(home.lab.acpx())).current_dir(home.workspace());
            command.env("OPENCLAW_CLI", "1").env("OPENCLAW_SHELL", "acp").stdin(Stdio::null());
            command.args(["--approve-all", "--ttl", "900", "--agent", &agent, "--cwd"]);
            let ran = command.arg(home.workspace()).args(args).output().unwrap();
            assert!(ran.status.success(), "acpx {args:?}: {ran:?}");
        }
        fs::write(&said, "idle\n").unwrap();
        let new = process::without(home.processes(), &before);
        let process = of_role(&new, "queue owner")[0];
        Self { name, child: None, process, said }
    }

    fn by(home: &Home, name: &'static str, launcher: &[&str], spec: &Value) -> Self {
        let mut command = Command::new("setpriv");
        home.dress(command.args(["--pdeathsig", "KILL"]).args(launcher));
        command.arg(home.lab.node_path()).arg(lab::script("owner.mjs"));
        command.arg(home.lab.package()).arg(home.state()).arg(spec.to_string());
        // As in the environment of a real gateway.
        command.env("OPENCLAW_GATEWAY_PORT", home.port.to_string());
        Self::spawn(home, name, command)
    }

    fn spawn(home: &Home, name: &'static str, mut command: Command) -> Self {
        let said = home.note(name).with_extension("said");
        let log = File::create(home.note(name).with_extension("log")).unwrap();
        command.stdin(Stdio::null()).stdout(File::create(&said).unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).expect("the owner lives");
        Self { name, child: Some(child), process, said }
    }

    /// Waits until it says `step`; returns what stands behind it.
    #[track_caller]
    pub(crate) fn wait_for(&self, step: &str) -> String {
        until(&format!("{} says {step}", self.name), seconds(180), || {
            let said = fs::read_to_string(&self.said).unwrap();
            let whole = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let found = whole.lines().find_map(|line| line.strip_prefix(step));
            let has_ended = found.is_none() && !self.process.is_alive();
            assert!(!has_ended, "{} has ended: {}", self.name, self.log());
            found.map(|rest| rest.trim().to_owned())
        })
    }

    /// Waits until there is a process of each of `wanted` below it; returns all of these.
    #[track_caller]
    pub(crate) fn wait_for_roles(&self, wanted: &[&str]) -> Vec<Process> {
        let mut last = Vec::new();
        until(&format!("{} has {wanted:?}", self.name), seconds(180), || {
            last = self.agents();
            wanted.iter().all(|role| !of_role(&last, role).is_empty()).then_some(())
        });
        eprintln!("  {}: {:?}", self.name, roles(&last));
        last
    }

    /// Itself.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// Everything below it.
    pub(crate) fn agents(&self) -> Vec<Process> {
        self.process.with_descendants().split_off(1)
    }

    /// SIGKILL to the owner alone; returns once it is gone.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        // What takes in its orphans must live on.
        match self.pid_it_says() {
            Some(owner) => owner.kill(),
            None => self.process.kill(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.said.with_extension("log")).unwrap_or_default()
    }

    fn pid_it_says(&self) -> Option<Process> {
        let said = fs::read_to_string(&self.said).unwrap();
        let pid = said.lines().find_map(|line| line.strip_prefix("owner "))?;
        Process::of(pid.parse().unwrap())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A session that stays, of an adapter that does not end when its owner dies.
pub(crate) fn persistent(home: &Home) -> Value {
    let [node, adapter] = [home.lab.node_path(), home.lab.old_adapter()];
    let command = format!("{} {}", node.display(), adapter.display());
    json!({ "mode": "persistent", "command": command })
}

/// [`persistent`], which is asked `message`.
pub(crate) fn asked(home: &Home, message: &str) -> Value {
    let mut spec = persistent(home);
    spec["ask"] = json!(message);
    spec
}
