//! Converts a [`Server`]'s settings to tokio-postgres's configuration.

use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::SslNegotiation;

use super::server::Server;
use super::target::{Host, Target};

/// The configuration for one of the server's hosts.
pub(super) fn config(server: &Server, target: &Target) -> Config {
    let mut config = Config::new();
    config
        .user(&server.user)
        .dbname(&server.database)
        .application_name(&server.application_name)
        .port(target.port)
        .target_session_attrs(server.session)
        .channel_binding(server.channel_binding)
        .keepalives(server.keepalives.on)
        .keepalives_idle(server.keepalives.idle)
        .keepalives_interval(server.keepalives.interval)
        .keepalives_retries(server.keepalives.count);
    match &target.host {
        Host::Tcp { name, address } => {
            config.host(name);
            if let Some(address) = address {
                config.hostaddr(*address);
            }
        }
        Host::Socket(folder) => {
            socket_host(&mut config, folder);
        }
    }
    if let Some(password) = &target.password {
        config.password(password.reveal());
    }
    if let Some(options) = &server.options {
        config.options(options);
    }
    if let Some(timeout) = server.connect_timeout {
        config.connect_timeout(timeout);
    }
    if let Some(timeout) = server.keepalives.user_timeout {
        config.tcp_user_timeout(timeout);
    }
    if server.tls.direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config
}

#[cfg(unix)]
fn socket_host(config: &mut Config, folder: &Path) {
    config.host_path(folder);
}

#[cfg(not(unix))]
fn socket_host(config: &mut Config, folder: &Path) {
    config.host(folder.display().to_string());
}
