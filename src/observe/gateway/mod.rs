//! Identifies the gateway of a state directory, and says whether it runs.
//!
//! A gateway is identified by its lock (pid and start ticks), or, where the lock is missing
//! (`OPENCLAW_ALLOW_MULTI_GATEWAY=1`, or a cleaner of temp directories), by title, environment
//! and a port it listens on. A title alone proves nothing: `openclaw gateway status` has it too.

mod bystanders;
mod claim;
#[cfg(test)]
mod fake;
mod places;
mod port;
mod processes;
mod relation;
mod role;
mod status;
mod version;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{
    Era, Gap, Gateway, GatewayProcess, Host, ProcessId, Source, UnixMillis, Version,
};
use crate::observe::locate::{Env, Install};
use bystanders::Kin;
use claim::Claims;
pub use processes::Processes;
use relation::Relation;
use role::Role;
pub(super) use role::is_of_openclaw;
use status::{Facts, Identified, PortState};
pub use version::VersionProbe;
use view::View;

/// Where to look for a gateway, and by whose clock.
pub struct Scene<'a> {
    /// The state directory.
    pub install: &'a Install,
    /// How it keeps its sessions.
    pub era: &'a Era,
    /// The process table, just refreshed.
    pub table: &'a dyn Processes,
    /// The host.
    pub host: &'a Host,
    /// Our environment.
    pub env: Env<'a>,
    /// The instant of the snapshot.
    pub now: UnixMillis,
    /// How long a gateway may take until it listens.
    pub start_grace: Duration,
    /// Gives the gateway's token; called only for a gateway that asks for it, see
    /// [`VersionProbe`]. `&|| None` never sends one.
    pub token: &'a dyn Fn() -> Option<String>,
}

/// The gateway and the OpenClaw processes around it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sight {
    /// The gateway.
    pub gateway: Gateway,
    /// A running `openclaw update`, `doctor`, `triage`, `migrate` or `database`.
    pub maintenance: Option<ProcessId>,
    /// Other live OpenClaw processes that may work on this state directory.
    pub other_runners: Vec<(ProcessId, UnixMillis)>,
    /// Gateways that work on this state directory beside each other, or another one that has the
    /// port of the identified one.
    pub duplicates: Vec<ProcessId>,
    /// All live descendants of the gateway.
    pub gateway_children: Vec<(ProcessId, UnixMillis)>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
}

/// Looks for the gateway of a state directory.
///
/// Blocks for at most 200 ms on a port when nothing is found, and for at most a few seconds on
/// a gateway process that was never asked for its version.
#[must_use]
pub fn identify(scene: &Scene<'_>, probe: &mut VersionProbe) -> Sight {
    let (kin, claims) = kin(scene);
    let mut view = View::new(scene, &claims, &kin);
    let identified = view.identified();
    let family = view.family(&identified);
    let suspects = view.suspects(&family);
    let facts = Facts {
        port: if identified.is_empty() { view.port_state() } else { PortState::NotAsked },
        identified,
        doubts: view.doubts,
        suspects,
        now: scene.now,
        start_grace: scene.start_grace,
    };
    let (status, why) = status::decide(&facts);
    let only = match facts.identified.as_slice() {
        [gateway] if !gateway.is_elsewhere => Some(gateway),
        _ => None,
    };
    let port = only.map_or_else(|| expected(scene), |gateway| listening(scene, gateway));
    let duplicates = match facts.identified.as_slice() {
        [gateway] => bystanders::port_takers(scene.table, &kin, &family, gateway, port),
        all => all.iter().map(|gateway| gateway.id).collect(),
    };
    let gap = |(path, reason): &(PathBuf, String)| Gap {
        source: Source::Gateway,
        path: path.clone(),
        reason: reason.clone(),
    };
    Sight {
        gateway: Gateway {
            state_dir: scene.install.state_dir.clone(),
            era: scene.era.clone(),
            version: only.and_then(|gateway| version(scene, gateway, port, probe)),
            status,
            why,
            process: only.map(|gateway| process(scene, gateway)),
            port: Some(port),
            configured: scene.install.config.limits,
        },
        maintenance: bystanders::maintenance(&kin),
        other_runners: bystanders::other_runners(scene.table, &kin, &family),
        duplicates,
        gateway_children: only
            .map(|gateway| bystanders::descendants(scene.table, gateway.id.pid))
            .unwrap_or_default(),
        gaps: claims.blind.iter().map(gap).collect(),
    }
}

