//! How the watched gateway is reached: where it listens, and what opens it.
//!
//! Secrets are looked for when a connection is made, and live as long as what is returned.

mod credentials;
mod dotenv;
mod restart;
mod secret_file;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::gateway::{Pin, Target};
use crate::model::{Gateway, GatewayUrl, Given, ProcessId, RpcFailure, RpcFault};
use crate::observe::locate::{Env, Install};
use crate::observe::process::Table;

pub(super) use restart::{Service, restart_command};

/// How one gateway is reached, now.
#[derive(Debug)]
pub struct Access {
    /// Where, and with what.
    pub target: Target,
    /// The port.
    pub port: u16,
    /// Why it may only be read from; `None`: it is on this host, where whose the port is can be looked
    /// at before each change.
    pub read_only: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What the way is found by.
pub(super) struct Search<'a> {
    pub(super) install: &'a Install,
    pub(super) given: &'a Given,
    pub(super) gateway: &'a Gateway,
    pub(super) table: &'a Table,
    pub(super) env: Env<'a>,
}

impl Search<'_> {
    /// Finds out how the gateway is reached.
    ///
    /// # Errors
    ///
    /// Returns why it is not, with the next step.
    pub(super) fn access(&self) -> Result<Access, RpcFailure> {
        let (url, read_only) = match &self.given.url {
            Some(url) => (url.clone(), elsewhere(url)),
            None => (self.found()?, None),
        };
        let is_here = read_only.is_none();
        let (credentials, warnings) = credentials::resolve(self, is_here)?;
        let pin = url.is_tls.then(|| self.certificate(is_here)).transpose()?;
        let target = Target { url: url.to_string(), credentials, pin };
        Ok(Access { target, port: url.port, read_only, warnings })
    }

    /// The address on which the identified process alone listens: never one of another host.
    fn found(&self) -> Result<GatewayUrl, RpcFailure> {
        let (Some(process), Some(port)) = (&self.gateway.process, self.gateway.port) else {
            let text = format!("no gateway to speak to was identified: {}", self.gateway.why);
            return Err(failure(RpcFault::Refused, text));
        };
        let addresses = self.addresses(process.id, port)?;
        let address = nearest(&addresses).ok_or_else(|| {
            failure(RpcFault::Refused, format!("it does not listen on port {port}"))
        })?;
        Ok(GatewayUrl::at(self.install.config.tls.is_some(), address, port))
    }

    fn addresses(&self, process: ProcessId, port: u16) -> Result<Vec<IpAddr>, RpcFailure> {
        self.table.listens_alone(process, port).map_err(|reason| {
            let text = format!("{reason}; name the gateway's address as `gateway.url`");
            failure(RpcFault::WrongGateway, text)
        })
    }

    /// Source: `loadGatewayTlsRuntime` of 2026.3.24, 2026.4.15, 2026.7.1 and 2026.9.6.
    fn certificate(&self, is_here: bool) -> Result<Pin, RpcFailure> {
        let tls = self.install.config.tls.as_ref().filter(|_| is_here).ok_or_else(|| {
            let text = "the certificate of a `wss` gateway is only known of the one on this host \
                        that has `gateway.tls` enabled"
                .to_owned();
            failure(RpcFault::NoCredentials, text)
        })?;
        let made = || self.install.state_dir.join("gateway/tls/gateway-cert.pem");
        let path =
            tls.certificate.as_ref().map_or_else(made, |text| self.install.resolve_path(text));
        Ok(Pin { path })
    }
}

/// Returns why a gateway at this address is only read from.
fn elsewhere(url: &GatewayUrl) -> Option<String> {
    let is_here = url.address().is_some_and(is_of_this_host);
    (!is_here).then(|| {
        format!(
            "`gateway.url` names {}, which is no address of this host: whether it is the gateway \
             of the watched state directory cannot be proven, so it is only read from",
            url.host
        )
    })
}

/// Returns the address to connect to: over the loopback where that reaches the gateway.
fn nearest(addresses: &[IpAddr]) -> Option<IpAddr> {
    let any = |wanted: IpAddr| addresses.contains(&wanted);
    let loopback = addresses.iter().copied().find(IpAddr::is_loopback);
    let over_all = || {
        let four = any(Ipv4Addr::UNSPECIFIED.into()).then(|| Ipv4Addr::LOCALHOST.into());
        four.or_else(|| any(Ipv6Addr::UNSPECIFIED.into()).then(|| Ipv6Addr::LOCALHOST.into()))
    };
    loopback.or_else(over_all).or_else(|| addresses.first().copied())
}

/// Only an address of this host can be bound to. Nothing is sent.
fn is_of_this_host(address: IpAddr) -> bool {
    let is_one = !address.is_unspecified() && !address.is_multicast();
    is_one && (address.is_loopback() || UdpSocket::bind((address, 0)).is_ok())
}

fn failure(fault: RpcFault, text: String) -> RpcFailure {
    RpcFailure { fault, text }
}

#[cfg(test)]
mod tests;
