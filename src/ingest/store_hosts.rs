//! Whether the settings of a source may send the credentials of the environment to a server. Who may edit a project file
//! would else have them sent to a server of their own: a bearer token, a shared access signature or a client secret as it
//! is, and of S3 the session token.
//!
//! The addresses at which a cloud's machines ask for their own credentials are no input, with or without a signature.
//!
//! A server that the environment names gets them, as with the clouds' own tools: in `AWS_ENDPOINT_URL` and the like, or in
//! the list `PIPELINE_STORAGE_HOSTS`. This machine is a server like any other.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey as S3;
use object_store::azure::AzureConfigKey as Azure;
use object_store::gcp::GoogleConfigKey as Google;
use url::Url;

use crate::error::{Error, Result};

/// Servers that a project file may name: `minio.internal:9000, proxy.internal`.
pub(super) const LISTED: &str = "PIPELINE_STORAGE_HOSTS";
/// Variables of the clouds' own tools that name a server.
const NAMED: [&str; 10] = [
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_AUTHORITY_HOST",
    "AZURE_STORAGE_AUTHORITY_HOST",
    "GOOGLE_BASE_URL",
];
/// Where the emulator of Azure's storage listens.
const EMULATOR: &str = "http://127.0.0.1:10000";

/// Where a machine of AWS asks over IPv6 (EC2 user guide, "Use the Instance Metadata Service").
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What a setting decides.
enum Decides {
    /// Which server gets credentials, or passes them on. The variable that may say so instead.
    Server(&'static str),
    /// Whether they go to [`EMULATOR`].
    Emulator,
    /// Which file's content is sent as a credential.
    File(&'static str),
}

/// Makes sure that the environment names each server that gets credentials, and that a URL asks no machine of the cloud for
/// its own.
///
/// # Errors
/// A setting names another server, or the URL such an address. They are errors of the project.
pub(super) fn check(url: &str, storage: &[(String, String)], lookup: impl Fn(&str) -> Option<String>) -> Result<()> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if matches!(scheme, "http" | "https") {
        refuse_inner(&host(url))?;
        // Such a step would take the date of the batch out of the path.
        if url
            .split('/')
            .any(|part| matches!(part.to_lowercase().replace("%2e", ".").as_str(), "." | ".."))
        {
            return Err(Error::project("the input's URL holds a part `.` or `..`").hint("write the path without it"));
        }
    }
    let is_unsigned = |(name, value): &(String, String)| name.ends_with("skip_signature") && value == "true";
    let is_unsigned = storage.iter().any(is_unsigned);
    for (name, value) in storage {
        let decided = decides(scheme, name);
        if is_unsigned {
            if let Some(Decides::Server(_)) = decided {
                refuse_inner(&host(value))?;
            }
            continue;
        }
        let (server, variable) = match decided {
            None => continue,
            Some(Decides::File(variable)) => {
                return Err(Error::project(format!(
                    "`{name}` may not stand under `storage`: the file that it names is sent as a credential"
                ))
                .hint(format!("set {variable} in the environment")));
            }
            Some(Decides::Emulator) if value != "true" => continue,
            Some(Decides::Emulator) => (EMULATOR, None),
            Some(Decides::Server(variable)) => (value.as_str(), Some(variable)),
        };
        let server = host(server);
        let listed = lookup(LISTED).unwrap_or_default();
        let listed = listed.split([',', ' ']).map(str::trim).filter(|one| !one.is_empty());
        let named = NAMED.iter().filter_map(|name| lookup(name)).map(|url| host(&url));
        if listed.map(host).chain(named).any(|known| is_same(&known, &server)) {
            continue;
        }
        let instead = variable.map_or_else(String::new, |variable| format!(", or set {variable} there instead"));
        return Err(Error::project(format!(
            "`{name}` under `storage` would send the credentials to {server}, which the environment does not name"
        ))
        .cause("a project file does not decide which server gets them")
        .hint(format!(
            "set {LISTED}={server} in the environment{instead}; where no credentials are used, set `skip_signature: true`"
        )));
    }
    Ok(())
}

/// Refuses the addresses at which a cloud's machines tell their credentials: those of the local link, and the names for
/// them.
fn refuse_inner(server: &str) -> Result<()> {
    let host = server
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    let host = host
        .map_or(server, |(host, _)| host)
        .trim_matches(['[', ']'])
        .trim_end_matches('.');
    let is_inner = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local() || address == AWS_METADATA,
        Err(_) => matches!(host, "metadata" | "metadata.google.internal" | "instance-data"),
    };
    if is_inner {
        let message = format!("{host} is no server of input: a cloud's machine asks there for its own credentials");
        return Err(Error::project(message).hint("name the server that holds the input"));
    }
    Ok(())
}

