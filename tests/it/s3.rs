//! Reads input from a bucket of an S3-compatible server. gs://, az:// and https:// use the same code and are not
//! tested.
use crate::harness::{Bucket, Database, Project, SECRET, Small, repository};

const RUN: [&str; 6] = ["run", "--all-sources", "--start", "20230501", "--end", "20230502"];

#[test]
fn the_example_runs_from_a_bucket() {
    let bucket = Bucket::serve();
    let local = Database::migrated();
    let project = Project::with_examples().on(&local);
    project.run(&RUN).code(0);

    let database = Database::migrated();
    let project = Project::of_repository().on(&database).with_bucket(&bucket);
    for source in ["source_a", "source_b"] {
        project.edit(
            &format!("pipelines/{source}.yaml"),
            "path: examples/data/",
            "path: s3://bucket/data/",
        );
        for date in ["20230501", "20230502"] {
            let key = format!("data/{source}/{date}/visit_events.json");
            bucket.put(&key, std::fs::read(repository().join("examples").join(&key)).unwrap());
        }
    }
    project.run(&RUN).code(0);
    assert_eq!(database.content(), local.content());
    let files =
        database.value("select files->0->>'path' from pipeline.runs where source = 'source_a' order by run_id limit 1");
    assert!(files.starts_with("s3://bucket/data/source_a/2023050"), "{files}");
}

fn small(path: &str) -> (Database, Project) {
    Small::new().input(&format!("path: {path}")).on_server()
}

