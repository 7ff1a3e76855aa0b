//! libpq's sslmodes in rustls: how much of a server's certificate is checked. The chain is always judged by rustls'
//! own webpki verifier; what this file adds is only which of its verdicts count.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::passfile::is_private;
use super::server::{SslMode, TlsSettings};
use crate::error::{Error, Result};

/// The client's side of a handshake under `mode`, which is not [`SslMode::Disable`].
pub(super) fn client_config(mode: SslMode, settings: &TlsSettings) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if mode >= SslMode::VerifyCa {
        Arc::new(Verifier::new(mode, settings, &provider)?)
    } else {
        Arc::new(Unverified(provider.clone()))
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::project("TLS can't be set up").cause(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "sslcert")?;
            builder
                .with_client_auth_cert(chain, private_key(key)?)
                .map_err(|error| {
                    Error::project(format!(
                        "the client certificate {} can't be used",
                        certificate.display()
                    ))
                    .cause(error)
                })?
        }
    };
    if settings.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

/// `require`: encrypted, and the peer owns the key of the certificate it shows; who it is, nobody checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca` and `verify-full`.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    /// Certificates of the root file. One that a server shows as its own (the self-signed `server.crt` of many
    /// installations, which webpki takes for an authority and no server's) is trusted as it is.
    pinned: HashSet<CertificateDer<'static>>,
    check_name: bool,
}

impl Verifier {
    fn new(mode: SslMode, settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let mut pinned = HashSet::new();
        if let Some(path) = &settings.root {
            for certificate in certificates(path, "sslrootcert")? {
                roots.add(certificate.clone()).map_err(|error| {
                    Error::project(format!("sslrootcert {} can't be used", path.display())).cause(error)
                })?;
                pinned.insert(certificate);
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let inner = inner.map_err(|error| {
            Error::project("this machine has no certificate authorities to check the database server by")
                .cause(error)
                .hint("name the authority's certificate: sslrootcert=/path/ca.crt")
        })?;
        Ok(Self {
            inner,
            pinned,
            check_name: mode == SslMode::VerifyFull,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.contains(end_entity) {
            if self.check_name {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match self
            .inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            // webpki looks at the name last: whoever fails by it alone has a chain that holds.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn certificates(path: &Path, keyword: &str) -> Result<Vec<CertificateDer<'static>>> {
    let problem = |cause: String| Error::project(format!("{keyword} {} can't be read", path.display())).cause(cause);
    let read = CertificateDer::pem_file_iter(path).map_err(|error| problem(error.to_string()))?;
    let found = read
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(error.to_string()))?;
    if found.is_empty() {
        return Err(problem("it holds no PEM certificate".to_owned()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    if !is_private(path) {
        return Err(
            Error::project(format!("others may read the private key {}", path.display()))
                .hint(format!("chmod 600 {}", path.display())),
        );
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        Error::project(format!("sslkey {} can't be read", path.display()))
            .cause(error)
            .hint("it must be a PEM key without a passphrase")
    })
}
