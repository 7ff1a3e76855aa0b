//! Tests of `pipeline lsp` with a client of its own, and with Neovim as a real one.
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use self::client::Client;
use crate::harness::{Project, Small, repository};

mod client;

const SQL: &str = "sql/clinic/items.sql";
const SOURCE: &str = "pipelines/clinic.yaml";
const CONTRACT: &str = "pipeline.yaml";

fn nested() -> Project {
    Small::new()
        .schema(
            "id: {type: string, required: true, phi: identifier, mask: hash, domain: patient, description: The card}\n\
             visit: {struct: {n: bigint, at: date}}",
        )
        .sql("select id as item_id, visit['n'] as n\nfrom source")
        .project()
}

#[test]
fn problems_are_shown_as_they_are_typed_and_go_when_mended() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    let good = project.read(SQL);
    client.open(SQL, &good);
    // Characters that are two UTF-16 units stand before the fault.
    client.change(SQL, "select '😀😀' as item_id, visit['m'] as n\nfrom source");
    let shown = client.until_shown(SQL, |shown| !shown.is_empty());
    assert_eq!(
        shown,
        ["0:31-0:36 project_invalid there is no field `m`\nhint: its fields are n and at"]
    );
    client.change(SQL, &good);
    client.until_shown(SQL, <[String]>::is_empty);
    // The file on the disk has not been touched.
    assert_eq!(project.read(SQL), good);
}

#[test]
fn a_change_of_yaml_shows_what_it_breaks_elsewhere() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    let source = project.read(SOURCE);
    client.open(SOURCE, &source);
    let at = source.lines().position(|line| line.contains("visit:")).unwrap();
    let column = source.lines().nth(at).unwrap().find("n: bigint").unwrap();
    // A change of a part: the field `n` becomes `count`.
    let start = json!({"line": at, "character": column});
    let end = json!({"line": at, "character": column + 1});
    client.changes(
        SOURCE,
        json!([{"range": {"start": start, "end": end}, "text": "count"}]),
    );
    let shown = client.until_shown(SQL, |shown| !shown.is_empty());
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].contains("there is no field `n`"), "{shown:?}");
    // YAML that can't be read is shown in its own file, and the other problem is not known to be there any more.
    client.change(SOURCE, &source.replace("visit: {", "visit: [{"));
    let shown = client.until_shown(SOURCE, |shown| !shown.is_empty());
    assert!(shown[0].contains("project_invalid"), "{shown:?}");
    client.change(SOURCE, &source);
    client.until_shown(SOURCE, <[String]>::is_empty);
}

/// Migrations, views and test cases are checked as the editor has them, too.
#[test]
fn files_that_are_not_saved_are_checked() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    client.open("sql/views/all_items.sql", "select item_id,\n  nothing_of_it from items");
    let shown = client.until_shown("sql/views/all_items.sql", |shown| !shown.is_empty());
    assert!(shown[0].starts_with("1:2-1:15 project_invalid"), "{shown:?}");
    assert!(shown[0].contains("nothing_of_it"), "{shown:?}");
    client.change("sql/views/all_items.sql", "select item_id from items");
    client.until_shown("sql/views/all_items.sql", <[String]>::is_empty);
    client.open("migrations/V2__more.sql", "alter table items add column extra text;\n");
    let shown = client.until_shown(CONTRACT, |shown| !shown.is_empty());
    assert!(shown[0].contains("extra"), "{shown:?}");
    client.change("migrations/V2__more.sql", "-- nothing\n");
    client.until_shown(CONTRACT, <[String]>::is_empty);
    client.open(
        "sql/clinic/tests/one.yaml",
        "tests:\n  - name: a\n    dat: 2023-05-01\n",
    );
    let shown = client.until_shown("sql/clinic/tests/one.yaml", |shown| !shown.is_empty());
    assert!(shown.iter().any(|problem| problem.contains("dat")), "{shown:?}");
}

