//! Prints what `pipeline roles` did.

use serde_json::json;

use super::{data, message};
use crate::lineage::Reading;
use crate::warehouse::roles::{Access, Names};

/// Prints the rights of each role. Prints on stderr what the user still has to do by hand.
pub fn roles(names: &Names, reading: &Reading, access: &Access, as_json: bool) {
    let tables: Vec<&str> = reading.tables.iter().map(|table| table.entity.as_str()).collect();
    let is_open = |name: &&str| access.views.iter().any(|view| view.name == *name);
    let views = reading.views.iter().map(String::as_str);
    let (open, closed): (Vec<&str>, Vec<&str>) = views.partition(is_open);
    let stale: Vec<String> = access.stale.iter().flatten().map(ToString::to_string).collect();
    if as_json {
        let hidden: Vec<String> = hidden(reading);
        let roles =
            json!({"owner": names.owner, "loader": names.loader, "reader": names.reader, "checker": names.checker});
        let withheld = &reading.withheld;
        data(
            &json!({"roles": roles, "tables": tables, "views": open, "hidden": hidden, "withheld": withheld,
                "stale_batches": stale, "stale_views": closed, "exposed": exposed(reading)})
            .to_string(),
        );
        return;
    }
    data(&format!(
        "{}: owns schemas, tables and views; can't log in",
        names.owner
    ));
    data(&format!(
        "{}: a member of it; for `pipeline migrate`, `views` and `run`",
        names.loader
    ));
    data(&format!(
        "{}: checks of sql/checks run with its rights; can't log in",
        names.checker
    ));
    let seen: Vec<&str> = tables.iter().copied().chain(open).collect();
    data(&format!("{}: reads {}", names.reader, seen.join(", ")));
    if !stale.is_empty() {
        data(&format!("  without batches under other masks: {}", stale.join(", ")));
    }
    if !closed.is_empty() {
        data(&format!(
            "  and without views over their columns: {}",
            closed.join(", ")
        ));
    }
    if reading.hides_batch_date {
        data(&format!("  without {}", hidden(reading).join(", ")));
        let withheld: Vec<String> = reading
            .withheld
            .iter()
            .map(|(view, columns)| format!("{view} ({})", columns.join(", ")))
            .collect();
        if !withheld.is_empty() {
            data(&format!(
                "  and without what shows or may show the batch's date: {}",
                withheld.join(", ")
            ));
        }
    }
    for one in &reading.exposed {
        data(&format!("  exposed is {}: {}", one.name, one.reason));
    }
    message(&format!(
        "no role was given a password: in psql, \\password {} and \\password {}, or let pg_hba.conf trust certificates or peers",
        names.loader, names.reader
    ));
}

fn exposed(reading: &Reading) -> Vec<serde_json::Value> {
    let exposed = reading.exposed.iter();
    exposed
        .map(|one| json!({"view": one.name, "reason": one.reason}))
        .collect()
}

fn hidden(reading: &Reading) -> Vec<String> {
    let columns = reading.tables.iter().flat_map(|table| {
        table
            .hidden
            .iter()
            .map(move |column| format!("{}.{column}", table.entity))
    });
    columns.collect()
}
