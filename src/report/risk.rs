//! Prints how alone persons stand in the views.

use serde_json::{Value, json};

use super::outcome::error_value;
use super::{data, failure, lines, message, table};
use crate::run::Risk;

/// Prints a row for each view: the columns that were counted, the smallest number of persons, and the smallest number
/// of values of any other column.
///
/// Says why views could not be measured. Returns the exit code: 1 where there are any.
pub fn risk(risks: &[Risk], as_json: bool) -> u8 {
    if as_json {
        data(&risks.iter().map(value).collect::<Value>().to_string());
    } else {
        show(risks);
    }
    let failed = risks.iter().filter_map(|risk| risk.failed.as_ref());
    failed.map(failure).max().unwrap_or_default()
}

fn show(risks: &[Risk]) {
    let mut table = table(&["view", "quasi-identifiers", "k", "of", "l", "in"], &[2, 4]);
    for risk in risks {
        let least = least(risk);
        let k = risk.found.as_ref().and_then(|found| found.k);
        let or_dash = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        table.add_row([
            risk.measured.view.clone(),
            if risk.failed.is_some() {
                "not measured".to_owned()
            } else if risk.measured.quasi.is_empty() {
                "none".to_owned()
            } else {
                risk.measured.quasi.join(", ")
            },
            or_dash(k),
            unit(risk).to_owned(),
            or_dash(least.map(|(_, number)| number)),
            least.map_or_else(String::new, |(column, _)| column.to_owned()),
        ]);
    }
    data(&lines(&table));
    message("k: the fewest that share a combination; l: the fewest values of a column that they have between them");
}

/// The column with the fewest values in a combination.
fn least(risk: &Risk) -> Option<(&str, u64)> {
    let numbers = risk.found.as_ref().map_or(&[][..], |found| found.l.as_slice());
    let columns = risk.measured.others.iter().zip(numbers);
    columns
        .filter_map(|(column, number)| Some((column.as_str(), (*number)?)))
        .min_by_key(|(_, number)| *number)
}

fn unit(risk: &Risk) -> &'static str {
    match (
        risk.measured.quasi.is_empty() || risk.failed.is_some(),
        risk.measured.person.is_empty(),
    ) {
        (true, _) => "",
        (_, true) => "rows",
        (_, false) => "persons",
    }
}

fn value(risk: &Risk) -> Value {
    let numbers = risk.found.as_ref().map_or(&[][..], |found| found.l.as_slice());
    let l = risk
        .measured
        .others
        .iter()
        .cloned()
        .zip(numbers.iter().map(|number| json!(number)));
    json!({
        "view": risk.measured.view,
        "quasi": risk.measured.quasi,
        "k": risk.found.as_ref().and_then(|found| found.k),
        "of": unit(risk),
        "l": l.collect::<serde_json::Map<_, _>>(),
        "failed": risk.failed.as_ref().map(error_value),
    })
}