fn labels(completions: &Value) -> Vec<&str> {
    let items = completions["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{completions}"));
    items.iter().map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn completes_what_the_project_declares() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    client.open(SQL, "select id as item_id, visit['\nfrom source");
    let found = client.at("completion", SQL, 0, 29);
    assert_eq!(labels(&found), ["n", "at"], "{found}");
    assert_eq!(found["items"][0]["textEdit"]["newText"], "n']");
    assert_eq!(found["items"][0]["detail"], "bigint");
    client.change(SQL, "select id as item_id, \nfrom source");
    let found = client.at("completion", SQL, 0, 22);
    for label in ["id", "visit", "null as n", "parse_date", "unnest"] {
        assert!(labels(&found).contains(&label), "{label} in {found}");
    }
    client.change(SQL, "select id as item_id from ");
    assert_eq!(labels(&client.at("completion", SQL, 0, 26)), ["source"]);
    // A field that is not saved yet.
    let source = project
        .read(SOURCE)
        .replace("visit: {struct: {", "visit: {struct: {new_one: string, ");
    client.open(SOURCE, &source);
    client.change(SQL, "select visit.\nfrom source");
    assert_eq!(labels(&client.at("completion", SQL, 0, 13)), ["new_one", "n", "at"]);
    // While the YAML can't be read, the last that could be is what counts.
    client.change(SOURCE, &format!("{source}\nsubject: [\n"));
    assert_eq!(labels(&client.at("completion", SQL, 0, 13)), ["new_one", "n", "at"]);
    client.change(SOURCE, &format!("{source}subject: "));
    let line = u32::try_from(source.lines().count()).unwrap();
    assert!(labels(&client.at("completion", SOURCE, line, 9)).contains(&"id"));
}

#[test]
fn shows_and_goes_to_what_a_name_means() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    let sql = project.read(SQL);
    client.open(SQL, &sql);
    let hover = client.at("hover", SQL, 0, 8);
    let text = hover["contents"]["value"].as_str().unwrap();
    for part in [
        "`id`: string, required",
        "class: identifier; mask `hash`, domain `patient`",
        "The card",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // From the nested field to its line in YAML, and back to the SQL and to the contract.
    let field = client.at("definition", SQL, 0, 30);
    assert_eq!(field[0]["uri"], client.uri(SOURCE), "{field}");
    let start = &field[0]["range"]["start"];
    let (line, character) = (start["line"].as_u64().unwrap(), start["character"].as_u64().unwrap());
    let source = project.read(SOURCE);
    let written = source.lines().nth(usize::try_from(line).unwrap()).unwrap();
    assert!(
        written[usize::try_from(character).unwrap()..].starts_with("n: bigint"),
        "{written}"
    );
    client.open(SOURCE, &source);
    let (line, character) = (u32::try_from(line).unwrap(), u32::try_from(character).unwrap());
    let uses = client.at("definition", SOURCE, line, character);
    assert_eq!(uses[0]["uri"], client.uri(SQL), "{uses}");
    assert_eq!(uses[0]["range"]["start"], json!({"line": 0, "character": 28}), "{uses}");
    assert_eq!(uses[1]["uri"], client.uri(CONTRACT), "{uses}");
    // From the contract's column to the SQL that gives it.
    let contract = project.read(CONTRACT);
    client.open(CONTRACT, &contract);
    let line = contract
        .lines()
        .position(|line| line.trim_start().starts_with("n:"))
        .unwrap();
    let line = u32::try_from(line).unwrap();
    let given = client.at("definition", CONTRACT, line, 6);
    assert_eq!(given[0]["uri"], client.uri(SQL), "{given}");
    assert_eq!(
        given[0]["range"]["start"],
        json!({"line": 0, "character": 36}),
        "{given}"
    );
    let hover = client.at("hover", CONTRACT, line, 6);
    assert!(
        hover["contents"]["value"]
            .as_str()
            .unwrap()
            .contains("clinic: from `visit.n`"),
        "{hover}"
    );
}