fn decides(scheme: &str, name: &str) -> Option<Decides> {
    use Decides::{Emulator, File, Server};
    const PROXY: Option<Decides> = Some(Server("HTTPS_PROXY"));
    let name = &name.to_ascii_lowercase();
    match scheme {
        "s3" | "s3a" => match S3::from_str(name).ok()? {
            S3::Endpoint | S3::S3Endpoint => Some(Server("AWS_ENDPOINT_URL")),
            S3::StsEndpoint => Some(Server("AWS_ENDPOINT_URL_STS")),
            S3::MetadataEndpoint => Some(Server("AWS_METADATA_ENDPOINT")),
            S3::ContainerCredentialsFullUri => Some(Server("AWS_CONTAINER_CREDENTIALS_FULL_URI")),
            S3::ContainerAuthorizationTokenFile => Some(File("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")),
            S3::WebIdentityTokenFile => Some(File("AWS_WEB_IDENTITY_TOKEN_FILE")),
            S3::Client(ClientConfigKey::ProxyUrl) => PROXY,
            _ => None,
        },
        "gs" => match Google::from_str(name).ok()? {
            Google::BaseUrl => Some(Server("GOOGLE_BASE_URL")),
            Google::Client(ClientConfigKey::ProxyUrl) => PROXY,
            _ => None,
        },
        "az" | "azure" => match Azure::from_str(name).ok()? {
            Azure::Endpoint => Some(Server("AZURE_STORAGE_ENDPOINT")),
            Azure::AuthorityHost => Some(Server("AZURE_STORAGE_AUTHORITY_HOST")),
            Azure::MsiEndpoint => Some(Server("AZURE_MSI_ENDPOINT")),
            Azure::FabricTokenServiceUrl => Some(Server("AZURE_FABRIC_TOKEN_SERVICE_URL")),
            Azure::FabricWorkloadHost => Some(Server("AZURE_FABRIC_WORKLOAD_HOST")),
            Azure::FederatedTokenFile => Some(File("AZURE_FEDERATED_TOKEN_FILE")),
            Azure::UseEmulator => Some(Emulator),
            Azure::Client(ClientConfigKey::ProxyUrl) => PROXY,
            _ => None,
        },
        _ => None,
    }
}

/// The host of a URL and its port, if it has one; of what is no URL, the text up to a path.
fn host(server: &str) -> String {
    if let Some(url) = Url::parse(server).ok().filter(Url::has_host) {
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        return format!("{}{port}", url.host_str().unwrap_or_default()).to_lowercase();
    }
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    host.rsplit('@').next().unwrap_or_default().to_lowercase()
}

