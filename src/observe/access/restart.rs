//! How this install restarts its gateway, as one would type it. Nothing here does so.

use std::path::Path;

use crate::observe::locate::variable;

/// What is known of how a gateway was started.
#[derive(Clone, Copy, Debug)]
pub(in crate::observe) struct Service<'a> {
    /// Its own environment.
    pub(in crate::observe) environ: &'a [(Vec<u8>, Vec<u8>)],
    /// Its control group; `None` where there are none, or it is not known.
    pub(in crate::observe) control_group: Option<&'a str>,
    /// Its pid, and that of its parent: 2026.4.15 has one of the same service.
    pub(in crate::observe) pids: [i32; 2],
    /// Its user.
    pub(in crate::observe) uid: u32,
    /// The state directory, where it is not the default one of the profile.
    pub(in crate::observe) state_dir: Option<&'a Path>,
    /// The profile.
    pub(in crate::observe) profile: Option<&'a str>,
}

/// Returns the command, or `None` where it is not known: a wrong one would restart something else.
///
/// Source: the services that 2026.3.24 to 2026.9.6 install set `OPENCLAW_SYSTEMD_UNIT` and
/// `OPENCLAW_LAUNCHD_LABEL`; `openclaw gateway restart` also restarts one without a service
/// (`restartGatewayWithoutServiceManager`).
pub(in crate::observe) fn restart_command(service: &Service<'_>) -> Option<String> {
    if is_in_container(service) {
        return None;
    }
    of_systemd(service).or_else(|| of_launchd(service)).or_else(|| of_openclaw(service))
}

fn is_in_container(service: &Service<'_>) -> bool {
    const SIGNS: [&str; 5] = ["/docker", "/kubepods", "/libpod", "/lxc", "/containerd"];
    let group = service.control_group.unwrap_or_default();
    let is_marked = || text(service, "container").is_some();
    SIGNS.iter().any(|sign| group.contains(sign)) || is_marked()
}

/// The unit that the gateway runs in, if that unit is there for the gateway: a gateway that was
/// started by hand runs in the unit of a terminal.
fn of_systemd(service: &Service<'_>) -> Option<String> {
    let named = text(service, "OPENCLAW_SYSTEMD_UNIT").filter(|name| is_plain(name));
    let named = named.map(|name| match name.ends_with(".service") {
        true => name,
        false => format!("{name}.service"),
    });
    let Some(group) = service.control_group else {
        return named.map(|unit| format!("systemctl --user restart {unit}"));
    };
    let is_main = |name: &str| {
        let main = text(service, "SYSTEMD_EXEC_PID").and_then(|pid| pid.parse().ok());
        name.contains("openclaw") || main.is_some_and(|pid: i32| service.pids.contains(&pid))
    };
    let unit = group.rsplit('/').find(|part| part.ends_with(".service"))?;
    let is_manager = unit.starts_with("user@");
    if is_manager || !is_plain(unit) || !(named.as_deref() == Some(unit) || is_main(unit)) {
        return None;
    }
    let is_users = group.split('/').any(|part| part.starts_with("user@"));
    Some(format!("systemctl {}restart {unit}", if is_users { "--user " } else { "" }))
}

fn of_launchd(service: &Service<'_>) -> Option<String> {
    let label = text(service, "OPENCLAW_LAUNCHD_LABEL").filter(|label| is_plain(label))?;
    Some(format!("launchctl kickstart -k gui/{}/{label}", service.uid))
}

fn of_openclaw(service: &Service<'_>) -> Option<String> {
    if service.environ.is_empty() {
        return None;
    }
    let profile = match service.profile {
        Some(profile) if is_plain(profile) => format!(" --profile {profile}"),
        Some(_) => return None,
        None => String::new(),
    };
    let state_dir = match service.state_dir.map(Path::to_str) {
        None => String::new(),
        Some(Some(dir)) if is_plain_path(dir) => format!("OPENCLAW_STATE_DIR={dir} "),
        Some(_) => return None,
    };
    Some(format!("{state_dir}openclaw{profile} gateway restart"))
}

