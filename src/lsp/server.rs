//! The loop of the server: takes the client's messages, answers them in their order, and tells the client what a check has
//! found once it has not typed for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::answers::OpenDocument;
use super::diagnose::{self, Checked, Job};
use super::documents::{Documents, path_of, uri_of};
use super::projects::Projects;
use super::protocol::{self, At, Changed, Opened, Watched};
use super::text::Text;
use crate::error::{Code, Diagnostic, Error, Result};
use crate::lineage;
use crate::transform::SqlFunction;
use crate::workspace::Files;

/// How long the client must have been quiet before a check begins.
const PAUSE: Duration = Duration::from_millis(200);

enum Event {
    Message(Message),
    Checked(Checked),
    /// The client has closed its end.
    Closed,
}

/// Serves a client over standard input and output until it leaves. `named` is the folder of the only project to serve; by
/// default each file belongs to the nearest project above it. It blocks, so it needs a thread of its own.
///
/// Returns the exit code: 0 if the client asked for the end before it left, or else 1 (LSP 3.17, "exit").
///
/// # Errors
/// A thread can't be started.
pub fn serve(named: Option<PathBuf>, runtime: Handle) -> Result<u8> {
    let failed = |error| Error::project("the language server can't be started").cause(error);
    let functions = lineage::engine()?.functions();
    let (connection, threads) = Connection::stdio();
    let (events, received) = mpsc::channel();
    let Connection { sender, receiver } = connection;
    let messages = events.clone();
    std::thread::Builder::new()
        .name("messages".to_owned())
        .spawn(move || {
            let all = receiver
                .iter()
                .try_for_each(|message| messages.send(Event::Message(message)));
            all.and_then(|()| messages.send(Event::Closed))
        })
        .map_err(failed)?;
    let jobs = diagnose::start(runtime, move |checked| drop(events.send(Event::Checked(checked)))).map_err(failed)?;
    let mut server = Server {
        // Where the client has gone, the loop ends by itself.
        client: Box::new(move |message| drop(sender.send(message))),
        jobs,
        functions,
        documents: Documents::default(),
        projects: Projects::new(named),
        changed: BTreeSet::new(),
        due: None,
        latest: BTreeMap::new(),
        jobs_given: 0,
        shown: BTreeMap::new(),
        watches: false,
        is_down: false,
    };
    let code = loop {
        let event = match server.due {
            None => received.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => received.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Message(message)) => {
                if let Some(code) = server.take(message) {
                    break code;
                }
            }
            Ok(Event::Checked(checked)) => server.show(&checked),
            Err(RecvTimeoutError::Timeout) => server.check(),
            Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => break 1,
        }
    };
    drop(server);
    // What is lost of the last messages concerns nobody: the client has left.
    let _ = threads.join();
    Ok(code)
}

struct Server {
    /// Sends to the client.
    client: Box<dyn Fn(Message)>,
    jobs: Sender<Job>,
    functions: Vec<SqlFunction>,
    documents: Documents,
    projects: Projects,
    /// The projects to check, and when.
    changed: BTreeSet<PathBuf>,
    due: Option<Instant>,
    /// The number of each project's latest check.
    latest: BTreeMap<PathBuf, u64>,
    jobs_given: u64,
    /// The files of each project for which problems are shown.
    shown: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Whether the client can tell of files that change outside of it.
    watches: bool,
    is_down: bool,
}

impl Server {
    fn send(&self, message: impl Into<Message>) {
        (self.client)(message.into());
    }

