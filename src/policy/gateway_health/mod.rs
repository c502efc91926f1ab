//! `gateway_health`: says when the gateway itself is not well, once per incident.
//!
//! Never changes anything: three unclean starts trip the gateway's own breaker, and a restart
//! interrupts every run. What helps, and how to do it, is in the evidence.
//!
//! A condition becomes an incident when it has lasted; until then it is only remembered. What could
//! not be looked at this time goes on as it was.

mod growth;
mod process;
mod speech;
#[cfg(test)]
mod tests;

pub use speech::next_step;

use std::time::Duration;

use crate::model::{
    Decision, Evidence, HoldReason, Looks, Policy, Snapshot, Source, Subject, SubjectHistory,
    SubjectKind, UnixMillis, Verdict,
};

use super::Context;
use super::ground::host_grace;
use super::settings::GatewayHealth;

/// Judges the gateway in every respect. One that is well is not mentioned.
pub(super) fn evaluate(context: Context<'_>, rule: GatewayHealth) -> Vec<Verdict> {
    let scene = Scene { context, rule };
    if scene.is_blind() {
        return Vec::new();
    }
    let findings = [process::findings(&scene), speech::findings(&scene)].concat();
    findings.into_iter().map(|finding| scene.verdict(finding)).collect()
}

/// What is wrong with the gateway in one respect, whether or not it is worth saying yet.
#[derive(Clone)]
struct Finding {
    /// The respect, which is the subject's id.
    id: &'static str,
    /// Which life of the gateway, or which fault, it is about.
    incarnation: String,
    /// What is the matter, as far as it is not worth saying yet.
    what: &'static str,
    /// How long it must last.
    after: Duration,
    /// In how many looks it must be found.
    looks: u32,
    /// What is the matter, once it is worth saying.
    why: HoldReason,
    /// What a person can do.
    next: String,
    evidence: Evidence,
}

#[derive(Clone, Copy)]
struct Scene<'a> {
    context: Context<'a>,
    rule: GatewayHealth,
}

impl Scene<'_> {
    fn now(&self) -> UnixMillis {
        self.context.snapshot.taken_at
    }

    /// Where these could not be seen, a healthy gateway may look like a dead one.
    fn is_blind(&self) -> bool {
        let sources = [Source::Host, Source::Processes, Source::Gateway];
        sources.into_iter().any(|source| self.context.snapshot.gap(source).is_some())
    }

    fn seen(&self, id: &str) -> Option<&SubjectHistory> {
        self.context.history.subjects.get(&(Policy::GatewayHealth, subject(id)))
    }

    fn seen_as(&self, id: &str, incarnation: &str) -> Option<&SubjectHistory> {
        self.seen(id).filter(|seen| seen.incarnation == incarnation)
    }

    /// Returns since when it has been so, as far as it was watched.
    fn since(&self, id: &str, incarnation: &str) -> UnixMillis {
        self.seen_as(id, incarnation).map_or(self.now(), |seen| seen.first_seen)
    }

    /// Which life of the gateway.
    fn life(&self) -> String {
        let process = self.context.snapshot.gateway.process;
        process.map(|process| process.id.subject_id()).unwrap_or_default()
    }

    /// How to restart it, as far as that is known.
    fn restart(&self) -> String {
        restart(self.context.snapshot)
    }

    fn verdict(&self, finding: Finding) -> Verdict {
        let since = self.since(finding.id, &finding.incarnation);
        let evidence = finding
            .evidence
            .clone()
            .with("since", since.to_string())
            .with("lasted_s", self.now().since(since).as_secs())
            .with("next", finding.next.as_str());
        let (suspect, why) = match self.not_yet(&finding, since) {
            Some(why) => (false, why),
            None => (true, finding.why),
        };
        Verdict {
            policy: Policy::GatewayHealth,
            subject: subject(finding.id),
            incarnation: finding.incarnation,
            suspect,
            looks: Looks::One,
            decision: Decision::Hold(why),
            evidence: self.evidence(evidence),
        }
    }

    /// Why it is not worth saying yet. What was said stays said for as long as it lasts, whatever
    /// the host does.
    fn not_yet(&self, finding: &Finding, since: UnixMillis) -> Option<HoldReason> {
        let Finding { what, after, .. } = *finding;
        let seen = self.seen_as(finding.id, &finding.incarnation);
        let looks = seen.map_or(0, |seen| seen.looks);
        let lasts =
            |until: UnixMillis, looks: u32| until.since(since) >= after && looks >= finding.looks;
        if seen.is_some_and(|seen| lasts(seen.last_seen, seen.looks)) {
            return None;
        }
        if let Err(why) = host_grace(self.context) {
            return Some(why);
        }
        let lasted = self.now().since(since);
        (!lasts(self.now(), looks.saturating_add(1))).then(|| HoldReason::NotForLong {
            what,
            lasted,
            after: after.max(lasted),
        })
    }

    /// What is asked first of every gateway.
    fn evidence(&self, evidence: Evidence) -> Evidence {
        let (gateway, vitals) = (&self.context.snapshot.gateway, &self.context.snapshot.vitals);
        evidence
            .maybe("pid", gateway.process.map(|process| process.id.pid))
            .maybe("port", gateway.port)
            .maybe("state", vitals.state.map(String::from))
            .maybe("resident_mib", vitals.resident.map(|bytes| bytes >> 20))
            .maybe("restart_command", vitals.restart_command.as_deref())
    }

    /// What its log says about such a fault.
    fn log(&self, faults: &[&str]) -> Option<Vec<String>> {
        let signs = self.context.snapshot.log.iter();
        let signs = signs.filter(|sign| faults.contains(&sign.fault));
        let lines: Vec<_> = signs
            .map(|sign| format!("{} ({}x, last at {})", sign.what, sign.count, sign.at))
            .collect();
        (!lines.is_empty()).then_some(lines)
    }
}

fn restart(snapshot: &Snapshot) -> String {
    let command = snapshot.vitals.restart_command.as_deref();
    command.map_or_else(
        || "restart it the way it was started; clawarden never does".to_owned(),
        |command| format!("restart it: {command}"),
    )
}

fn subject(id: &str) -> Subject {
    Subject { kind: SubjectKind::Gateway, id: id.to_owned() }
}
