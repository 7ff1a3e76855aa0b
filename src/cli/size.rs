//! Sizes on the command line.

/// Bytes, from `256MB`, `2GB`, `64MiB` or a bare number.
pub(super) fn size(text: &str) -> std::result::Result<usize, String> {
    Some(bytes(text)?)
        .filter(|bytes| *bytes >= 64 << 20)
        .ok_or_else(|| "a size is at least 64MB".to_owned())
}

/// Bytes, of any number. 0, or `none`: nothing is divided.
pub(super) fn part_size(text: &str) -> std::result::Result<usize, String> {
    match text.trim() {
        "none" => Ok(0),
        text => bytes(text),
    }
}

fn bytes(text: &str) -> std::result::Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits]
        .parse()
        .map_err(|_| "a size is written 256MB or 2GB".to_owned())?;
    let unit = match text[digits..].trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err("a size is written 256MB or 2GB".to_owned()),
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| "a size is written 256MB or 2GB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{part_size, size};

    #[test]
    fn sizes() {
        assert_eq!(size("256MB"), Ok(256 << 20));
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("1KB"), Err("a size is at least 64MB".into()));
        assert!(size("many").is_err());
        assert!(size("99999999999GB").is_err());
        assert_eq!(part_size("1KB"), Ok(1024));
        assert_eq!(part_size("none"), Ok(0));
        assert!(part_size("some").is_err());
    }
}
