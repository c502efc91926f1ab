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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::path::Path;

    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::gateway::Hear as _;
    use crate::gateway::fake::{GATEWAY, link};
    use crate::gateway::{Credentials, Target};
    use crate::model::Rpc;

    struct Made {
        der: Vec<u8>,
        key: Vec<u8>,
        pem: String,
    }

    fn made() -> Made {
        let made = rcgen::generate_simple_self_signed(["openclaw-gateway".to_owned()]).unwrap();
        let (der, pem) = (made.cert.der().to_vec(), made.cert.pem());
        Made { der, key: made.signing_key.serialize_der(), pem }
    }

    /// Answers with HTTP over TLS as the holder of `shown`; returns its URL.
    fn server(shown: &Made) -> String {
        let certificate = CertificateDer::from(shown.der.clone());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("wss://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                if stream.read(&mut [0; 1024]).is_ok() {
                    let body = "{\"ready\":true,\"eventLoop\":{\"degraded\":true,\"delayP99Ms\":2,\"delayMaxMs\":3}}";
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}");
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        url
    }

    fn pinned(url: &str, path: &Path, content: &[u8]) -> Target {
        std::fs::write(path, content).unwrap();
        let pin = Some(Pin { path: path.to_owned() });
        Target { url: url.to_owned(), credentials: Credentials::None, pin }
    }

    #[test]
    fn the_pinned_certificate_is_accepted_as_pem_and_as_der_and_no_other_is() {
        let (own, other) = (made(), made());
        let url = server(&own);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        for content in [own.pem.as_bytes(), &own.der[..]] {
            let (link, _folder) = link(pinned(&url, &path, content), false);
            assert!(link.event_loop(&|| false).unwrap().unwrap().is_degraded);
        }
        let (link, _folder) = link(pinned(&url, &path, other.pem.as_bytes()), false);
        assert_eq!(link.event_loop(&|| false).unwrap_err().fault, RpcFault::WrongGateway);
        let Rpc::Failed(failure) = link.hear(GATEWAY, &|| false) else { panic!() };
        assert_eq!(failure.fault, RpcFault::WrongGateway, "{failure}");
    }

    #[test]
    fn without_a_certificate_to_compare_with_nothing_is_said() {
        let url = server(&made());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        for content in [&b""[..], b"-----BEGIN CERTIFICATE-----", b"\xff\x00"] {
            let (link, _folder) = link(pinned(&url, &path, content), false);
            assert_eq!(link.event_loop(&|| false).unwrap_err().fault, RpcFault::Internal);
        }
        let missing = Target {
            pin: Some(Pin { path: folder.path().join("none") }),
            ..pinned(&url, &path, b"")
        };
        let (link_missing, _folder) = link(missing, false);
        assert_eq!(link_missing.event_loop(&|| false).unwrap_err().fault, RpcFault::Internal);
        let (link, _folder) = link(Target { pin: None, ..pinned(&url, &path, b"") }, false);
        assert_eq!(link.event_loop(&|| false).unwrap_err().fault, RpcFault::Internal);
    }

    #[test]
    fn a_port_without_tls_is_no_gateway() {
        let fake = crate::gateway::fake::Fake::new(|_, mut stream, _| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let folder = tempfile::tempdir().unwrap();
        let url = fake.target().url.replace("ws://", "wss://");
        let target = pinned(&url, &folder.path().join("c.pem"), made().pem.as_bytes());
        let (link, _folder) = link(target, false);
        assert_eq!(link.event_loop(&|| false).unwrap_err().fault, RpcFault::NotAGateway);
    }
}
