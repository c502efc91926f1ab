//! How the gateway of the last look is reached.

use super::Observer;
use crate::model::{Configured, Gateway, Given, RpcFailure};
use crate::observe::access::{Access, Search, Service, restart_command};

impl Observer {
    /// Finds out how `gateway` is reached, anew each time: secrets are not kept.
    ///
    /// # Errors
    ///
    /// Returns why it is not, with the next step.
    pub fn access(&self, given: &Given, gateway: &Gateway) -> Result<Access, RpcFailure> {
        let install = &self.settings.install;
        Search { install, given, gateway, table: &self.table, env: &*self.env }.access()
    }

    /// Returns what the gateway's configuration says about its own recovery.
    #[must_use]
    pub fn configured(&self) -> Configured {
        self.settings.install.config.limits
    }

    /// Returns how this install restarts its gateway, as one would type it; `None` where that is not
    /// known.
    #[must_use]
    pub fn restart_command(&self, gateway: &Gateway) -> Option<String> {
        let pid = gateway.process.as_ref().filter(|process| process.shares_pid_namespace)?.id.pid;
        let process = self.table.get(pid)?;
        let environ = self.table.environ(pid).ok()?;
        let install = &self.settings.install;
        let default = match &install.profile {
            Some(profile) => install.home.join(format!(".openclaw-{profile}")),
            None => install.home.join(".openclaw"),
        };
        let is_default = default.canonicalize().is_ok_and(|default| default == install.state_dir);
        restart_command(&Service {
            environ: &environ,
            control_group: self.table.inspector().process(pid).control_group().ok().as_deref(),
            pids: [pid, process.parent],
            uid: process.uid,
            state_dir: (!is_default).then_some(&install.given_dir),
            profile: install.profile.as_deref(),
        })
    }
}
