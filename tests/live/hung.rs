//! Runs that never end: begun in each of the ways in which a gateway begins one.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::gateway::{Gateway, uuid_like};
use crate::home::Home;
use crate::wait::{pass_time, seconds, until};

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
    /// What began it, if that was a schedule.
    pub(crate) job: Option<Job>,
}

/// A job that is due in a day, and was run by hand.
pub(crate) struct Job {
    id: String,
    /// The lane that its runs share.
    pub(crate) key: String,
    /// Who waits for its run. The call of some versions lasts as long as the run.
    caller: Child,
}

impl Hung {
    /// Gives the lane `name` one answered message, and then one that its provider never answers. The
    /// provider goes on to answer only what is marked.
    #[track_caller]
    pub(crate) fn begin(home: &Home, gateway: &Gateway, by: By, name: &str) -> Self {
        home.provider.set_mode("drip");
        let open = home.provider.open_requests();
        let (key, job) = match by {
            By::Chat => lane(home, gateway, "chat.send", name),
            By::Agent => lane(home, gateway, "agent", name),
            By::Cron => {
                let job = Job::run(gateway, name);
                (job.key.clone(), Some(job))
            }
        };
        home.provider.wait_for_open(open + 1);
        until("the lane runs", seconds(90), || {
            (gateway.row(&key)["status"] == "running").then_some(())
        });
        let before = Conversation::read(home, gateway, &key);
        let row = gateway.row(&key);
        let [session, started] = ["sessionId", "startedAt"].map(|field| row[field].clone());
        Self { key, before, session, started, job }
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

    /// The conversation is as it was, the next message is answered, and then it is again.
    #[track_caller]
    pub(crate) fn assert_answers(&self, home: &Home, gateway: &Gateway) {
        self.assert_answers_and(gateway, || self.before.assert_kept(home, gateway));
    }

    /// The same after another gateway has resumed or ended the run; returns whether it still tells
    /// the message that was not answered.
    #[track_caller]
    pub(crate) fn assert_answers_resumed(&self, home: &Home, gateway: &Gateway) -> bool {
        let is_told = self.before.assert_resumable(home, gateway);
        self.assert_answers_and(gateway, || {
            self.before.assert_resumable(home, gateway);
        });
        is_told
    }

    #[track_caller]
    fn assert_answers_and(&self, gateway: &Gateway, assert_kept: impl Fn()) {
        assert_kept();
        if let Some(job) = &self.job {
            job.assert_runs_again(gateway);
            return;
        }
        gateway.turn(&self.key);
        until("the row has ended", seconds(30), || {
            (gateway.row(&self.key)["status"] == "done").then_some(())
        });
        assert_kept();
    }
}

impl Job {
    /// Adds the job, and runs it.
    #[track_caller]
    pub(crate) fn run(gateway: &Gateway, name: &str) -> Self {
        let job = json!({
            "name": format!("{name}-{}", uuid_like()),
            "schedule": { "kind": "every", "everyMs": 86_400_000 },
            "sessionTarget": "isolated", "wakeMode": "now", "delivery": { "mode": "none" },
            "payload": { "kind": "agentTurn", "message": "never answered" },
        });
        let job = gateway.call("cron.add", &job);
        let id = [&job["id"], &job["job"]["id"]].into_iter().find_map(Value::as_str);
        let id = id.expect("the id of the job").to_owned();
        let caller = call(gateway, &id);
        let key = until("the job has a session", seconds(90), || {
            let list = gateway.call("sessions.list", &json!({ "limit": 200 }));
            let rows = list["sessions"].as_array().cloned().unwrap_or_default();
            let keys = rows.iter().filter_map(|row| row["key"].as_str());
            keys.filter(|key| key.contains(&id)).map(str::to_owned).min_by_key(String::len)
        });
        Self { id, key, caller }
    }

    /// The next run begins and ends well.
    #[track_caller]
    pub(crate) fn assert_runs_again(&self, gateway: &Gateway) {
        let began = |state: &Value| state["lastRunAtMs"].as_u64();
        let before = began(&self.state(gateway));
        let mut caller = call(gateway, &self.id);
        let ended = until("the job has run again", seconds(180), || {
            Some(self.state(gateway)).filter(|state| began(state) > before)
        });
        let _ = caller.kill();
        let _ = caller.wait();
        assert_eq!(ended["lastStatus"], "ok", "{ended}");
    }

    /// Whether it runs.
    #[track_caller]
    pub(crate) fn is_running(&self, gateway: &Gateway) -> bool {
        self.state(gateway)["runningAtMs"].is_number()
    }

    /// How its last run ended.
    #[track_caller]
    pub(crate) fn ended(&self, gateway: &Gateway) -> String {
        self.state(gateway)["lastStatus"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn state(&self, gateway: &Gateway) -> Value {
        let list = gateway.call("cron.list", &json!({}));
        let jobs = list["jobs"].as_array().cloned().unwrap_or_default();
        jobs.iter().find(|job| job["id"] == *self.id).expect("the job")["state"].clone()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.caller.kill();
        let _ = self.caller.wait();
    }
}

fn call(gateway: &Gateway, id: &str) -> Child {
    let run = json!({ "id": id, "mode": "force" }).to_string();
    let mut caller = gateway.client();
    caller.args(["cron.run", &run]).stdout(Stdio::null()).stderr(Stdio::null());
    caller.spawn().unwrap()
}

#[track_caller]
fn lane(home: &Home, gateway: &Gateway, method: &str, name: &str) -> (String, Option<Job>) {
    let key = format!("agent:main:{name}");
    delivered_turn(home, gateway, &key);
    gateway.send(method, &key, "never answered");
    (key, None)
}

/// One message that is answered, and whose answer is noted as delivered: 2026.5.7 and 2026.5.28 note
/// that a moment later, but not once the next run has begun.
#[track_caller]
pub(crate) fn delivered_turn(home: &Home, gateway: &Gateway, key: &str) {
    gateway.turn(key);
    if ["2026.5.7", "2026.5.28"].contains(&home.lab.version) {
        // Neither that it waits nor that it is delivered is noted before the run has ended.
        pass_time(seconds(5));
        until("the answer is delivered", seconds(30), || {
            home.rows()[key]["pendingFinalDelivery"].is_null().then_some(())
        });
    }
}