    /// Takes a message. Returns the exit code if it is the last one.
    fn take(&mut self, message: Message) -> Option<u8> {
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                let answered = catch_unwind(AssertUnwindSafe(|| self.answer(request)));
                let failed = |_| {
                    let code = ErrorCode::InternalError as i32;
                    Response::new_err(id, code, "a defect of the language server".to_owned())
                };
                self.send(answered.unwrap_or_else(failed));
            }
            Message::Notification(note) if note.method == "exit" => return Some(u8::from(!self.is_down)),
            Message::Notification(note) => self.note(note),
            // To the request to watch files. Where a client refuses it, it tells of saved files anyway.
            Message::Response(_) => {}
        }
        None
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        if self.is_down {
            let words = "the server is shutting down".to_owned();
            return Response::new_err(id, ErrorCode::InvalidRequest as i32, words);
        }
        match method.as_str() {
            "initialize" => {
                self.watches = protocol::can_watch(&params);
                return Response::new_ok(id, protocol::capabilities());
            }
            "shutdown" => {
                self.is_down = true;
                return Response::new_ok(id, Value::Null);
            }
            "textDocument/completion"
            | "textDocument/hover"
            | "textDocument/definition"
            | "textDocument/references"
            | "textDocument/codeAction" => {}
            _ => {
                let words = format!("there is no {method} here");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, words);
            }
        }
        match serde_json::from_value(params) {
            Ok(at) => Response::new_ok(id, self.answer_at(&method, &at).unwrap_or(Value::Null)),
            Err(_) => Response::new_err(
                id,
                ErrorCode::InvalidParams as i32,
                format!("{method} needs a document and a position"),
            ),
        }
    }

    fn answer_at(&mut self, method: &str, at: &At) -> Option<Value> {
        let path = path_of(&at.text_document.uri)?;
        let root = self.projects.root_of(&path)?;
        let project = self
            .projects
            .get(&Files::with_unsaved(&root, self.documents.below(&root)))?;
        let document = OpenDocument {
            documents: &self.documents,
            project: &project,
            functions: &self.functions,
            root: &root,
            file: path.strip_prefix(&root).ok()?,
            text: &self.documents.get(&path)?.text,
        };
        let trigger = at
            .context
            .as_ref()
            .and_then(|context| context.trigger_character.as_deref());
        let declaration = at.context.as_ref().is_some_and(|context| context.include_declaration);
        match (method, at.position, at.range) {
            ("textDocument/codeAction", _, Some(range)) => Some(document.actions(range)),
            ("textDocument/completion", Some(position), _) => Some(document.completions(position, trigger)),
            ("textDocument/hover", Some(at), _) => Some(document.hover(at)),
            ("textDocument/definition", Some(at), _) => Some(document.definitions(at)),
            ("textDocument/references", Some(at), _) => Some(document.references(at, declaration)),
            _ => None,
        }
    }

    fn note(&mut self, note: Notification) {
        let Notification { method, params } = note;
        match method.as_str() {
            "initialized" if self.watches => {
                let watch = protocol::watch_files();
                self.send(Request::new(
                    "watch".to_owned().into(),
                    "client/registerCapability".to_owned(),
                    watch,
                ));
            }
            "textDocument/didOpen" => {
                let Some(Opened { text_document: opened }) = read(params) else {
                    return;
                };
                if let Some(path) = path_of(&opened.uri) {
                    self.documents
                        .open(path.clone(), opened.uri, opened.version, opened.text);
                    self.touched(&path);
                }
            }
            "textDocument/didChange" => {
                let Some(Changed {
                    text_document: changed,
                    content_changes,
                }) = read(params)
                else {
                    return;
                };
                if let Some(path) = path_of(&changed.uri) {
                    self.documents.change(&path, changed.version, content_changes);
                    self.touched(&path);
                }
            }
            "textDocument/didClose" => {
                let Some(At { text_document, .. }) = read(params) else {
                    return;
                };
                if let Some(path) = path_of(&text_document.uri) {
                    self.documents.close(&path);
                    self.touched(&path);
                }
            }
            "textDocument/didSave" => {
                let saved = read(params).and_then(|At { text_document, .. }| path_of(&text_document.uri));
                if let Some(path) = saved {
                    self.touched(&path);
                }
            }
            "workspace/didChangeWatchedFiles" => {
                let Some(Watched { changes }) = read(params) else {
                    return;
                };
                let paths = changes.iter().filter_map(|change| path_of(&change.uri));
                for path in paths {
                    self.touched(&path);
                }
            }
            _ => {}
        }
    }

    /// Notes that a file may have changed, and that its project is to be checked.
    fn touched(&mut self, path: &Path) {
        if let Some(root) = self.projects.root_of(path) {
            self.projects.changed(&root);
            self.changed.insert(root);
            self.due = Some(Instant::now() + PAUSE);
        }
    }

    /// Gives the changed projects to the thread that checks.
    fn check(&mut self) {
        self.due = None;
        for root in std::mem::take(&mut self.changed) {
            self.jobs_given += 1;
            self.latest.insert(root.clone(), self.jobs_given);
            let files = Files::with_unsaved(&root, self.documents.below(&root));
            let number = self.jobs_given;
            // The thread lives as long as this end of the channel.
            let _ = self.jobs.send(Job { files, number });
        }
    }

    /// Tells the client what a check has found, and what is no longer wrong.
    fn show(&mut self, checked: &Checked) {
        let is_late = self.changed.contains(&checked.root) || self.latest.get(&checked.root) != Some(&checked.number);
        if is_late {
            return;
        }
        let mut by_file: BTreeMap<PathBuf, Vec<&Diagnostic>> = BTreeMap::new();
        for problem in &checked.problems {
            let own = problem
                .location
                .as_ref()
                .map(|location| checked.root.join(&location.file));
            // What has no file is shown where the project begins.
            let file = own
                .filter(|path| !path.is_dir())
                .unwrap_or_else(|| checked.root.join("pipeline.yaml"));
            by_file.entry(file).or_default().push(problem);
        }
        let now: BTreeSet<PathBuf> = by_file.keys().cloned().collect();
        let before = self.shown.insert(checked.root.clone(), now).unwrap_or_default();
        for path in before {
            by_file.entry(path).or_default();
        }
        for (path, problems) in by_file {
            self.publish(&path, &problems, checked.code);
        }
    }

    fn publish(&self, path: &Path, problems: &[&Diagnostic], code: Option<Code>) {
        let document = self.documents.get(path);
        let read = || Text::new(std::fs::read_to_string(path).unwrap_or_default());
        let text = document.map_or_else(|| Arc::new(read()), |document| Arc::new(document.text.clone()));
        let shown: Vec<Value> = problems
            .iter()
            .map(|problem| diagnostic(problem, &text, code))
            .collect();
        let Some(uri) = document.map(|document| document.uri.clone()).or_else(|| uri_of(path)) else {
            return;
        };
        let mut params = json!({"uri": uri, "diagnostics": shown});
        if let Some(version) = document.and_then(|document| document.version) {
            params["version"] = json!(version);
        }
        self.send(Notification::new("textDocument/publishDiagnostics".to_owned(), params));
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Option<T> {
    serde_json::from_value(params).ok()
}

fn diagnostic(problem: &Diagnostic, text: &Text, code: Option<Code>) -> Value {
    let range = problem
        .location
        .as_ref()
        .map_or_else(|| text.range(0, 0), |location| text.located(location));
    let hint = problem
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    json!({
        "range": range,
        "severity": 1,
        "code": code.map(Code::name),
        "source": "pipeline",
        "message": format!("{}{hint}", problem.message),
    })
}
