//! Reads `storage:` of an input: the settings of its object store, with the names of the crate object_store. Secret
//! settings are refused, because object_store reads them from the environment.

use std::str::FromStr;

use object_store::ClientConfigKey;
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;

use super::keys::{NameOf, Shape};
use super::mapping::{Context, Mapping, entry_text};
use super::secrets;
use super::yaml::{Entry, Node, Value};
use crate::model::wording::did_you_mean;

/// The value of `storage`.
pub(super) const SHAPE: Shape = Shape::Named(NameOf::Other, 0, &Shape::Setting);

/// Common settings, for "did you mean" suggestions. object_store knows more.
const COMMON: [&str; 12] = [
    "endpoint",
    "region",
    "allow_http",
    "allow_invalid_certificates",
    "virtual_hosted_style_request",
    "skip_signature",
    "account_name",
    "base_url",
    "use_emulator",
    "proxy_url",
    "timeout",
    "connect_timeout",
];
/// Settings that the path already decides. Here they could silently contradict it.
const IN_THE_PATH: [&str; 8] = [
    "bucket",
    "bucket_name",
    "aws_bucket",
    "aws_bucket_name",
    "google_bucket",
    "google_bucket_name",
    "container_name",
    "azure_container_name",
];

/// Reads the settings and leaves out those that are refused.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry) -> Vec<(String, String)> {
    let Some(settings) = Mapping::of_names(ctx, "`storage`", entry.key.span, &entry.value) else {
        return Vec::new();
    };
    let mut storage = Vec::new();
    for entry in settings.entries() {
        let name = &entry.key.text;
        if secrets::is_secret_setting(name) {
            let message = format!("a secret may not stand in a project file: `{name}`");
            ctx.problem(entry.key.span, message, secrets::HINT.to_owned());
            continue;
        }
        // object_store takes all settings as text. So the user can write `allow_http: true` without quotes.
        let value = match &entry.value.value {
            Value::Bool(value) => Some(value.to_string()),
            _ => entry_text(ctx, entry).map(|text| text.value),
        };
        storage.extend(value.map(|value| (name.to_lowercase(), value)));
    }
    storage
}

/// Checks that the object store of the scheme knows the settings. `None` means a local path.
pub(super) fn check(ctx: &mut Context<'_>, entry: &Entry, scheme: Option<&str>) {
    let Some(scheme) = scheme else {
        let hint = "it is for s3://, gs://, az:// and https://: take it out".to_owned();
        ctx.problem(entry.key.span, "nothing acts on `storage` for a local path", hint);
        return;
    };
    let Value::Map(entries) = &entry.value.value else {
        return;
    };
    for Entry { key, value, .. } in entries {
        let name = key.text.to_lowercase();
        if secrets::is_secret_setting(&name) {
            continue;
        }
        if IN_THE_PATH.contains(&name.as_str()) {
            let message = format!("`{}` is nothing for `storage`", key.text);
            ctx.problem(key.span, message, "the path names it: take it out".to_owned());
        } else if is_in_a_host(scheme, &name) && !is_label(value) {
            let message = format!(
                "`{}` must be letters, digits and `-`: it becomes a part of a server's name",
                key.text
            );
            ctx.problem(key.span, message, "write the name alone".to_owned());
        } else if !is_known(scheme, &name) {
            let hint = did_you_mean(&name, COMMON)
                .unwrap_or_else(|| "settings are those of object_store: endpoint, region, allow_http, ...".to_owned());
            ctx.problem(key.span, format!("`{scheme}://` knows no setting `{}`", key.text), hint);
        }
    }
}

/// Whether the setting becomes a part of a server's name.
fn is_in_a_host(scheme: &str, name: &str) -> bool {
    match scheme {
        "s3" | "s3a" => matches!(
            AmazonS3ConfigKey::from_str(name),
            Ok(AmazonS3ConfigKey::Region | AmazonS3ConfigKey::DefaultRegion)
        ),
        "az" | "azure" => matches!(AzureConfigKey::from_str(name), Ok(AzureConfigKey::AccountName)),
        _ => false,
    }
}

/// Whether a value is a single part of a server's name. What comes from the environment is not judged, and what is no text
/// is told elsewhere.
fn is_label(node: &Node) -> bool {
    let Value::Text(text) = &node.value else {
        return true;
    };
    let mut written = text.split("${");
    let first = written.next().unwrap_or_default().to_owned();
    let rest = written.map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    let written = first + &rest.collect::<String>();
    written.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether the scheme's store knows the setting. Every setting of an unknown scheme passes, because the scheme itself
/// is reported as a problem of the path.
fn is_known(scheme: &str, name: &str) -> bool {
    match scheme {
        "s3" | "s3a" => AmazonS3ConfigKey::from_str(name).is_ok(),
        "gs" => GoogleConfigKey::from_str(name).is_ok(),
        "az" | "azure" => AzureConfigKey::from_str(name).is_ok(),
        "http" | "https" => ClientConfigKey::from_str(name).is_ok(),
        _ => true,
    }
}