/// Returns the OpenClaw processes and all lock files that were found.
fn kin<'a>(scene: &Scene<'a>) -> (Vec<Kin<'a>>, Claims) {
    let (install, table) = (scene.install, scene.table);
    let own = i32::try_from(std::process::id()).ok().filter(|_| table.is_live());
    let (outsiders, openclaw): (Vec<_>, Vec<_>) = table
        .all()
        .into_iter()
        .filter(|process| Some(process.id.pid) != own)
        .filter_map(|process| Some((process, Role::of(process)?)))
        .partition(|(process, _)| places::is_outsider(scene, process));
    let may_be = openclaw.iter().filter(|(_, role)| role.may_be_gateway());
    let gateways: Vec<_> = may_be.map(|(process, _)| *process).collect();
    let claims = places::search(scene, &gateways);
    let ours = openclaw.into_iter().map(|(process, role)| {
        let relation = relation::relation(install, table, process, &role, &claims.found);
        Kin { process, role, relation }
    });
    let other = |(process, role)| Kin { process, role, relation: Relation::Other };
    let kin = ours.chain(outsiders.into_iter().map(other)).collect();
    (kin, claims)
}

fn expected(scene: &Scene<'_>) -> u16 {
    port::expected(scene.install, scene.era)
}

/// The port of an identified gateway: its lock, else the expected one if it listens there or
/// nothing is known, else the only one it listens on.
fn listening(scene: &Scene<'_>, gateway: &Identified) -> u16 {
    let expected = expected(scene);
    match (gateway.locked_port, gateway.listening.as_deref()) {
        (Some(port), _) => port,
        (None, Some([port])) => *port,
        (None, _) => expected,
    }
}

fn process(scene: &Scene<'_>, gateway: &Identified) -> GatewayProcess {
    GatewayProcess {
        id: gateway.id,
        started_at: gateway.started_at,
        locked_at: gateway.locked_at,
        shares_pid_namespace: scene.table.shares_pid_namespace(gateway.id.pid),
    }
}

fn version(
    scene: &Scene<'_>,
    gateway: &Identified,
    port: u16,
    probe: &mut VersionProbe,
) -> Option<Version> {
    let listens = gateway.listening.as_ref().is_some_and(|ports| ports.contains(&port));
    if !scene.table.is_live() || !listens || gateway.is_elsewhere {
        return None;
    }
    // Bound to another address only, the loopback port may be somebody else's.
    let bind = scene.install.config.bind.as_deref();
    let on_loopback = bind.is_none_or(|bind| bind == "loopback" || bind == "lan");
    let token = || if on_loopback { (scene.token)() } else { None };
    let base_path = &scene.install.config.base_path;
    let (id, locked_at) = (gateway.id, gateway.locked_at);
    let target = version::Target { id, locked_at, port, base_path, token: &token };
    probe.version(&target, scene.now)
}

#[cfg(test)]
mod tests {
    use super::fake::{FakeTable, STARTED, install};
    use super::*;
    use crate::model::{BootId, Status};
    use std::fs;
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    const GATEWAY: &str = "openclaw-gateway";

    /// A state directory, a temp directory with locks, and a port that nobody listens on.
    struct World {
        dir: tempfile::TempDir,
        install: Install,
        port: u16,
    }

    impl World {
        fn new() -> World {
            let dir = tempfile::tempdir().unwrap();
            let state = dir.path().join("h/.openclaw");
            fs::create_dir_all(&state).unwrap();
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = socket.local_addr().unwrap().port();
            let mut install = install(state.to_str().unwrap());
            install.config.port = Some(port);
            World { dir, install, port }
        }

        fn config(&self) -> String {
            self.install.config_path.display().to_string()
        }

        /// Writes the lock that the process under `pid` takes for `config`.
        fn lock(&self, pid: i32, config: &str, more: &str) -> &World {
            let uid = nix::unistd::geteuid();
            let dir = self.dir.path().join(format!("tmp/openclaw-{uid}"));
            fs::create_dir_all(&dir).unwrap();
            let text = format!(
                r#"{{"pid":{pid},"createdAt":"1970-01-01T00:16:40.000Z","configPath":"{config}"{more}}}"#
            );
            fs::write(dir.join(claim::lock_name(Path::new(config))), text).unwrap();
            self
        }

        fn look(&self, table: &FakeTable) -> Sight {
            self.with_scene(table, |scene| identify(scene, &mut VersionProbe::default()))
        }

