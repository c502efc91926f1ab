//! TLS that trusts one certificate: the gateway's own.
//!
//! `gateway.tls.autoGenerate` signs it itself, and no name in it needs to match `127.0.0.1`: what
//! counts is that it is byte for byte the one on disk, and that the other end has its key.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    crypto,
};

use super::encode::first_certificate;
use super::fault::Fault;
use super::target::Pin;
use crate::model::RpcFault;

/// A certificate chain of any CA is smaller.
const BYTES_MAX: u64 = 256 * 1024;

/// Returns what connects to the holder of the pinned certificate and to nobody else.
pub(super) fn connector(pin: &Pin) -> Result<(TlsConnector, ServerName<'static>), Fault> {
    let internal = |text: String| Fault::new(RpcFault::Internal, text);
    let path = pin.path.display();
    let certificate = read(pin)
        .map_err(|error| internal(format!("the gateway's certificate `{path}`: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(Exactly { certificate, algorithms });
    let config = with(provider, verifier).map_err(|error| internal(format!("TLS: {error}")))?;
    // Never compared with anything; an address is not sent as a name either.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn with(provider: Arc<CryptoProvider>, verifier: Arc<Exactly>) -> Result<ClientConfig, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Returns true if the handshake failed because of the certificate.
pub(super) fn is_mismatch(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    matches!(inner, Some(TlsError::InvalidCertificate(_)))
}

fn read(pin: &Pin) -> io::Result<CertificateDer<'static>> {
    let mut bytes = Vec::new();
    File::open(&pin.path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let none = || io::Error::new(io::ErrorKind::InvalidData, "no certificate in it");
    match std::str::from_utf8(&bytes) {
        Ok(pem) => Ok(CertificateDer::from(first_certificate(pem).ok_or_else(none)?)),
        // DER begins with the tag of a sequence.
        Err(_) if bytes.first() == Some(&0x30) => Ok(CertificateDer::from(bytes)),
        Err(_) => Err(none()),
    }
}

/// Accepts exactly one certificate, by its bytes.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if end_entity.as_ref() == self.certificate.as_ref() {
            return Ok(ServerCertVerified::assertion());
        }
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
