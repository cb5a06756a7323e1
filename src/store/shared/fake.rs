//! A server for tests: it speaks the protocol, knows no script before it is loaded, and answers each
//! script as the test wants. What scripts do in a real server is checked by `tests/peers/store`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use redis::Script;

use super::scripts::{CLAIM, DELETE, FORGET, PUT, RENEW_LEASE, REPLACED, SAVE, TAKE_LEASE, UNBIND};

/// A call of a script: its name, keys and arguments as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) script: &'static str,
    pub(super) words: Vec<String>,
}

/// The answer to a call, in the protocol.
pub(super) type Answer = Box<dyn FnMut(&Call) -> Option<Vec<u8>> + Send>;

/// A server.
pub(super) struct Fake {
    pub(super) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    answer: Answer,
    calls: Vec<Call>,
    loaded: HashSet<String>,
    connections: Vec<TcpStream>,
}

impl Fake {
    /// `answer` decides about scripts; without an answer from it, all goes well.
    pub(super) fn start(
        listener: TcpListener,
        answer: impl FnMut(&Call) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            answer: Box::new(answer),
            calls: Vec::new(),
            loaded: HashSet::new(),
            connections: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                let kept = stream.try_clone().unwrap();
                state.lock().unwrap().connections.push(kept);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    /// The calls of a script so far.
    pub(super) fn calls(&self, script: &str) -> Vec<Vec<String>> {
        let state = self.state.lock().unwrap();
        let calls = state.calls.iter().filter(|call| call.script == script);
        calls.map(|call| call.words.clone()).collect()
    }

    /// Publishes a message to every connection.
    pub(super) fn publish(&self, channel: &str, message: &str) {
        let push = format!(
            ">3\r\n{}{}{}",
            bulk("message"),
            bulk(channel),
            bulk(message)
        );
        for connection in &mut self.state.lock().unwrap().connections {
            // A closed one hears nothing.
            let _ = connection.write_all(push.as_bytes());
        }
    }
}

/// A string of the protocol.
pub(super) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    while let Some(words) = command(&mut input) {
        let mut state = state.lock().unwrap();
        let answer = state.answer(&words);
        if output.write_all(&answer).is_err() {
            return;
        }
    }
}

/// One command: an array of strings.
fn command(input: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |input: &mut dyn BufRead| {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        line.trim_end().get(1..)?.parse::<usize>().ok()
    };
    let count = number(input)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let len = number(input)?;
        let mut octets = vec![0; len + 2];
        input.read_exact(&mut octets).ok()?;
        octets.truncate(len);
        words.push(String::from_utf8_lossy(&octets).into_owned());
    }
    Some(words)
}

impl State {
    fn answer(&mut self, words: &[String]) -> Vec<u8> {
        let word = |nth: usize| words.get(nth).map_or("", String::as_str);
        let text = match word(0) {
            "HELLO" => format!("%1\r\n{}:3\r\n", bulk("proto")),
            "INFO" => bulk("# Cluster\r\ncluster_enabled:0\r\n"),
            "SUBSCRIBE" => format!(">3\r\n{}{}:1\r\n", bulk("subscribe"), bulk(word(1))),
            "SCRIPT" => {
                let hash = Script::new(word(2)).get_hash().to_owned();
                self.loaded.insert(hash.clone());
                bulk(&hash)
            }
            "EVALSHA" if !self.loaded.contains(word(1)) => {
                "-NOSCRIPT No matching script.\r\n".to_owned()
            }
            "EVALSHA" => {
                let hash = word(1);
                let (script, usual) = USUAL
                    .into_iter()
                    .find(|(script, _)| by_name(script).get_hash() == hash)
                    .unwrap();
                let words = words.get(3..).unwrap_or_default().to_vec();
                let call = Call { script, words };
                let answer = (self.answer)(&call);
                self.calls.push(call);
                return answer.unwrap_or_else(|| usual.as_bytes().to_vec());
            }
            // The secret of session ids.
            "GET" => bulk("sixteen  octets."),
            "SET" if words.iter().any(|word| word == "GET") => "_\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        text.into_bytes()
    }
}

fn by_name(name: &str) -> &'static Script {
    match name {
        "save" => &SAVE,
        "forget" => &FORGET,
        "claim" => &CLAIM,
        "replaced" => &REPLACED,
        "unbind" => &UNBIND,
        "put" => &PUT,
        "delete" => &DELETE,
        "take" => &TAKE_LEASE,
        _ => &RENEW_LEASE,
    }
}

/// The scripts with their usual answers.
const USUAL: [(&str, &str); 9] = [
    ("save", ":1\r\n"),
    ("forget", "_\r\n"),
    ("claim", "_\r\n"),
    ("replaced", ":1\r\n"),
    ("unbind", ":1\r\n"),
    ("put", ":1\r\n"),
    ("delete", ":1\r\n"),
    ("take", "*3\r\n:1\r\n$8\r\n7 a test\r\n:7\r\n"),
    ("renew", "_\r\n"),
];