        fn with_scene<T>(&self, table: &FakeTable, look: impl FnOnce(&Scene<'_>) -> T) -> T {
            let tmp = self.dir.path().join("tmp").display().to_string();
            let host = Host {
                boot_id: BootId("b".to_owned()),
                booted_at: UnixMillis(0),
                slept: None,
                euid: nix::unistd::geteuid().as_raw(),
            };
            let scene = Scene {
                install: &self.install,
                era: &Era::Files,
                table,
                host: &host,
                env: &|name| (name == "TMPDIR").then(|| tmp.clone()),
                now: STARTED.plus(Duration::from_secs(59)),
                start_grace: Duration::from_secs(60),
                token: &|| None,
            };
            look(&scene)
        }

        #[track_caller]
        fn check(&self, table: &FakeTable, status: Status, why: &str) {
            let gateway = self.look(table).gateway;
            assert!(gateway.status == status && gateway.why.contains(why), "{gateway:?}");
        }
    }

    const TICKS: &str = r#","startTime":70"#;

    #[test]
    fn a_lock_with_pid_and_start_ticks_identifies() {
        let world = World::new();
        world.lock(7, &world.config(), TICKS);
        for title in [GATEWAY, "openclaw", "anything else"] {
            let table = FakeTable::new().title(7, title).listens(7, &[1, 2]).child(9, 7, "claude");
            let sight = world.look(&table);
            assert_eq!(sight.gateway.status, Status::Up, "{title}: {}", sight.gateway.why);
            let process = sight.gateway.process.unwrap();
            assert_eq!((process.id.pid, process.locked_at), (7, Some(UnixMillis(1_000_000))));
            assert_eq!(sight.gateway.port, Some(world.port));
            assert_eq!(sight.gateway_children.len(), 1);
            assert_eq!(sight.other_runners, vec![]);
        }
        world.check(&FakeTable::new().title(7, GATEWAY).listens(7, &[]), Status::Starting, "");
    }

