//! A state directory, this very process as its gateway, and a port that it listens on.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::gateway::Credentials;
use crate::model::{Configured, Era, GatewayProcess, SecretPlace, Sighting, Status, UnixMillis};
use crate::observe::locate::{Request, locate};

struct World {
    dir: tempfile::TempDir,
    table: Table,
    given: Given,
    gateway: Gateway,
    vars: Vec<(String, String)>,
    socket: TcpListener,
}

impl World {
    fn new(config: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("openclaw.json"), config).unwrap();
        let mut table = Table::new(Path::new("/proc"));
        table.refresh(UnixMillis::default()).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let Sighting::Present { id, started_at, .. } = table.sight(pid) else { panic!() };
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let gateway = Gateway {
            state_dir: dir.path().to_owned(),
            era: Era::Files,
            version: None,
            status: Status::Up,
            why: "pid 1 holds the lock".to_owned(),
            process: Some(GatewayProcess {
                id,
                started_at,
                locked_at: None,
                shares_pid_namespace: true,
            }),
            port: Some(socket.local_addr().unwrap().port()),
            configured: Configured::default(),
        };
        World { dir, table, given: Given::default(), gateway, vars: Vec::new(), socket }
    }

    fn var(mut self, name: &str, value: &str) -> World {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    fn url(mut self, url: &str) -> World {
        self.given.url = Some(GatewayUrl::parse(url).unwrap());
        self
    }

    fn port(&self) -> u16 {
        self.gateway.port.unwrap()
    }

    fn find(&self) -> Result<Access, RpcFailure> {
        let env = |name: &str| {
            self.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        let state_dir = Some(self.dir.path().to_owned());
        let install = locate(&Request { state_dir, env: &env }).unwrap();
        let (given, gateway) = (&self.given, &self.gateway);
        Search { install: &install, given, gateway, table: &self.table, env: &env }.access()
    }

    #[track_caller]
    fn fails(&self, fault: RpcFault, words: &str) {
        let failure = self.find().unwrap_err();
        assert!(failure.fault == fault && failure.text.contains(words), "{failure:?}");
    }
}

fn secret(access: &Access) -> &str {
    match &access.target.credentials {
        Credentials::Token(secret) | Credentials::Password(secret) => secret.reveal(),
        Credentials::None => "",
    }
}

#[test]
fn the_identified_process_is_reached_on_its_own_socket_with_its_own_token() {
    let world = World::new("{gateway: {auth: {token: 'hunter2'}, port: 1}}");
    let access = world.find().unwrap();
    assert_eq!(access.target.url, format!("ws://127.0.0.1:{}", world.port()));
    assert_eq!((secret(&access), access.read_only.as_deref()), ("hunter2", None));
    assert!(access.target.pin.is_none());
    assert!(!format!("{access:?}").contains("hunter2"));
}

#[test]
fn without_a_gateway_or_with_a_strangers_port_nothing_is_sent() {
    let mut world = World::new("{gateway: {auth: {token: 'hunter2'}}}");
    let process = world.gateway.process.take();
    world.fails(RpcFault::Refused, "pid 1 holds the lock");
    world.gateway.process = process;
    drop(std::mem::replace(&mut world.socket, TcpListener::bind("127.0.0.1:0").unwrap()));
    world.fails(RpcFault::Refused, "does not listen");
    let stdin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    world.gateway.port = Some(stdin.local_addr().unwrap().port());
    let stdin = Stdio::from(OwnedFd::from(stdin));
    let mut stranger = Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap();
    let failure = world.find().unwrap_err();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(failure.fault == RpcFault::WrongGateway, "{failure:?}");
    assert!(failure.text.contains("gateway.url") && !failure.text.contains("hunter2"));
}

#[test]
fn what_the_gateway_completes_its_environment_from_is_read() {
    let world = World::new("{}");
    world.fails(RpcFault::NoCredentials, "OPENCLAW_GATEWAY_TOKEN");
    fs::write(world.dir.path().join(".env"), "OPENCLAW_GATEWAY_TOKEN='hunter2' # x\n").unwrap();
    assert_eq!(secret(&world.find().unwrap()), "hunter2");
}

#[test]
fn our_environment_counts_only_for_the_same_directory() {
    let world = World::new("{}").var("OPENCLAW_GATEWAY_TOKEN", "hunter2").var("HOME", "/nowhere");
    world.fails(RpcFault::NoCredentials, "OPENCLAW_GATEWAY_TOKEN");
    let dir = world.dir.path().to_str().unwrap().to_owned();
    assert_eq!(secret(&world.var("OPENCLAW_STATE_DIR", &dir).find().unwrap()), "hunter2");
}

#[test]
fn what_the_user_names_himself_comes_first() {
    let mut world = World::new("{gateway: {auth: {token: 'of-gateway', mode: 'trusted-proxy'}}}")
        .var("MINE", " hunter2 ");
    world.fails(RpcFault::NoCredentials, "trusted-proxy");
    world.given.password = Some(SecretPlace::Variable("MINE".to_owned()));
    let access = world.find().unwrap();
    assert!(matches!(&access.target.credentials, Credentials::Password(_)));
    assert_eq!(secret(&access), "hunter2");
    let path = world.dir.path().join("token");
    world.given.token = Some(SecretPlace::File(path.clone()));
    world.fails(RpcFault::NoCredentials, "there is no secret in `");
    fs::write(&path, "hunter3\n").unwrap();
    let access = world.find().unwrap();
    assert_eq!(secret(&access), "hunter3");
    world.given.token = Some(SecretPlace::Variable("NONE".to_owned()));
    world.fails(RpcFault::NoCredentials, "the variable NONE: it is not set");
}

#[test]
fn another_host_is_only_read_from_and_never_given_this_gateways_token() {
    let mut world = World::new("{gateway: {auth: {token: 'hunter2'}}}")
        .url("ws://192.0.2.1:7")
        .var("MINE", "for-the-other");
    world.fails(RpcFault::NoCredentials, "not sent to another host");
    world.given.token = Some(SecretPlace::Variable("MINE".to_owned()));
    let access = world.find().unwrap();
    assert_eq!((secret(&access), access.port), ("for-the-other", 7));
    assert!(access.read_only.unwrap().contains("192.0.2.1"));
    world.given.url = GatewayUrl::parse("ws://gateway.example:7").ok();
    assert!(world.find().unwrap().read_only.is_some());
}

#[test]
fn an_address_of_this_host_is_as_good_as_what_is_found() {
    for url in ["ws://127.0.0.1:7", "ws://localhost:7", "ws://[::1]:7", "ws://127.9.9.9:7"] {
        let world = World::new("{gateway: {auth: {mode: 'none'}}}").url(url);
        let access = world.find().unwrap();
        assert_eq!((access.port, access.read_only), (7, None), "{url}");
    }
    for address in ["0.0.0.0", "224.0.0.1", "192.0.2.1"] {
        assert!(!is_of_this_host(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn the_certificate_of_tls_is_the_gateways_own() {
    let path = |config: &str| {
        let world = World::new(config);
        let access = world.find().unwrap();
        assert_eq!(access.target.url, format!("wss://127.0.0.1:{}", world.port()));
        let dir = world.dir.path().canonicalize().unwrap();
        let path = access.target.pin.unwrap().path;
        path.strip_prefix(dir).map_or(path.clone(), Path::to_owned)
    };
    let auth = "auth: {mode: 'none'}";
    let made = format!("{{gateway: {{{auth}, tls: {{enabled: true}}}}}}");
    assert_eq!(path(&made), Path::new("gateway/tls/gateway-cert.pem"));
    let own = format!("{{gateway: {{{auth}, tls: {{enabled: true, certPath: '/c.pem'}}}}}}");
    assert_eq!(path(&own), Path::new("/c.pem"));
    let world = World::new(&format!("{{gateway: {{{auth}}}}}")).url("wss://127.0.0.1:7");
    world.fails(RpcFault::NoCredentials, "certificate");
}

#[test]
fn the_loopback_is_preferred_where_it_leads_to_the_gateway() {
    for (addresses, want) in [
        (&["127.0.0.1"][..], Some("127.0.0.1")),
        (&["0.0.0.0"], Some("127.0.0.1")),
        (&["::"], Some("::1")),
        (&["100.64.0.1"], Some("100.64.0.1")),
        (&["100.64.0.1", "::1"], Some("::1")),
        (&[], None),
    ] {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(nearest(&addresses), want.map(|text| text.parse().unwrap()));
    }
}
