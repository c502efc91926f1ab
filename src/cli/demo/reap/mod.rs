//! The last act: a real process, judged beside all processes of this host, and ended.
//!
//! No other process can be touched. The only family that is looked for has an argument that no
//! other process has. Whatever had it would also need the environment and the working directory of
//! a temporary folder that only this user can look into, and have lost both its input and its
//! output. And no more than one process is ended.

mod orphan;

use std::time::Duration;

use super::stage::Stage;
use crate::config::{self, Config};
use crate::model::{Decision, HoldReason, Outcome};
use crate::pass::Passes;
use crate::report::{Entry, PassReport};
use orphan::Orphan;

pub(super) use orphan::guard;

/// What the family is called.
const FAMILY: &str = "demo";

/// How old the process must be, and how far apart two looks are: times for a process that sleeps.
const AGE: Duration = Duration::from_millis(500);
const GAP: Duration = Duration::from_millis(500);

/// Looks without an end, after which something is wrong.
const LOOKS_MAX: u32 = 4;

/// The process and what its watchdog goes by.
pub(super) struct Reaping {
    orphan: Orphan,
    /// The watchdog's configuration.
    pub(super) config: Config,
}

impl Reaping {
    /// Starts the process.
    ///
    /// # Errors
    ///
    /// Returns why that cannot be shown on this host, for people.
    pub(super) fn prepare(stage: &Stage) -> Result<Reaping, String> {
        let orphan = Orphan::start(stage)?;
        let yaml = configuration(&orphan);
        stage.configure(&yaml).map_err(|error| error.to_string())?;
        let loaded = config::check(&stage.configuration(), &|_| None);
        let mut config = loaded.map_err(|problems| problems.to_string())?.config;
        // Without the known families, real agents are not even looked at.
        config.policies.orphan_process.families.retain(|rule| rule.family.name == FAMILY);
        Ok(Reaping { orphan, config })
    }

    /// Returns what is to be seen, for people.
    pub(super) fn introduction(&self) -> String {
        let Orphan { id, program, argument, .. } = &self.orphan;
        format!(
            "
And now a real process, among all that run on this host. A second made-up gateway has crashed and
left an agent behind. A sleep of the demo's own, pid {pid}, plays that agent: with the environment and
the workspace of that gateway, no parent, and nobody at the other ends of its input and output. Only
this one process is of the family that the demo looks for:
  demo: {{ mode: enforce, processes: [{{ exe: {program}, argument: \"{argument}\" }}] }}
",
            pid = id.pid
        )
    }

    /// Looks until the process is ended, or something else than time keeps it.
    ///
    /// # Errors
    ///
    /// Returns what on this host keeps it from being shown, for people.
    pub(super) fn watch(&self, passes: &mut Passes) -> Result<PassReport, String> {
        let mut looks = 0;
        loop {
            passes.wait(if looks == 0 { AGE } else { GAP });
            let report = passes.run(&|| false).map_err(|error| crate::error::chain(&error))?;
            looks += 1;
            let id = self.orphan.id.subject_id();
            let entry = report.entries.iter().find(|entry| entry.verdict.subject.id == id);
            match entry.map(|entry| stand(entry, &report)) {
                Some(Stand::Over) => return Ok(report),
                Some(Stand::Soon) if looks < LOOKS_MAX => {}
                Some(Stand::Soon) => return Err("it takes too long".to_owned()),
                Some(Stand::Kept(why)) => return Err(why),
                None => return Err("the process table does not show the process".to_owned()),
            }
        }
    }

    /// Returns true if the process is gone.
    pub(super) fn is_over(&self, passes: &Passes) -> bool {
        !passes.observer.is_alive(self.orphan.id)
    }

    pub(super) fn pid(&self) -> i32 {
        self.orphan.id.pid
    }
}

/// How it stands with the process.
enum Stand {
    Over,
    Soon,
    Kept(String),
}

fn stand(entry: &Entry, report: &PassReport) -> Stand {
    match (&entry.verdict.decision, &entry.done) {
        (Decision::Hold(why @ HoldReason::GatewayUnknown), _) => {
            Stand::Kept(format!("{why}: {}", report.gateway.why))
        }
        (Decision::Hold(HoldReason::NotConfirmed { .. } | HoldReason::TooYoung { .. }), _) => {
            Stand::Soon
        }
        (Decision::Hold(why), _) => Stand::Kept(why.to_string()),
        (_, Some(done)) if done.outcome == Outcome::Changed => {
            Stand::Kept(done.note.clone().unwrap_or_default())
        }
        (_, Some(_)) => Stand::Over,
        (_, None) => Stand::Kept("nothing was done about it".to_owned()),
    }
}

fn configuration(orphan: &Orphan) -> String {
    let Orphan { program, argument, .. } = orphan;
    let (age, gap) = (AGE.as_millis(), GAP.as_millis());
    format!(
        "allow_short: true
confirm: {{ looks: 2, gap: {gap}ms }}
limits: {{ actions_per_pass: 1, actions_per_hour: 1 }}
policies:
  leaked_process: {{ mode: off }}
  runaway_agent: {{ mode: off }}
  orphan_process:
    mode: enforce
    min_age: {age}ms
    families:
      {FAMILY}:
        mode: enforce
        processes:
          - {{ exe: \"{program}\", argument: \"{argument}\", position: 1 }}
"
    )
}