    #[test]
    fn a_dead_or_recycled_lock_is_down_and_a_hidden_holder_unknown() {
        let world = World::new();
        world.check(&FakeTable::new(), Status::Down, "");
        world.lock(7, &world.config(), TICKS);
        world.check(&FakeTable::new(), Status::Down, "");
        world.check(&FakeTable::new().hidden(7), Status::Unknown, "cannot be seen");
        world.lock(7, &world.config(), r#","startTime":71"#);
        world.check(&FakeTable::new().title(7, "vim"), Status::Down, "");
    }

    #[test]
    fn a_lock_with_ticks_of_another_system_is_neither_dead_nor_alive() {
        let world = World::new();
        world.lock(7, &world.config(), TICKS);
        for table in [FakeTable::new(), FakeTable::new().title(7, "vim")] {
            world.check(&table.counts_otherwise(), Status::Unknown, "another system");
        }
        world.lock(7, &world.config(), "");
        let table = FakeTable::new().title(7, GATEWAY).listens(7, &[1]);
        world.check(&table.counts_otherwise(), Status::Up, "");
    }

    #[test]
    fn a_lock_without_start_ticks_needs_title_and_age() {
        let world = World::new();
        world.lock(7, &world.config(), "");
        world.check(&FakeTable::new().title(7, GATEWAY).listens(7, &[1]), Status::Up, "");
        world.check(&FakeTable::new().title(7, "vim"), Status::Unknown, "another process");
    }

    #[test]
    fn a_strangers_process_behind_our_lock_is_unknown() {
        let world = World::new();
        world.lock(7, &world.config(), TICKS);
        let table = FakeTable::new().title(7, GATEWAY).listens(7, &[1]).user(7, 54321);
        world.check(&table, Status::Unknown, "does not belong");
    }

    #[test]
    fn a_lock_that_a_stranger_wrote_identifies_nobody() {
        let world = World::new();
        let identified = |uid: u32| {
            let table = FakeTable::new().title(7, GATEWAY).listens(7, &[1]).user(7, uid);
            let claim = claim::Claim { uid, ..table.claim(7, &world.config()) };
            let claims = Claims { found: vec![claim], ..Claims::default() };
            world.with_scene(&table, |scene| View::new(scene, &claims, &[]).identified().len())
        };
        assert_eq!((identified(nix::unistd::geteuid().as_raw()), identified(54321)), (1, 0));
    }

    #[test]
    fn a_torn_lock_is_unknown() {
        let world = World::new();
        world.lock(7, &world.config(), ",");
        world.check(&FakeTable::new(), Status::Unknown, "no readable payload");
    }

    #[test]
    fn without_a_lock_environment_title_and_port_identify() {
        let world = World::new();
        let state = world.install.state_dir.display().to_string();
        let vars = [("HOME", "/nowhere"), ("OPENCLAW_STATE_DIR", state.as_str())];
        let table = FakeTable::new().title(7, GATEWAY).environ(7, &vars);
        world.check(&table.clone().listens(7, &[1]), Status::Up, "");
        world.check(&table.clone().listens(7, &[]), Status::Unknown, "may be a gateway");
        let bare = FakeTable::new().title(7, "openclaw").environ(7, &vars);
        world.check(&bare.clone().listens(7, &[1]), Status::Unknown, "may be a gateway");
        world.check(&bare.listens(7, &[world.port]), Status::Up, "");
    }

    #[test]
    fn two_gateways_are_unknown_but_parent_and_child_are_one() {
        let world = World::new();
        world.lock(7, &world.config(), TICKS);
        let state = world.install.state_dir.display().to_string();
        let vars = [("OPENCLAW_STATE_DIR", state.as_str())];
        let table = FakeTable::new().title(7, GATEWAY).listens(7, &[1]);
        let second = |parent: i32| {
            table.clone().child(8, parent, GATEWAY).environ(8, &vars).listens(8, &[2])
        };
        world.check(&second(1), Status::Unknown, "pids 7 and 8");
        world.check(&second(7), Status::Up, "pid 7");
        let under = second(1).child(7, 8, GATEWAY).listens(7, &[1]);
        world.check(&under, Status::Up, "pid 7");
        // `openclaw gateway status` has the title and listens on nothing.
        world.check(&second(1).listens(8, &[]), Status::Up, "pid 7");
    }

    #[test]
    fn gateways_of_others_do_not_disturb() {
        let world = World::new();
        world.lock(8, "/srv/a/openclaw.json", r#","startTime":80"#);
        let table = FakeTable::new()
            .title(8, GATEWAY)
            .title(9, GATEWAY)
            .environ(9, &[("OPENCLAW_STATE_DIR", "/srv/b")])
            .title(10, GATEWAY)
            .user(10, 54321);
        world.check(&table, Status::Down, "");
        world.lock(7, &world.config(), TICKS);
        world.check(&table.title(7, GATEWAY).listens(7, &[1]), Status::Up, "pid 7");
    }

    #[test]
    fn whatever_may_be_a_gateway_prevents_down() {
        let world = World::new();
        world.check(&FakeTable::new().title(7, GATEWAY), Status::Unknown, "environment of pid 7");
        let start = FakeTable::new().title(7, "node /x/openclaw.mjs gateway");
        world.check(&start, Status::Unknown, "pid 7");
        let agent = FakeTable::new().title(7, "openclaw-agent");
        world.check(&agent, Status::Down, "");
        assert_eq!(world.look(&agent).other_runners.len(), 1);
    }

    #[test]
    fn an_open_port_prevents_down_unless_it_is_another_gateways() {
        let mut world = World::new();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        world.install.config.port = Some(port);
        world.check(&FakeTable::new(), Status::Unknown, "accepts connections");
        let other = FakeTable::new()
            .title(8, GATEWAY)
            .environ(8, &[("OPENCLAW_STATE_DIR", "/srv/b")])
            .listens(8, &[port]);
        world.check(&other, Status::Down, "another gateway");
    }

    #[test]
    fn a_gateway_in_a_container_is_unknown() {
        let world = World::new();
        let table = FakeTable::new().title(7, GATEWAY).environ(7, &[("HOME", "/home/node")]);
        world.check(&table.elsewhere(7), Status::Unknown, "another namespace");
    }

    #[test]
    fn a_captured_table_is_matched_by_name_and_never_asked_for_a_port() {
        let world = World::new();
        world.lock(7, "/home/user/.openclaw/openclaw.json", TICKS);
        let table = FakeTable::new().captured();
        world.check(&table.clone().title(7, GATEWAY).user(7, 54321), Status::Up, "cannot be seen");
        world.check(&table, Status::Down, "");
        world.lock(8, "/home/user/.openclaw-work/openclaw.json", r#","startTime":80"#);
        world.check(&table.title(8, GATEWAY), Status::Down, "");
    }

    #[test]
    fn maintenance_is_seen() {
        let world = World::new();
        let sight = world.look(&FakeTable::new().title(7, "openclaw-doctor"));
        assert_eq!(sight.maintenance.map(|id| id.pid), Some(7));
    }
}
