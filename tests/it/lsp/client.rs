//! A client of the language server: it starts the binary and speaks to it as an editor does.
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Project;

/// Nothing takes nearly this long, even on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);

pub struct Client<'p> {
    project: &'p Project,
    server: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// Notifications that came while an answer was awaited.
    notes: VecDeque<Value>,
    requests: i64,
    versions: i64,
}

impl<'p> Client<'p> {
    /// Starts a server in a project and goes through its initialization.
    pub fn start(project: &'p Project, args: &[&str]) -> Self {
        let mut client = Self::raw(project, args);
        let root = client.uri("");
        let answer = client.request(
            "initialize",
            json!({"processId": null, "rootUri": root, "capabilities": {}}),
        );
        assert_eq!(answer["capabilities"]["positionEncoding"], "utf-16", "{answer}");
        client.notify("initialized", json!({}));
        client
    }

    /// Starts a server and says nothing yet.
    pub fn raw(project: &'p Project, args: &[&str]) -> Self {
        let words = [&["lsp"], args].concat();
        let mut command = project.command(&words);
        let mut server = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = server.stdin.take();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            project,
            server,
            input,
            messages,
            notes: VecDeque::new(),
            requests: 0,
            versions: 0,
        }
    }

    /// The URI of a file of the project.
    pub fn uri(&self, path: &str) -> String {
        // Temporary folders have no character that a URI must escape.
        format!("file://{}", self.project.path(path).display())
    }

    pub fn send(&mut self, message: &Value) {
        let text = json!({"jsonrpc": "2.0"}).as_object().unwrap().clone();
        let mut whole = text;
        whole.extend(message.as_object().unwrap().clone());
        let text = Value::Object(whole).to_string();
        let input = self.input.as_mut().expect("an open input");
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        input.flush().unwrap();
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"method": method, "params": params}));
    }

    /// The result of a request, or its error.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({"id": id, "method": method, "params": params}));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                return match message.get("error") {
                    Some(error) => error.clone(),
                    None => message["result"].clone(),
                };
            }
            self.notes.push_back(message);
        }
    }

    fn next(&mut self) -> Value {
        match self.messages.recv_timeout(DEADLINE) {
            Ok(message) => message,
            Err(error) => panic!("the server says nothing: {error}\n{}", self.said()),
        }
    }

    /// The next notification or request of this method.
    pub fn note(&mut self, method: &str) -> Value {
        let known = self.notes.iter().position(|note| note["method"] == method);
        if let Some(at) = known {
            return self.notes.remove(at).unwrap();
        }
        loop {
            let message = self.next();
            if message["method"] == method {
                return message;
            }
            self.notes.push_back(message);
        }
    }

    pub fn open(&mut self, path: &str, text: &str) {
        self.versions += 1;
        let document = json!({"uri": self.uri(path), "languageId": "x", "version": self.versions, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
    }

    /// Replaces the whole text of a document.
    pub fn change(&mut self, path: &str, text: &str) {
        self.changes(path, json!([{"text": text}]));
    }

    pub fn changes(&mut self, path: &str, changes: Value) {
        self.versions += 1;
        let document = json!({"uri": self.uri(path), "version": self.versions});
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": document, "contentChanges": changes}),
        );
    }

    pub fn about(&mut self, method: &str, path: &str, more: Value) -> Value {
        let mut params = json!({"textDocument": {"uri": self.uri(path)}});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.request(&format!("textDocument/{method}"), params)
    }

    /// Asks about a line and a column, both counted from 0.
    pub fn at(&mut self, method: &str, path: &str, line: u32, character: u32) -> Value {
        self.about(
            method,
            path,
            json!({"position": {"line": line, "character": character}}),
        )
    }

    /// The diagnostics of a file, as `line:character-line:character code message`, once they are as they should be or the
    /// time is up.
    #[track_caller]
    pub fn until_shown(&mut self, path: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (uri, deadline) = (self.uri(path), Instant::now() + DEADLINE);
        loop {
            let params = self.note("textDocument/publishDiagnostics")["params"].clone();
            if params["uri"] != uri {
                continue;
            }
            let shown: Vec<String> = params["diagnostics"].as_array().unwrap().iter().map(shown).collect();
            if wanted(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "never as wanted; at last {shown:#?}");
        }
    }

    /// Closes the server's input, as a client does that ends.
    pub fn close(&mut self) {
        self.input = None;
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.server.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the server has written to stderr. It ends the server.
    pub fn said(&mut self) -> String {
        self.close();
        let _ = self.server.kill();
        let mut said = String::new();
        self.server.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn shown(diagnostic: &Value) -> String {
    let at = |place: &Value| format!("{}:{}", place["line"], place["character"]);
    assert_eq!(diagnostic["source"], "pipeline");
    assert_eq!(diagnostic["severity"], 1);
    format!(
        "{}-{} {} {}",
        at(&diagnostic["range"]["start"]),
        at(&diagnostic["range"]["end"]),
        diagnostic["code"].as_str().unwrap(),
        diagnostic["message"].as_str().unwrap()
    )
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            header => {
                let (name, value) = header.split_once(": ").expect("a header");
                if name.eq_ignore_ascii_case("content-length") {
                    length = Some(value.parse::<usize>().unwrap());
                }
            }
        }
    }
    let mut body = vec![0; length.expect("a length")];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}