#[test]
fn globs_list_a_bucket() {
    let bucket = Bucket::serve();
    bucket.put("in/2023-05-01/a_1.json", r#"{"id": "a"}"#);
    bucket.put("in/2023-05-01/deep/a_2.json", r#"{"id": "b"}"#);
    bucket.put("in/2023-05-01/b_3.json", r#"{"id": "c"}"#);
    bucket.put("in/2023-05-02/a_1.json", r#"{"id": "d"}"#);
    let (database, project) = small("s3://bucket/in/{date:%Y-%m-%d}/**/a_*.json");
    project.with_bucket(&bucket).run_clinic().code(0);
    assert_eq!(database.rows("select item_id from items order by 1"), ["a", "b"]);
}

#[test]
fn a_large_object_arrives_whole() {
    let bucket = Bucket::serve();
    let records: Vec<String> = (0..100_000)
        .map(|number| format!(r#"{{"id": "{number}", "n": {number}, "pad": "{number:0>80}"}}"#))
        .collect();
    bucket.put("big-20230501.json", format!("[{}]", records.join(",")));
    let (database, project) = small("s3://bucket/big-{date:%Y%m%d}.json");
    project.edit(
        "pipelines/clinic.yaml",
        "schema:\n",
        "on_unknown_field: ignore\nschema:\n",
    );
    project.with_bucket(&bucket).run_clinic().code(0);
    assert_eq!(
        database.value("select count(*) || ' ' || sum(n) from items"),
        "100000 4999950000"
    );
}

#[test]
fn a_missing_object_is_a_missing_input() {
    let bucket = Bucket::serve();
    let (database, project) = small("s3://bucket/in/{date:%Y%m%d}.json");
    let project = project.with_bucket(&bucket);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("s3://bucket/in/20230501.json");
    project.edit("pipelines/clinic.yaml", "schema:", "  on_missing: skip\nschema:");
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 0);
}

/// `%`, `#` and the like mean something in URLs, and here they are letters of a key.
#[test]
fn keys_with_signs_of_urls_are_read() {
    let bucket = Bucket::serve();
    let keys = [
        "a%20b", "100%", "a+b", "a#b", "a?b", "a&b=c", "a b", "é", "a'b", "a;b@c", "[a]", "{a}", "%2e%2e", "..a",
    ];
    for (number, key) in keys.iter().enumerate() {
        bucket.put(
            &format!("in/20230501/{key}.json"),
            format!(r#"{{"id": "{number:02}"}}"#),
        );
    }
    let (database, project) = small("s3://bucket/in/{date:%Y%m%d}/*.json");
    project.with_bucket(&bucket).run_clinic().code(0);
    assert_eq!(
        database.count("items"),
        keys.len() - 1,
        "the hidden file ..a is not read"
    );
}

/// A key that can't be fetched is refused by its place, and its neighbours are loaded.
#[test]
fn a_key_that_can_t_be_fetched_is_refused() {
    let bucket = Bucket::serve();
    bucket.put("in/20230501/a.json", r#"{"id": "a"}"#);
    bucket.put("in/20230501/739\t11937.json", r#"{"id": "b"}"#);
    bucket.put("in/20230501/c.json", r#"{"id": "c"}"#);
    let (database, project) = Small::new()
        .input("path: s3://bucket/in/{date:%Y%m%d}/*.json")
        .quarantine()
        .on_server();
    let project = project.with_bucket(&bucket);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("unreadable")
        .output_lacks("11937")
        .output_lacks("network");
    project.edit("pipelines/clinic.yaml", "schema:\n", "max_quarantined: 50%\nschema:\n");
    project.run_clinic().code(0).output_lacks("11937");
    assert_eq!(database.rows("select item_id from items order by 1"), ["a", "c"]);
}

/// A misspelt bucket is no day without input.
#[test]
fn a_missing_bucket_is_not_skipped() {
    let bucket = Bucket::serve();
    let (_database, project) = Small::new()
        .input("path: s3://buckte/in/{date:%Y%m%d}.json\non_missing: skip")
        .on_server();
    project
        .with_bucket(&bucket)
        .run_clinic()
        .code(1)
        .stderr_contains("has no bucket of this name");
}

#[test]
fn a_server_that_is_down_is_unreachable() {
    let mut bucket = Bucket::serve();
    bucket.stop();
    let (_database, project) = small("s3://bucket/in-{date:%Y%m%d}.json");
    project
        .with_bucket(&bucket)
        .run_clinic()
        .code(3)
        .stderr_contains("http://127.0.0.1")
        .output_lacks(SECRET);
}

#[test]
fn a_wrong_secret_is_said_and_not_shown() {
    let bucket = Bucket::serve();
    bucket.put("in-20230501.json", r#"{"id": "a"}"#);
    let (_database, project) = small("s3://bucket/in-{date:%Y%m%d}.json");
    let project = project
        .with_bucket(&bucket)
        .env("AWS_SECRET_ACCESS_KEY", "another-secret-another");
    let outcome = project.run_clinic().code(3).stderr_contains("refuses access");
    let outcome = outcome.stderr_contains("the secret is not that of the access key");
    outcome.output_lacks("another-secret-another");
}

#[test]
fn the_endpoint_may_stand_in_the_file_where_the_environment_names_the_server() {
    let bucket = Bucket::serve();
    bucket.put("in-20230501.json", r#"{"id": "a"}"#);
    let input = format!(
        "path: s3://bucket/in-{{date:%Y%m%d}}.json\nstorage: {{endpoint: \"{}\", region: us-east-1, allow_http: \"true\"}}",
        bucket.endpoint
    );
    let (database, project) = Small::new().input(&input).on_server();
    let project = project
        .env("AWS_ACCESS_KEY_ID", crate::harness::KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    project.run(&["check"]).code(0);
    let server = bucket.endpoint.strip_prefix("http://").unwrap();
    project
        .run_clinic()
        .stderr_contains(&format!(
            "`endpoint` under `storage` would send the credentials to {server}"
        ))
        .stderr_contains(&format!("set PIPELINE_STORAGE_HOSTS={server} in the environment"))
        .exit()
        .is_some_and(|code| code != 0)
        .then_some(())
        .expect("the run fails");
    let project = project.env("PIPELINE_STORAGE_HOSTS", server);
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 1);
}

#[test]
fn the_history_holds_no_etag_of_the_content() {
    let bucket = Bucket::serve();
    bucket.put("in/2023-05-01.json", r#"{"id": "a"}"#);
    let (database, project) = small("s3://bucket/in/{date:%Y-%m-%d}.json");
    let project = project.with_bucket(&bucket);
    let noted = |project: &Project| {
        project.run_clinic().code(0);
        let columns = "files -> 0 ->> 'etag', fingerprint";
        database.value(&format!(
            "select {columns} from pipeline.runs order by run_id desc limit 1"
        ))
    };
    let keyed = noted(&project);
    let (etag, _) = keyed.split_once('|').unwrap();
    assert!(
        etag.len() == 16 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{etag}"
    );
    assert_eq!(noted(&project), keyed);
    let project = project.env("PIPELINE_MASK_KEY", "/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v8=");
    let other = noted(&project);
    assert_ne!(other.split_once('|').unwrap().0, etag);
    // Without a key: size and time, which do not come from the content.
    let project = project.env("PIPELINE_MASK_KEY", "");
    let (etag, _) = { noted(&project) }
        .split_once('|')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(etag.ends_with("-b"), "{etag}");
    assert_eq!(noted(&project), noted(&project));
}