fn text(service: &Service<'_>, name: &str) -> Option<String> {
    let text = variable(service.environ, name)?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Nothing that a shell or a terminal could take for something else.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._:-".contains(&b);
    (1..=256).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

fn is_plain_path(path: &str) -> bool {
    path.starts_with('/') && path[1..].split('/').all(|part| part.is_empty() || is_plain(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str =
        "/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw-gateway.service";
    const SYSTEM: &str = "/system.slice/openclaw-gateway.service";
    const BOT: &str = "/system.slice/bot.service";
    const TERMINAL: &str =
        "/user.slice/user-1000.slice/user@1000.service/app.slice/terminal.service";
    const SESSION: &str = "/user.slice/user-1000.slice/session-3.scope";

    fn check(vars: &[(&str, &str)], group: Option<&str>, want: Option<&str>) {
        check_for(vars, group, None, None, want);
    }

    #[track_caller]
    fn check_for(
        vars: &[(&str, &str)],
        control_group: Option<&str>,
        profile: Option<&str>,
        state_dir: Option<&str>,
        want: Option<&str>,
    ) {
        let environ: Vec<_> =
            vars.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let state_dir = state_dir.map(Path::new);
        let pids = [7, 6];
        let service =
            Service { environ: &environ, control_group, pids, uid: 1000, state_dir, profile };
        assert_eq!(restart_command(&service).as_deref(), want);
    }

    #[test]
    fn a_unit_is_restarted_by_whoever_manages_it() {
        let unit = [("OPENCLAW_SYSTEMD_UNIT", "openclaw-gateway")];
        check(&unit, Some(USER), Some("systemctl --user restart openclaw-gateway.service"));
        check(&unit, Some(SYSTEM), Some("systemctl restart openclaw-gateway.service"));
        check(&unit, None, Some("systemctl --user restart openclaw-gateway.service"));
        check(&[("HOME", "/h")], Some(SYSTEM), Some("systemctl restart openclaw-gateway.service"));
        for main in ["7", "6"] {
            let bot = [("SYSTEMD_EXEC_PID", main)];
            check(&bot, Some(BOT), Some("systemctl restart bot.service"));
        }
    }

    #[test]
    fn a_unit_that_only_contains_the_gateway_is_never_restarted() {
        let plain = Some("openclaw gateway restart");
        check(&[("HOME", "/h")], Some(TERMINAL), plain);
        check(&[("HOME", "/h")], Some(SESSION), plain);
        check(&[("SYSTEMD_EXEC_PID", "5")], Some(BOT), plain);
        let stale = [("OPENCLAW_SYSTEMD_UNIT", "openclaw-gateway.service")];
        check(&stale, Some(TERMINAL), plain);
        let manager = "/user.slice/user-1000.slice/user@1000.service/init.scope";
        check(&[("SYSTEMD_EXEC_PID", "7")], Some(manager), plain);
    }

    #[test]
    fn launchd_restarts_by_label() {
        let label = [("OPENCLAW_LAUNCHD_LABEL", "ai.openclaw.gateway")];
        check(&label, None, Some("launchctl kickstart -k gui/1000/ai.openclaw.gateway"));
    }

    #[test]
    fn without_a_service_its_own_command_does_it() {
        let vars = [("HOME", "/h")];
        let work = Some("openclaw --profile work gateway restart");
        check_for(&vars, None, Some("work"), None, work);
        let own = Some("OPENCLAW_STATE_DIR=/srv/a openclaw gateway restart");
        check_for(&vars, None, None, Some("/srv/a"), own);
    }

    #[test]
    fn what_is_not_known_or_not_plain_is_no_command() {
        check(&[], None, None);
        check(&[("container", "podman")], Some(SYSTEM), None);
        check(&[("A", "b")], Some("/system.slice/docker-1.scope/docker/x"), None);
        check_for(&[("A", "b")], None, None, Some("/a b;c"), None);
        check_for(&[("A", "b")], None, Some("a;b"), None, None);
        let hostile = [("OPENCLAW_SYSTEMD_UNIT", "x; rm -rf ~")];
        check(&hostile, None, Some("openclaw gateway restart"));
        let hostile = [("OPENCLAW_LAUNCHD_LABEL", "$(x)")];
        check(&hostile, None, Some("openclaw gateway restart"));
    }
}