/// The places of an answer, as `file:line:character`, all counted from 0.
fn places(client: &Client<'_>, project: &Project, answer: &Value) -> Vec<String> {
    let root = client.uri("");
    let shown = |place: &Value| {
        let start = &place["range"]["start"];
        let file = place["uri"].as_str().unwrap().strip_prefix(&root).unwrap();
        assert!(project.path(file).exists(), "{file}");
        format!("{file}:{}:{}", start["line"], start["character"])
    };
    answer
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(shown)
        .collect()
}

#[test]
fn all_places_that_speak_of_a_column_or_a_field_are_found() {
    let project = nested().file(
        "sql/views/numbers.sql",
        "select n, count(*) as items from items where n > 0 group by n\n",
    );
    project.write("sql/checks/none.sql", "select i.n from items i where i.n < 0\n");
    project.write(
        "sql/clinic/tests/one.yaml",
        "tests:\n  - name: n\n    date: 2023-05-01\n    records:\n      - {id: a, visit: {n: 1}}\n    rows:\n      items:\n        - {n: 1}\n",
    );
    project.run(&["check"]).code(0);
    let mut client = Client::start(&project, &[]);
    let sql = "select id as item_id, upper(visit['n']::text)::bigint as n\nfrom source where visit.n > 0";
    client.open(SQL, sql);
    let of = |client: &mut Client<'_>, line: u32, character: u32, declaration: bool| {
        let more =
            json!({"position": {"line": line, "character": character}, "context": {"includeDeclaration": declaration}});
        let answer = client.about("references", SQL, more);
        places(client, &project, &answer)
    };
    let column = of(&mut client, 0, 57, true);
    insta::assert_snapshot!(column.join("\n"), @r"
    pipeline.yaml:5:6
    sql/clinic/items.sql:0:57
    sql/views/numbers.sql:0:7
    sql/views/numbers.sql:0:45
    sql/views/numbers.sql:0:60
    sql/checks/none.sql:0:9
    sql/checks/none.sql:0:32
    migrations/V1__items.sql:2:2
    sql/clinic/tests/one.yaml:7:11
    ");
    let field = of(&mut client, 1, 24, false);
    insta::assert_snapshot!(field.join("\n"), @r"
    sql/clinic/items.sql:0:34
    sql/clinic/items.sql:1:24
    sql/clinic/tests/one.yaml:4:24
    ");
    assert_eq!(of(&mut client, 0, 1, true), [""; 0]);
}

#[test]
fn fields_of_a_shared_file_are_known_in_both_directions() {
    let project = nested();
    project.write(
        "schemas/visit.yaml",
        "n: {type: bigint, description: The number}\nat: date\n",
    );
    project.edit(
        SOURCE,
        "{struct: {n: bigint, at: date}}",
        "{struct: {use: schemas/visit.yaml}}",
    );
    project.run(&["check"]).code(0);
    let mut client = Client::start(&project, &[]);
    client.open(SQL, "select id as item_id, visit['\nfrom source");
    assert_eq!(labels(&client.at("completion", SQL, 0, 29)), ["n", "at"]);
    client.change(SQL, &project.read(SQL));
    let field = client.at("definition", SQL, 0, 30);
    assert_eq!(places(&client, &project, &field), ["schemas/visit.yaml:0:0"]);
    let shared = project.read("schemas/visit.yaml");
    client.open("schemas/visit.yaml", &shared);
    let hover = client.at("hover", "schemas/visit.yaml", 0, 0);
    let text = hover["contents"]["value"].as_str().unwrap();
    assert!(
        text.contains("`visit.n`: bigint") && text.contains("The number"),
        "{text}"
    );
    let uses = client.at("definition", "schemas/visit.yaml", 0, 0);
    assert_eq!(places(&client, &project, &uses)[0], format!("{SQL}:0:28"));
    client.change("schemas/visit.yaml", &format!("{shared}more: {{type: string, "));
    assert!(labels(&client.at("completion", "schemas/visit.yaml", 2, 21)).contains(&"mask"));
    // A fault in the shared file is shown there.
    client.change("schemas/visit.yaml", &shared.replace("bigint", "bigin"));
    let shown = client.until_shown("schemas/visit.yaml", |shown| !shown.is_empty());
    assert!(shown[0].contains("`bigin` is no type of a field"), "{shown:?}");
}

#[test]
fn a_missing_column_can_be_added() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    client.open(SQL, "select\n    id as item_id\nfrom source\n");
    let shown = client.until_shown(SQL, |shown| !shown.is_empty());
    assert!(
        shown[0].contains("column `n` (bigint) of items is missing"),
        "{shown:?}"
    );
    let place = json!({"line": 0, "character": 0});
    let context = json!({"range": {"start": place, "end": place}, "context": {"diagnostics": []}});
    let actions = client.about("codeAction", SQL, context);
    assert_eq!(actions[0]["title"], "Add the missing column `n` as null", "{actions}");
    let edits = actions[0]["edit"]["changes"][client.uri(SQL)].clone();
    assert_eq!(
        edits,
        json!([
            {"range": {"start": {"line": 1, "character": 17}, "end": {"line": 1, "character": 17}}, "newText": ","},
            {"range": {"start": {"line": 1, "character": 17}, "end": {"line": 1, "character": 17}},
             "newText": "\n    null as n -- no field found"},
        ])
    );
    let place = json!({"line": 2, "character": 0});
    let elsewhere = json!({"range": {"start": place, "end": place}, "context": {"diagnostics": []}});
    assert_eq!(client.about("codeAction", SQL, elsewhere), json!([]));
    client.change(
        SQL,
        "select\n    id as item_id,\n    null as n -- no field found\nfrom source\n",
    );
    client.until_shown(SQL, <[String]>::is_empty);
}

