//! How the machines of a cluster reach each other: with TLS and a certificate on both sides, if the user names
//! certificates, and with signs of life, so that a cut of the network is noticed although nobody says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{self, Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use crate::error::{Error, Result};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How often both ends of a connection ask each other for a sign of life.
const LIFE: Duration = Duration::from_secs(10);
/// How long the sign may take. A connection that is cut is given up after this and [`LIFE`].
const SIGN: Duration = Duration::from_secs(20);

/// The files of a machine's certificate, in PEM.
#[derive(Debug)]
pub struct TlsFiles {
    /// Its certificate, and those between it and the authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The certificate of the authority. Whoever has a certificate of it belongs to the cluster.
    pub ca: PathBuf,
}

/// How to reach the other machines, and how they reach this one.
#[derive(Clone)]
pub(super) struct Net {
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    client: ClientTlsConfig,
    server: ServerTlsConfig,
}

impl Net {
    /// Reads the certificates. Without them, nothing is encrypted, and nobody is asked who he is.
    ///
    /// # Errors
    /// A file can't be read, or is not what it should be.
    pub fn new(files: Option<&TlsFiles>) -> Result<Self> {
        let net = Self {
            tls: files.map(Tls::read).transpose()?,
        };
        // Keys and certificates that can't be used are found here, and not by the first connection.
        let fits = net.server().map(drop).and(net.endpoint("localhost", 1).map(drop));
        match (fits, files) {
            (Err(error), Some(TlsFiles { cert, key, ca })) => Err(Error::project(format!(
                "the certificate {}, its key {} and the authority {} can't be used",
                cert.display(),
                key.display(),
                ca.display()
            ))
            .cause(root(&error))
            .hint("name PEM files: --tls-cert, --tls-key (without a password) and --tls-ca")),
            _ => Ok(net),
        }
    }

    /// A server of this machine.
    pub fn server(&self) -> Result<Server, transport::Error> {
        let server = Server::builder()
            .http2_keepalive_interval(Some(LIFE))
            .http2_keepalive_timeout(Some(SIGN));
        match &self.tls {
            Some(tls) => server.tls_config(tls.server.clone()),
            None => Ok(server),
        }
    }

    /// Another machine of the cluster.
    pub fn endpoint(&self, host: &str, port: u16) -> Result<Endpoint, transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))?
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(LIFE)
            .keep_alive_timeout(SIGN)
            .keep_alive_while_idle(true);
        match &self.tls {
            // A certificate names an IPv6 address without brackets.
            Some(tls) => endpoint.tls_config(tls.client.clone().domain_name(host.trim_matches(['[', ']']))),
            None => Ok(endpoint),
        }
    }

    /// Makes the connections of Ballista's own such ones.
    pub fn reach(&self) -> EndpointOverrideFn {
        let net = self.clone();
        Arc::new(move |of_ballista: Endpoint| {
            let uri = of_ballista.uri();
            let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
            Ok(net.endpoint(host, port)?)
        })
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }
}

impl Tls {
    fn read(files: &TlsFiles) -> Result<Self> {
        let ca = Certificate::from_pem(read(&files.ca, "CERTIFICATE")?);
        let identity = Identity::from_pem(read(&files.cert, "CERTIFICATE")?, read(&files.key, "PRIVATE KEY")?);
        Ok(Self {
            client: ClientTlsConfig::new()
                .ca_certificate(ca.clone())
                .identity(identity.clone()),
            server: ServerTlsConfig::new().client_ca_root(ca).identity(identity),
        })
    }
}

fn read(path: &Path, holds: &str) -> Result<String> {
    let failed = |cause: String| {
        Error::project(format!("{} can't be used", path.display()))
            .cause(cause)
            .hint("name PEM files: --tls-cert, --tls-key (without a password) and --tls-ca")
    };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if text.contains(&format!("{holds}-----")) {
        return Ok(text);
    }
    Err(failed(format!("it holds no {}", holds.to_ascii_lowercase())))
}

/// The connections of a socket that listens.
pub(super) fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// What to do where the other end breaks a connection off.
pub(super) const BROKEN_OFF: &str = "look whether it still runs; if it asks for a certificate, name one of its authority: --tls-cert, --tls-key and --tls-ca";

/// What to do about a connection that can't be made, where its [`root`] tells.
pub(super) fn remedy(root: &str) -> Option<&'static str> {
    const REMEDIES: [(&str, &str); 4] = [
        (
            "UnknownIssuer",
            "all machines of a cluster need certificates of one authority; name it on both ends: --tls-ca",
        ),
        (
            "not valid for name",
            "its certificate must hold the name or address by which it is called as subjectAltName",
        ),
        ("xpired", "make a new certificate for it, and start it again"),
        (
            "InvalidContentType",
            "it does not use TLS: start it with --tls-cert, --tls-key and --tls-ca, or leave them out here",
        ),
    ];
    let fits = |(said, _): &&(&str, &str)| root.contains(said);
    REMEDIES.iter().find(fits).map(|(_, remedy)| *remedy)
}

/// What has kept a connection from being made, in words of the network. It holds no value of the data.
pub(super) fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
