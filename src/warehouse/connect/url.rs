//! Reads a `postgres://` URL into keywords and values as libpq does (PostgreSQL manual, "Connection URIs").

use crate::error::{Error, Result};

/// Reads the text after `postgres://`. Returns keywords and values in the order of the URL. `origin` names it in
/// errors.
pub(super) fn read(rest: &str, origin: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let decode = |part: &str, what: &str| {
        percent_decode(part)
            .ok_or_else(|| Error::project(format!("{origin} has a broken percent-encoding in its {what}")))
    };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    // libpq looks for the `@` up to the first slash.
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let (user_info, hosts) = match authority.split_once('@') {
        Some((user_info, hosts)) => (user_info, hosts),
        None => ("", authority),
    };
    // A password with one of these would be read as something else, and its end shown as a host or a database.
    if hosts.contains('@') || database.contains(['@', '/']) || query.split('&').any(is_cut) {
        return Err(Error::project(format!("{origin} has a `@`, `/` or `?` where none can be"))
            .cause("user name or password hold one as it is")
            .hint("percent-encode it: %40 for @, %2F for /, %3F for ?; or give the password by PGPASSWORD or ~/.pgpass"));
    }
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    for (keyword, part) in [("user", user), ("password", password), ("dbname", database)] {
        if !part.is_empty() {
            found.push((keyword.to_owned(), decode(part, keyword)?));
        }
    }
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for entry in hosts.split(',').filter(|_| !hosts.is_empty()) {
        let (name, port) = split_host(entry)
            .ok_or_else(|| Error::project(format!("{origin} has a `[` without its `]` in the host")))?;
        names.push(decode(name, "host")?);
        ports.push(decode(port, "port")?);
    }
    if names.iter().any(|name| !name.is_empty()) {
        found.push(("host".to_owned(), names.join(",")));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        found.push(("port".to_owned(), ports.join(",")));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::project(format!("{origin} lacks a `=` in one of its query parameters")))?;
        let (keyword, value) = (decode(keyword, "query")?, decode(value, "query")?);
        // JDBC's spelling, which libpq accepts, too.
        if keyword == "ssl" && value == "true" {
            found.push(("sslmode".to_owned(), "require".to_owned()));
        } else {
            found.push((keyword, value));
        }
    }
    Ok(found)
}

/// Whether a query parameter is rather the end of a password and what follows it.
fn is_cut(pair: &str) -> bool {
    // Some servers have a `@` in user names, which many give like this.
    pair.contains('@') && !pair.starts_with("user=") && !pair.starts_with("password=")
}

/// Host and port of one entry of a URL's host list; `None` for an unclosed bracket.
fn split_host(entry: &str) -> Option<(&str, &str)> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        return Some((name, rest.strip_prefix(':').unwrap_or_default()));
    }
    Some(entry.split_once(':').unwrap_or((entry, "")))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
        decoded.push(u8::try_from(value).ok().filter(|value| *value != 0)?);
    }
    String::from_utf8(decoded).ok()
}
