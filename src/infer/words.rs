//! Words of names: how a name falls into words, and their singular and plural.

/// The words of a name, in lower case: `birthDate` and `birth_date` are `birth`, `date`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for sign in name.chars() {
        let starts = !before.is_alphanumeric() || sign.is_uppercase() && before.is_lowercase();
        if sign.is_alphanumeric() {
            if starts || words.is_empty() {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(sign.to_lowercase());
            }
        }
        before = sign;
    }
    words
}

pub(super) fn singular(name: &str) -> String {
    if name == "children" {
        return "child".to_owned();
    }
    if let Some(stem) = name.strip_suffix("gnoses") {
        return format!("{stem}gnosis");
    }
    if let Some(stem) = name.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    if let Some(stem) = name
        .strip_suffix("es")
        .filter(|stem| stem.ends_with("ss") || stem.ends_with('x') || stem.ends_with("ch"))
    {
        return stem.to_owned();
    }
    match name.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') && !stem.ends_with("si") && !stem.ends_with('u') && stem.len() > 1 => {
            stem.to_owned()
        }
        _ => name.to_owned(),
    }
}

pub(super) fn plural(name: &str) -> String {
    if name == "child" {
        "children".to_owned()
    } else if let Some(stem) = name.strip_suffix("gnosis") {
        format!("{stem}gnoses")
    } else if name.ends_with('s') {
        name.to_owned()
    } else if let Some(stem) = name
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))
    {
        format!("{stem}ies")
    } else {
        format!("{name}s")
    }
}