#[test]
fn it_ends_as_the_protocol_says() {
    let project = nested();
    let mut client = Client::start(&project, &["--stdio"]);
    assert_eq!(client.request("shutdown", json!(null)), Value::Null);
    assert_eq!(client.request("textDocument/hover", json!({}))["code"], -32600);
    client.notify("exit", json!(null));
    assert_eq!(client.wait().code(), Some(0));
    assert_eq!(client.said(), "");

    let mut client = Client::start(&project, &[]);
    client.notify("exit", json!(null));
    assert_eq!(client.wait().code(), Some(1));

    // The editor has died.
    let mut client = Client::start(&project, &[]);
    client.open(SQL, "select");
    client.close();
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn what_it_does_not_know_is_answered_with_an_error() {
    let project = nested();
    let mut client = Client::start(&project, &[]);
    assert_eq!(client.request("textDocument/formatting", json!({}))["code"], -32601);
    assert_eq!(
        client.request("textDocument/hover", json!({"nothing": 1}))["code"],
        -32602
    );
    client.notify("$/setTrace", json!({"value": "off"}));
    client.notify("textDocument/didOpen", json!({"nothing": 1}));
    client.open("../elsewhere.sql", "select 1");
    assert_eq!(client.at("hover", "../elsewhere.sql", 0, 3), Value::Null);
    client.notify(
        "textDocument/didOpen",
        json!({"textDocument": {"uri": "untitled:1", "text": "select"}}),
    );
    assert_eq!(
        client.request(
            "textDocument/hover",
            json!({"textDocument": {"uri": "untitled:1"}, "position": {"line": 0, "character": 0}})
        ),
        Value::Null
    );
    // Behind the end of the text.
    client.open(SQL, "select id from source\n");
    assert_eq!(client.at("hover", SQL, 90, 90), Value::Null);
}

/// A client that can tell of files that change outside of it is asked to, and then told what they break.
#[test]
fn files_that_change_outside_of_the_editor_are_checked() {
    let project = nested();
    let mut client = Client::raw(&project, &[]);
    let can = json!({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true}}});
    client.request("initialize", json!({"capabilities": can}));
    client.notify("initialized", json!({}));
    let asked = client.note("client/registerCapability");
    assert_eq!(
        asked["params"]["registrations"][0]["method"],
        "workspace/didChangeWatchedFiles"
    );
    client.send(&json!({"id": asked["id"], "result": null}));
    project.write(SQL, "select id as item_id, nothing as n from source\n");
    let changed = json!({"changes": [{"uri": client.uri(SQL), "type": 2}]});
    client.notify("workspace/didChangeWatchedFiles", changed);
    let shown = client.until_shown(SQL, |shown| !shown.is_empty());
    assert!(shown[0].starts_with("0:22-0:29 project_invalid"), "{shown:?}");
}