/// Whether the environment names the server: without a port, on every port.
fn is_same(known: &str, server: &str) -> bool {
    known == server || server.rsplit_once(':').is_some_and(|(host, _)| host == known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(scheme: &str, settings: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<()> {
        let storage: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        check(&format!("{scheme}://b/k"), &storage, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_the_environment_names_servers_that_get_credentials() {
        for (scheme, name) in [
            ("s3", "endpoint"),
            ("s3a", "aws_endpoint_url"),
            ("s3", "aws_endpoint_url_s3"),
            ("s3", "endpoint_url_sts"),
            ("s3", "metadata_endpoint"),
            ("s3", "container_credentials_full_uri"),
            ("s3", "proxy_url"),
            ("gs", "base_url"),
            ("gs", "proxy_url"),
            ("az", "endpoint"),
            ("azure", "authority_host"),
            ("az", "msi_endpoint"),
            ("az", "fabric_workload_host"),
            ("az", "proxy_url"),
        ] {
            for server in ["http://127.0.0.1:5699", "https://Evil.example/x"] {
                let setting = [(name, server), ("allow_http", "true")];
                let host = host(server);
                let error = checked(scheme, &setting, &[]).expect_err(name);
                assert!(error.message.contains(&host), "{error}");
                assert!(error.hint.unwrap().contains(&format!("PIPELINE_STORAGE_HOSTS={host}")));
                let listed = format!("other, {host}");
                checked(scheme, &setting, &[(LISTED, &listed)]).expect(name);
                checked(scheme, &setting, &[("AWS_ENDPOINT_URL", server)]).expect(name);
                let unsigned = [setting[0], ("skip_signature", "true")];
                checked(scheme, &unsigned, &[]).expect(name);
            }
        }
        for (scheme, name) in [
            ("s3", "web_identity_token_file"),
            ("s3", "aws_container_authorization_token_file"),
            ("az", "federated_token_file"),
        ] {
            assert!(
                checked(scheme, &[(name, "/etc/x")], &[(LISTED, "/etc/x")]).is_err(),
                "{name}"
            );
        }
        assert!(checked("az", &[("use_emulator", "true")], &[]).is_err());
        for (scheme, name) in [
            ("s3", "region"),
            ("s3", "allow_http"),
            ("https", "proxy_url"),
            ("az", "use_emulator"),
        ] {
            checked(scheme, &[(name, "x")], &[]).expect(name);
        }
    }

    #[test]
    fn a_cloud_s_own_addresses_are_no_input() {
        let fails = |url: &str| check(url, &[], |_| None).is_err();
        for inner in [
            "http://169.254.169.254/latest/x",
            "http://169.254.170.2:80/x",
            "http://2852039166/x",
            "http://0xa9.254.0251.0376/x",
            "http://[fe80::1]/x",
            "http://[fd00:ec2::254]:80/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://Metadata.google.internal./x",
            "https://host/a/../x",
            "https://host/2023/%2E%2e/x",
            "https://host/./x",
        ] {
            assert!(fails(inner), "{inner}");
        }
        for good in [
            "http://127.0.0.1:1/x",
            "https://host/a..b/x",
            "https://169.254.169.254.example/x",
        ] {
            assert!(!fails(good), "{good}");
        }
        let unsigned = [("endpoint", "http://169.254.169.254"), ("skip_signature", "true")];
        assert!(checked("s3", &unsigned, &[]).is_err());
    }

    #[test]
    fn a_server_is_known_by_its_host_and_port() {
        let known = |listed: &str, server: &str| checked("s3", &[("endpoint", server)], &[(LISTED, listed)]).is_ok();
        assert!(known("minio.internal", "http://minio.internal:9000/"));
        assert!(known("minio.internal:9000 other", "http://MINIO.internal:9000"));
        assert!(known("https://minio.internal", "https://minio.internal"));
        assert!(!known("minio.internal:9000", "http://minio.internal:9001"));
        assert!(!known("minio.internal", "http://evil.minio.internal"));
        assert!(!known("minio.internal", "http://minio.internal@evil.example"));
        assert!(!known("minio.internal", "minio.internal@evil.example/"));
        assert!(!known("minio.internal", "http://evil.example#minio.internal"));
        assert!(!known("minio.internal", r"http://evil.example\@minio.internal"));
    }
}
