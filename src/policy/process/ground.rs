//! What must hold before anything about a process is decided.

use crate::model::{HoldReason, Source, Status};
use crate::policy::Context;
use crate::policy::ground::{gateway_grace, host_grace};

/// Returns why no process may be ended now.
///
/// Other than a file, a process that nobody can reach is of no use to the restart recovery of any
/// gateway, so a gateway that is down is no hindrance. One that is just starting is: it looks for
/// its own agents then.
pub(super) fn ground(context: Context<'_>) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    for source in [Source::Host, Source::Processes, Source::Gateway] {
        if let Some(gap) = snapshot.gap(source) {
            return Err(HoldReason::Gap { source: source.name(), reason: gap.reason.clone() });
        }
    }
    if let Some(id) = snapshot.maintenance {
        return Err(HoldReason::MaintenanceRunning { id });
    }
    match (snapshot.gateway.status, snapshot.gateway.process) {
        (Status::Up, Some(process)) if !process.shares_pid_namespace => {
            return Err(HoldReason::ForeignNamespace);
        }
        (Status::Up, Some(process)) => gateway_grace(context, &process)?,
        (Status::Down, _) => {}
        (Status::Starting, _) => return Err(HoldReason::GatewayStarting),
        (Status::Unknown | Status::Up, _) => return Err(HoldReason::GatewayUnknown),
    }
    host_grace(context)
}
