//! Reads what a field of type `reference` may refer to: `to`, `base` and `domains`.

use super::mapping::{Context, Mapping, Text, entry_text, list_texts};
use super::yaml::{Entry, Value};
use crate::model::wording::did_you_mean;
use crate::model::{Field, FieldType, References};

const KEYS: [&str; 3] = ["to", "base", "domains"];

/// Reads the keys of a reference. For a field of another type, each of them is a problem.
pub(super) fn read(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let kind = field.field_type.kind();
    let FieldType::Reference(references) = &mut field.field_type else {
        for entry in KEYS.iter().filter_map(|key| options.get(key)) {
            let message = format!("`{}` is nothing for {kind}", entry.key.text);
            ctx.problem(entry.key.span, message, "it is for `type: reference`".to_owned());
        }
        return;
    };
    if let Some(entry) = options.get("to") {
        references.to = read_types(ctx, entry);
    }
    if let Some(entry) = options.get("base") {
        references.base = read_bases(ctx, entry);
    }
    if let Some(entry) = options.get("domains") {
        references.domains = read_domains(ctx, entry, references);
    }
}

/// `a`, or `[a, b]`.
fn one_or_many<'n>(ctx: &mut Context<'_>, entry: &'n Entry) -> Vec<Text<'n>> {
    match &entry.value.value {
        Value::List(_) => list_texts(ctx, &format!("`{}`", entry.key.text), entry.place(), &entry.value),
        _ => entry_text(ctx, entry).into_iter().collect(),
    }
}

fn read_types(ctx: &mut Context<'_>, entry: &Entry) -> Vec<String> {
    let texts = one_or_many(ctx, entry);
    if matches!(&entry.value.value, Value::List(list) if list.is_empty()) {
        let hint = "leave it out where every type may be referred to".to_owned();
        ctx.problem(entry.key.span, "`to` names no type", hint);
    }
    let mut types: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        let is_name = text.value.starts_with(|c: char| c.is_ascii_uppercase())
            && text.value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name {
            let any = References::default();
            let hint = did_you_mean(text.raw, any.types())
                .unwrap_or_else(|| "write it as FHIR does: Patient, MedicationRequest".to_owned());
            ctx.problem_of(&text, &format!("`{}` is no type of a resource", text.value), &hint);
        } else if types.contains(&text.value) {
            let message = format!("`{}` stands twice in `to`", text.value);
            ctx.problem_of(&text, &message, "keep one of them");
        } else {
            types.push(text.value);
        }
    }
    types
}

/// The servers' addresses, without a slash at the end.
fn read_bases(ctx: &mut Context<'_>, entry: &Entry) -> Vec<String> {
    let mut bases = Vec::new();
    for text in ctx.with_variables(|ctx| one_or_many(ctx, entry)) {
        let base = text.value.trim_end_matches('/');
        let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        if host.is_none_or(str::is_empty) || base.contains(char::is_whitespace) {
            let hint = "write what stands before the type: https://x.example/fhir";
            ctx.problem_of(&text, "`base` is the address of a FHIR server", hint);
        }
        bases.push(base.to_owned());
    }
    bases
}

/// `domains: {Patient: patient, Group: group}`.
fn read_domains(ctx: &mut Context<'_>, entry: &Entry, references: &References) -> Vec<(String, String)> {
    let Some(names) = Mapping::of_names(ctx, "`domains`", entry.key.span, &entry.value) else {
        return Vec::new();
    };
    let mut domains = Vec::new();
    for entry in names.entries() {
        let name = &entry.key.text;
        if !references.types().contains(&name.as_str()) {
            let hint = did_you_mean(name, references.types())
                .unwrap_or_else(|| "name a type that the field may refer to".to_owned());
            ctx.problem(
                entry.key.span,
                format!("`domains` names `{name}`, to which the field does not refer"),
                hint,
            );
        }
        let Some(domain) = entry_text(ctx, entry) else { continue };
        if domain.value.trim().is_empty() {
            let hint = "name the kind of value, e.g. `Patient: patient`";
            ctx.problem_of(&domain, &format!("the domain of `{name}` is empty"), hint);
        }
        domains.push((name.clone(), domain.value));
    }
    domains
}
