//! The grammar of a transcript.
//!
//! ```text
//! scenario W01 WTP-S-006 WTP-S-010: the Result is repeated until its Ack
//!   answer 200 | content-type: text/plain | body: "hello" | after: 3s
//!   > co 0a 0001 12  01 10 00 00
//!   < co 12 8001  02 @sid 00 *
//!   < co 13 8001 * within 9s
//!   > co 18 0001
//!   asked GET /W01 | x-wap: yes | lacks: cookie | body: "text"
//!   quiet 2s
//! ```
//!
//! - `answer` is what the origin says to requests whose path begins with the scenario's name.
//! - `> co` sends to the connection-mode port, `> cl` to the connectionless one; `<` waits for a datagram.
//! - Octets are hexadecimal, `"text"` is ASCII. In expectations `?` is any octet, `*` any number of them,
//!   `13/fe` compares under a mask, `@name` captures a uintvar, `%name` an octet, `$name` repeats either,
//!   and `$name^80` repeats an octet with its highest bit the other way.
//! - `skip co PATTERN` drops datagrams that match until another comes, `quiet` expects silence, `wait`
//!   lets time pass, `move` takes a new source port, `signal NAME` sends a signal to the gateway.
//! - `push confirmed "text"` has an initiator push to the client's address by PAP. The gateway of such a
//!   scenario has a [push] section; nothing else differs from the shipped settings.
//! - `define NAME` to `end` names lines that `do NAME` repeats.
//! - `asked` takes the next request that reached the origin; `asked nothing` expects none.

use std::time::Duration;

/// One transcript.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The conformance items that the scenario holds.
    pub(crate) items: Vec<String>,
    pub(crate) title: String,
    pub(crate) answer: Answer,
    pub(crate) steps: Vec<Step>,
}

/// What the origin says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) after: Duration,
    /// The same for a target that ends with `/slow`.
    pub(crate) slow: Duration,
}

/// A port of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    ConnectionMode,
    Connectionless,
}

/// One line of a transcript.
#[derive(Debug)]
pub(crate) enum Step {
    Send(Port, Vec<Token>),
    Expect(Port, Vec<Token>, Duration),
    Skip(Port, Vec<Token>, Duration),
    Quiet(Duration),
    Wait(Duration),
    Move,
    Signal(String),
    Push { method: String, body: String },
    Requested(ExpectedRequest),
    NoRequest,
}

/// A request as the origin has to see it.
#[derive(Debug, Default)]
pub(crate) struct ExpectedRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) lacks: Vec<String>,
    pub(crate) body: Option<Vec<u8>>,
}

/// A piece of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Octet {
        value: u8,
        mask: u8,
    },
    Any,
    Rest,
    Capture(String),
    /// One octet.
    CaptureOctet(String),
    Captured(String),
    /// A captured octet with its highest bit the other way.
    Flipped(String),
}

impl Scenario {
    /// Whether the scenario does something to the gateway that others would feel.
    pub(crate) fn needs_a_gateway_alone(&self) -> bool {
        let signals = |step: &Step| matches!(step, Step::Signal(_));
        self.steps.iter().any(signals) || self.pushes()
    }

    /// Whether the gateway has to push, which it does not unless it is told who may.
    pub(crate) fn pushes(&self) -> bool {
        let pushes = |step: &Step| matches!(step, Step::Push { .. });
        self.steps.iter().any(pushes)
    }
}

/// Reads a file of transcripts. A mistake in one panics with its line.
pub(crate) fn parse(text: &str) -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (number, line) in expand(text) {
        if let Some(head) = line.strip_prefix("scenario ") {
            scenarios.push(heading(head));
            continue;
        }
        let scenario = scenarios.last_mut().expect("a scenario begins the file");
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let step = match verb {
            "answer" => {
                scenario.answer = answer(rest);
                continue;
            }
            ">" => send(rest),
            "<" => expect(rest, Step::Expect),
            "skip" => expect(rest, Step::Skip),
            "quiet" => Step::Quiet(duration(rest)),
            "wait" => Step::Wait(duration(rest)),
            "move" => Step::Move,
            "signal" => Step::Signal(rest.to_owned()),
            "push" => {
                let (method, body) = rest.split_once(' ').expect("a delivery method and a body");
                Step::Push {
                    method: method.to_owned(),
                    body: body.trim_matches('"').to_owned(),
                }
            }
            "asked" if rest == "nothing" => Step::NoRequest,
            "asked" => Step::Requested(asked(rest)),
            _ => panic!("line {number}: unknown step {line:?}"),
        };
        scenario.steps.push(step);
    }
    scenarios
}

/// The lines of a file with their numbers, without comments, and with definitions in their places.
fn expand(text: &str) -> Vec<(usize, &str)> {
    let mut definitions: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut inside = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split(" # ").next().unwrap().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("define ") {
            definitions.push((name, Vec::new()));
            inside = true;
        } else if line == "end" {
            inside = false;
        } else {
            let body = match line.strip_prefix("do ") {
                Some(name) => match definitions.iter().find(|(of, _)| *of == name) {
                    Some((_, body)) => body.clone(),
                    None => panic!("line {}: no {name}", number + 1),
                },
                None => vec![line],
            };
            if inside {
                definitions.last_mut().unwrap().1.extend(body);
            } else {
                lines.extend(body.into_iter().map(|line| (number + 1, line)));
            }
        }
    }
    lines
}

