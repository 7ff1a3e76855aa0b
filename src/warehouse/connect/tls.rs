//! libpq's sslmodes in rustls. The modes differ in how strictly a server's certificate is checked. rustls' own webpki
//! verifier always checks the chain; this file decides which of its errors count.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::passfile::is_private;
use super::protection::{SslMode, TlsSettings};
use crate::error::{Error, Result, Words as _};

/// The client's TLS configuration for `mode`, which is not [`SslMode::Disable`].
pub(super) fn client_config(mode: SslMode, settings: &TlsSettings) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if mode >= SslMode::VerifyCa {
        Arc::new(Verifier::new(mode, settings, &provider)?)
    } else {
        Arc::new(Unverified(provider.clone()))
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::project("TLS can't be set up").cause(error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "sslcert")?;
            let key = provider
                .key_provider
                .load_private_key(private_key(key)?)
                .map_err(|error| {
                    Error::project(format!("the private key {} can't be used", key.display())).cause(error)
                })?;
            // rustls' usual method refuses client certificates of X.509 version 1, which many servers accept.
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))))
        }
    };
    if settings.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

/// `require`: the connection is encrypted, and the peer owns the key of its certificate (channel binding relies on
/// that). Nobody checks who the peer is.
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

/// Checks a certificate for `verify-ca` and `verify-full`.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    /// Certificates of the root file. A server that shows one of them is trusted. This serves the self-signed
    /// `server.crt` of many installations, which webpki accepts as an authority but not as a server's certificate.
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
            // webpki checks the name last. If only the name is wrong, the chain is valid.
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
    let read = CertificateDer::pem_file_iter(path).map_err(|error| problem(error.words()))?;
    let found = read
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| problem(error.words()))?;
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::pool::Warehouse;
    use super::*;
    use crate::warehouse::testing::{TestServer, database, server_with};

    /// Makes authorities, a certificate for a server and one for a client, and a pg_hba.conf that wants TLS of some
    /// users.
    const CERTIFICATES: &str = r#"
set -e
cd "$1"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -subj "/CN=$2" "${@:3}" 2>/dev/null; }
new ca "test authority" -x509 -days 2 -out ca.crt
new other "another authority" -x509 -days 2 -out other.crt
new server db.test -out server.csr
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 2 -out server.crt -extfile <(echo subjectAltName=DNS:db.test) 2>/dev/null
new client certified -out client.csr
openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -days 2 -out client.crt 2>/dev/null
new self db.test -x509 -days 2 -out self.crt -addext subjectAltName=DNS:db.test
cat >pg_hba.conf <<END
local all all trust
hostssl all certified all cert
hostssl all tls_only all trust
hostnossl all plain_only all trust
host all postgres all trust
END
chmod 600 *.key
chown --reference=PG_VERSION *.key *.crt pg_hba.conf
"#;

    fn tls_server(certificate: &str) -> Option<TestServer> {
        server_with(|data| {
            let made = Command::new("bash")
                .args(["-c", CERTIFICATES, "bash"])
                .arg(data)
                .status()
                .unwrap();
            assert!(made.success(), "certificates");
            let files = [
                format!("--ssl_cert_file={certificate}.crt"),
                format!("--ssl_key_file={certificate}.key"),
            ];
            ["--ssl=on", "--ssl_ca_file=ca.crt"]
                .map(str::to_owned)
                .into_iter()
                .chain(files)
                .collect()
        })
    }

    /// Whether a connection is encrypted, or why there is none.
    async fn encrypted(server: &TestServer, rest: &str) -> Result<bool, String> {
        let conninfo = format!("hostaddr=127.0.0.1 port={} dbname=postgres {rest}", server.port);
        let opened = Warehouse::open(database(&conninfo), 1).await;
        let warehouse = opened.map_err(|error| error.why().unwrap_or(error.message))?;
        let connection = warehouse.acquire().await.map_err(|error| error.to_string())?;
        let row = connection
            .query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
            .await
            .unwrap();
        Ok(row.get(0))
    }

    #[tokio::test]
    async fn each_sslmode_checks_what_libpq_checks() {
        let Some(server) = tls_server("server") else {
            return;
        };
        let data = server.folder.join("data");
        let data = data.display();
        let try_ = async |rest: &str| encrypted(&server, rest).await;
        let (ca, other) = (
            format!("sslrootcert={data}/ca.crt"),
            format!("sslrootcert={data}/other.crt"),
        );
        assert_eq!(
            try_(&format!("host=db.test user=postgres sslmode=verify-full {ca}")).await,
            Ok(true)
        );
        assert_eq!(
            try_(&format!("host=db.other user=postgres sslmode=verify-ca {ca}")).await,
            Ok(true)
        );
        let wrong = try_(&format!("host=db.other user=postgres sslmode=verify-full {ca}"))
            .await
            .unwrap_err();
        assert!(wrong.contains("not valid for name"), "{wrong}");
        for mode in ["verify-ca", "verify-full", "require"] {
            let wrong = try_(&format!("host=db.test user=postgres sslmode={mode} {other}"))
                .await
                .unwrap_err();
            assert!(wrong.contains("UnknownIssuer"), "{mode}: {wrong}");
        }
        let wrong = try_("host=db.test user=postgres sslmode=verify-full")
            .await
            .unwrap_err();
        assert!(
            wrong.contains("UnknownIssuer") || wrong.contains("authorities"),
            "{wrong}"
        );
        for (mode, expected) in [
            ("require", true),
            ("prefer", true),
            ("allow", false),
            ("disable", false),
        ] {
            assert_eq!(
                try_(&format!("host=db.test user=postgres sslmode={mode}")).await,
                Ok(expected),
                "{mode}"
            );
        }
        let superuser = format!(
            "host={} port={} user=postgres dbname=postgres",
            server.folder.display(),
            server.port
        );
        let admin = Warehouse::open(database(&superuser), 1).await.unwrap();
        let roles = "CREATE ROLE tls_only LOGIN; CREATE ROLE plain_only LOGIN; CREATE ROLE certified LOGIN";
        admin.acquire().await.unwrap().batch_execute(roles).await.unwrap();
        assert_eq!(try_("host=db.test user=tls_only sslmode=allow").await, Ok(true));
        assert_eq!(try_("host=db.test user=plain_only sslmode=prefer").await, Ok(false));
        assert!(
            try_("host=db.test user=plain_only sslmode=require")
                .await
                .unwrap_err()
                .contains("28000")
        );
        assert!(try_("host=db.test user=certified sslmode=require").await.is_err());
        // As in libpq, only the user may read the key. The test's copy belongs to the user.
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(server.folder.join("data/client.key"), key.path()).unwrap();
        let client = format!("sslcert={data}/client.crt sslkey={}", key.path().display());
        assert_eq!(
            try_(&format!(
                "host=db.test user=certified sslmode=verify-full {ca} {client}"
            ))
            .await,
            Ok(true)
        );
    }

    #[tokio::test]
    async fn a_self_signed_certificate_that_is_the_root_is_trusted() {
        let Some(server) = tls_server("self") else {
            return;
        };
        let root = format!("sslrootcert={}/data/self.crt", server.folder.display());
        let try_ = async |rest: &str| encrypted(&server, &format!("user=postgres {rest}")).await;
        assert_eq!(
            try_(&format!("host=db.test sslmode=verify-full {root}")).await,
            Ok(true)
        );
        assert_eq!(try_(&format!("host=other sslmode=verify-ca {root}")).await, Ok(true));
        assert!(try_(&format!("host=other sslmode=verify-full {root}")).await.is_err());
    }
}