/// It looks at no data: the input is not there, and neither its name nor any file below `.pipeline` is made.
#[test]
fn it_reads_no_data_and_makes_no_file() {
    let project = nested().json(r#"[{"id": "CANARY-1", "visit": {"n": "CANARY-2"}}]"#);
    let mut client = Client::start(&project, &[]);
    client.open(SQL, "select id as item_id, visit['x'] as n from source");
    client.until_shown(SQL, |shown| !shown.is_empty());
    for (line, character) in [(0, 7), (0, 22), (0, 29)] {
        for method in ["completion", "hover", "definition"] {
            let answer = client.at(method, SQL, line, character).to_string();
            assert!(!answer.contains("CANARY"), "{answer}");
        }
    }
    assert!(!project.path(".pipeline").exists());
    assert!(!client.said().contains("CANARY"));
}

/// Several projects below one folder, as in this repository, are told apart.
#[test]
fn each_file_belongs_to_the_nearest_project() {
    let outer = nested();
    let inner = nested();
    for path in [CONTRACT, SOURCE, SQL, "migrations/V1__items.sql"] {
        outer.write(&format!("inner/{path}"), inner.read(path));
    }
    let mut client = Client::start(&outer, &[]);
    client.open(&format!("inner/{SQL}"), "select id as item_id, wrong as n from source");
    let shown = client.until_shown(&format!("inner/{SQL}"), |shown| !shown.is_empty());
    assert!(shown[0].contains("'wrong'"), "{shown:?}");
    client.open(SQL, &outer.read(SQL));
    assert_ne!(client.at("hover", SQL, 0, 8), Value::Null);
    // With --project, there is no other.
    let mut client = Client::start(&outer, &["--project", "."]);
    client.open(SQL, "select id as item_id, wrong as n from source");
    client.until_shown(SQL, |shown| !shown.is_empty());
}

/// The configuration that the guide shows, in Debian's Neovim.
#[test]
fn neovim_shows_completes_and_goes_as_the_guide_says() {
    let found = Command::new("nvim").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        assert!(
            !in_ci,
            "this test needs `nvim`, and in CI every test runs. `bash tests/run` installs it"
        );
        eprintln!("not tested with Neovim, which is not installed");
        return;
    }
    let guide = fs::read_to_string(repository().join("docs/how-to/editors.md")).unwrap();
    let config = guide
        .split("```lua\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a block of Lua");
    let project = nested();
    project.write("init.lua", config);
    project.write("try.lua", include_str!("lsp/try.lua"));
    project.write(SQL, "select id as item_id, visit['m'] as n\nfrom source\n");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_pipeline")).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(binary.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new("timeout")
        .args([
            "120",
            "nvim",
            "--headless",
            "-u",
            "init.lua",
            SQL,
            "-c",
            "luafile try.lua",
        ])
        .current_dir(project.path("."))
        .env("PATH", path.unwrap())
        .env("HOME", project.path("."))
        .env("XDG_CONFIG_HOME", project.path(".config"))
        .env("XDG_DATA_HOME", project.path(".data"))
        .env("XDG_STATE_HOME", project.path(".state"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    let seen = project.read("seen.txt");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(
        lines,
        [
            "omnifunc v:lua.vim.lsp.omnifunc",
            "problem 1:27-1:32 there is no field `m`",
            "completion n at",
            "hover `visit.n`: bigint (field of clinic)",
            "definition pipelines/clinic.yaml:6",
            "action select id as item_id,|    null as n -- no field found| from source",
            "problems 0",
        ],
        "{said}"
    );
}
