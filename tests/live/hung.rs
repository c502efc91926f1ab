//! Runs that never end: begun in each of the ways in which a gateway begins one.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::gateway::{Gateway, uuid_like};
use crate::home::Home;
use crate::wait::{seconds, until};

/// How a run is begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// As a chat does it.
    Chat,
    /// As the command line does it.
    Agent,
    /// As a schedule does it, in a session of its own.
    Cron,
}

impl By {
    /// The fault, for people.
    pub(crate) fn fault(self) -> &'static str {
        match self {
            By::Chat => "hung run of a chat",
            By::Agent => "hung run of `openclaw agent`",
            By::Cron => "hung run of a schedule",
        }
    }
}

/// A lane whose run hangs.
pub(crate) struct Hung {
    pub(crate) key: String,
    pub(crate) before: Conversation,
    session: Value,
    started: Value,
    /// Who waits for the run of a schedule. The call of some versions lasts as long as the run.
    caller: Option<Child>,
}

impl Hung {
    /// Gives the lane `name` one answered message, and then one that its provider never answers. The
    /// provider goes on to answer only what is marked.
    #[track_caller]
    pub(crate) fn begin(home: &Home, gateway: &Gateway, by: By, name: &str) -> Self {
        home.provider.set_mode("drip");
        let open = home.provider.open_requests();
        let (key, caller) = match by {
            By::Chat => lane(home, gateway, "chat.send", name),
            By::Agent => lane(home, gateway, "agent", name),
            By::Cron => {
                let (key, caller) = cron(gateway, name);
                (key, Some(caller))
            }
        };
        home.provider.wait_for_open(open + 1);
        until("the lane runs", seconds(90), || {
            (gateway.row(&key)["status"] == "running").then_some(())
        });
        let before = Conversation::read(home, gateway, &key);
        let row = gateway.row(&key);
        let [session, started] = ["sessionId", "startedAt"].map(|field| row[field].clone());
        Self { key, before, session, started, caller }
    }

    /// Where its lock is, if its version has such locks.
    pub(crate) fn lock(&self, home: &Home) -> PathBuf {
        let id = self.session.as_str().expect("a session id");
        home.sessions().join(format!("{id}.jsonl.lock"))
    }

    /// Whether this run is over: its row says so, or is about another run, or the run holds its
    /// transcript no more. Old versions leave the row `running` until the next message.
    pub(crate) fn is_free(&self, home: &Home, gateway: &Gateway) -> bool {
        let row = gateway.row(&self.key);
        let is_other = row["sessionId"] != self.session || row["startedAt"] != self.started;
        let had_lock = home.has_locks();
        row["status"] != "running" || is_other || (had_lock && !home.holds_lock(&row))
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        if let Some(caller) = &mut self.caller {
            let _ = caller.kill();
            let _ = caller.wait();
        }
    }
}

#[track_caller]
fn lane(home: &Home, gateway: &Gateway, method: &str, name: &str) -> (String, Option<Child>) {
    let key = format!("agent:main:{name}");
    gateway.turn(&key);
    if home.lab.version == "2026.5.7" {
        // It notes after the answer that this was delivered, but not once the next run has begun.
        until("the answer is delivered", seconds(30), || {
            home.rows()[&key]["pendingFinalDelivery"].is_null().then_some(())
        });
    }
    gateway.send(method, &key, "never answered");
    (key, None)
}

/// A job that is due in a day, and is run by hand now: its lane, and who waits for it.
#[track_caller]
pub(crate) fn cron(gateway: &Gateway, name: &str) -> (String, Child) {
    let job = json!({
        "name": format!("{name}-{}", uuid_like()),
        "schedule": { "kind": "every", "everyMs": 86_400_000 },
        "sessionTarget": "isolated", "wakeMode": "now", "delivery": { "mode": "none" },
        "payload": { "kind": "agentTurn", "message": "never answered" },
    });
    let job = gateway.call("cron.add", &job);
    let id = [&job["id"], &job["job"]["id"]].into_iter().find_map(Value::as_str);
    let id = id.expect("the id of the job").to_owned();
    let run = json!({ "id": id, "mode": "force" }).to_string();
    let mut caller = gateway.client();
    caller.args(["cron.run", &run]).stdout(Stdio::null()).stderr(Stdio::null());
    let caller = caller.spawn().unwrap();
    let key = until("the job has a session", seconds(90), || {
        let list = gateway.call("sessions.list", &json!({ "limit": 200 }));
        let rows = list["sessions"].as_array().cloned().unwrap_or_default();
        let keys = rows.iter().filter_map(|row| row["key"].as_str());
        keys.filter(|key| key.contains(&id)).map(str::to_owned).min_by_key(String::len)
    });
    (key, caller)
}