fn heading(head: &str) -> Scenario {
    let (names, title) = head.split_once(": ").expect("a title");
    let mut names = names.split_whitespace().map(str::to_owned);
    Scenario {
        name: names.next().expect("a name"),
        items: names.collect(),
        title: title.to_owned(),
        answer: Answer {
            status: 200,
            fields: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: b"hello".to_vec(),
            ..Answer::default()
        },
        steps: Vec::new(),
    }
}

fn answer(rest: &str) -> Answer {
    let mut parts = rest.split(" | ");
    let mut answer = Answer {
        status: parts.next().unwrap().trim().parse().expect("a status"),
        ..Answer::default()
    };
    for part in parts {
        let (name, value) = part.split_once(": ").expect("a field");
        match name.trim() {
            "body" => answer.body = literal(value),
            "octets" => answer.body = pattern(value.trim().parse().expect("a length")),
            "after" => answer.after = duration(value),
            "slow" => answer.slow = duration(value),
            "trailer" => answer.trailers.push(field(value)),
            _ => answer.fields.push(field(part)),
        }
    }
    answer
}

/// Octets of which each tells its place, for long bodies.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn field(text: &str) -> (String, String) {
    let (name, value) = text.split_once(": ").expect("a field");
    (name.trim().to_owned(), value.trim().to_owned())
}

fn asked(rest: &str) -> ExpectedRequest {
    let mut parts = rest.split(" | ");
    let (method, target) = parts.next().unwrap().split_once(' ').expect("a request");
    let mut asked = ExpectedRequest {
        method: method.to_owned(),
        target: target.trim().to_owned(),
        ..ExpectedRequest::default()
    };
    for part in parts {
        let (name, value) = field(part);
        match name.as_str() {
            "body" => asked.body = Some(literal(&value)),
            "octets" => asked.body = Some(pattern(value.parse().expect("a length"))),
            "lacks" => asked.lacks.push(value),
            _ => asked.fields.push((name, value)),
        }
    }
    asked
}

fn send(rest: &str) -> Step {
    let (port, octets) = port(rest);
    Step::Send(port, tokens(octets))
}

fn expect(rest: &str, step: fn(Port, Vec<Token>, Duration) -> Step) -> Step {
    let (port, octets) = port(rest);
    let (octets, within) = octets.split_once(" within ").unwrap_or((octets, "6s"));
    step(port, tokens(octets), duration(within))
}

fn port(rest: &str) -> (Port, &str) {
    let (name, octets) = rest.split_once(' ').expect("a port");
    let port = match name {
        "co" => Port::ConnectionMode,
        "cl" => Port::Connectionless,
        _ => panic!("no port {name:?}"),
    };
    (port, octets)
}

fn duration(text: &str) -> Duration {
    let seconds = text.trim().strip_suffix('s').expect("seconds");
    Duration::from_secs_f64(seconds.parse().expect("seconds"))
}

/// Text in quotes, or octets.
fn literal(text: &str) -> Vec<u8> {
    let octet = |token: &Token| match token {
        Token::Octet { value, mask: 0xff } => *value,
        _ => panic!("octets expected: {text}"),
    };
    tokens(text).iter().map(octet).collect()
}

/// Reads octets; `fill N` is N octets of the [`pattern`], `fill A..B` a part of it.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let exactly = |value: u8| Token::Octet { value, mask: 0xff };
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').expect("a closing quote");
            found.extend(inside.bytes().map(exactly));
            rest = after.trim_start();
            continue;
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        if let Some(range) = word.strip_prefix("fill:") {
            let (from, to) = range.split_once("..").expect("a range");
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            found.extend(pattern(to)[from..].iter().copied().map(exactly));
        } else if let Some(name) = word.strip_prefix('@') {
            found.push(Token::Capture(name.to_owned()));
        } else if let Some(name) = word.strip_prefix('%') {
            found.push(Token::CaptureOctet(name.to_owned()));
        } else if let Some(name) = word
            .strip_prefix('$')
            .and_then(|name| name.strip_suffix("^80"))
        {
            found.push(Token::Flipped(name.to_owned()));
        } else if let Some(name) = word.strip_prefix('$') {
            found.push(Token::Captured(name.to_owned()));
        } else if word == "*" {
            found.push(Token::Rest);
        } else if word == "?" {
            found.push(Token::Any);
        } else if let Some((value, mask)) = word.split_once('/') {
            let octet = |text| u8::from_str_radix(text, 16).expect("an octet");
            found.push(Token::Octet {
                value: octet(value),
                mask: octet(mask),
            });
        } else {
            assert!(
                word.len().is_multiple_of(2),
                "half an octet: {word} in {text}"
            );
            for at in (0..word.len()).step_by(2) {
                let value = u8::from_str_radix(&word[at..at + 2], 16);
                found.push(exactly(
                    value.unwrap_or_else(|_| panic!("not hexadecimal: {word}")),
                ));
            }
        }
    }
    found
}
