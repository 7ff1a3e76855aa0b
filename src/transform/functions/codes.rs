//! `code_system` and `code_value`: the two halves of a coded value, such as `ICD-10:E11.9` or the FHIR token
//! `http://hl7.org/fhir/sid/icd-10|E11.9` (FHIR R4, search type token: `|` separates system and code).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `code_system(text)`: the part before the separator; null where there is no separator.
pub(super) fn code_system() -> ScalarUDF {
    ScalarUDF::from(CodePart {
        name: "code_system",
        part: Part::System,
        signature: signature(),
        documentation: super::documented(
            "code_system(text)",
            "The coding system of a code: `ICD-10` for `'ICD-10:E11.9'`. Null if the text names no system.",
        ),
    })
}

/// `code_value(text)`: the part after the separator; the whole text where there is no separator.
pub(super) fn code_value() -> ScalarUDF {
    ScalarUDF::from(CodePart {
        name: "code_value",
        part: Part::Value,
        signature: signature(),
        documentation: super::documented(
            "code_value(text)",
            "The code without its system: `E11.9` for `'ICD-10:E11.9'`. The whole text if it names no system.",
        ),
    })
}

fn signature() -> Signature {
    Signature::string(1, Volatility::Immutable)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    System,
    Value,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CodePart {
    name: &'static str,
    part: Part,
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for CodePart {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = cast(&args.args[0].to_array(args.number_rows)?, &DataType::Utf8)?;
        let parts: StringArray = texts
            .as_string::<i32>()
            .iter()
            .map(|t| t.and_then(|t| self.part.of(t)))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(parts) as ArrayRef))
    }
}

impl Part {
    fn of(self, text: &str) -> Option<&str> {
        let (system, value) = split(text.trim());
        let part = match self {
            Self::System => system?,
            Self::Value => value,
        };
        (!part.is_empty()).then_some(part)
    }
}

/// Splits at the first `|` if there is one, since a system that is a URL contains colons, and no `|` (RFC 3986, 2); a
/// code, such as a SNOMED CT expression, may contain further ones. Otherwise it splits at the first `:`,
/// since codes may contain further ones.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once('|').or_else(|| text.split_once(':')) {
        Some((system, value)) => (Some(system.trim()), value.trim()),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_system_and_code() {
        for (text, system, value) in [
            ("ICD-10:E11.9", Some("ICD-10"), Some("E11.9")),
            (
                "http://hl7.org/fhir/sid/icd-10|E11.9",
                Some("http://hl7.org/fhir/sid/icd-10"),
                Some("E11.9"),
            ),
            (" SNOMED : 44054006 ", Some("SNOMED"), Some("44054006")),
            ("E11.9", None, Some("E11.9")),
            ("|E11.9", None, Some("E11.9")),
            ("ICD-10:", Some("ICD-10"), None),
            ("", None, None),
            ("LOCAL:a:b", Some("LOCAL"), Some("a:b")),
            (
                "http://snomed.info/sct|73211009 |Diabetes mellitus|",
                Some("http://snomed.info/sct"),
                Some("73211009 |Diabetes mellitus|"),
            ),
            ("urn:oid:1.2|a|b", Some("urn:oid:1.2"), Some("a|b")),
        ] {
            assert_eq!(Part::System.of(text), system, "{text}");
            assert_eq!(Part::Value.of(text), value, "{text}");
        }
    }
}
