//! Plays one transcript from a UDP socket.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::origin::{Origin, ReceivedRequest};
use crate::script::{ExpectedRequest, Port, Scenario, Step, Token};

/// How long a request may take to reach the origin.
const TO_THE_ORIGIN: Duration = Duration::from_secs(20);

/// A client in the middle of its transcript.
struct Player<'a> {
    scenario: &'a Scenario,
    gateway: &'a Gateway,
    origin: &'a Origin,
    socket: UdpSocket,
    captured: HashMap<String, Vec<u8>>,
    /// Requests of the origin that the transcript has taken.
    taken: usize,
    transcript: String,
}

/// Plays a scenario. The error is what happened, datagram by datagram.
pub(crate) fn play(scenario: &Scenario, gateway: &Gateway, origin: &Origin) -> Result<(), String> {
    origin.answers(&scenario.name, scenario.answer.clone());
    let mut player = Player {
        scenario,
        gateway,
        origin,
        socket: socket(),
        captured: HashMap::new(),
        taken: 0,
        transcript: String::new(),
    };
    let outcome = scenario.steps.iter().try_for_each(|step| player.step(step));
    if std::env::var_os("WIRE_ONLY").is_some() {
        println!("{}", player.transcript);
    }
    outcome.map_err(|wrong| format!("{}  !! {wrong}\n", player.transcript))
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(port, tokens) => {
                let datagram = self.fill(tokens);
                self.note('>', *port, &datagram);
                let to = self.gateway.address(*port);
                self.socket.send_to(&datagram, to).unwrap();
            }
            Step::Expect(port, tokens, within) => {
                let Some((from, datagram)) = self.receive(*within) else {
                    return Err(format!(
                        "no datagram within {within:?}; expected {tokens:?}"
                    ));
                };
                if from != *port || !self.matches(tokens, &datagram) {
                    return Err(format!("expected {port:?} {}", shown(tokens)));
                }
            }
            Step::Skip(port, tokens, within) => self.skip(*port, tokens, *within)?,
            Step::Quiet(time) => {
                if self.receive(*time).is_some() {
                    return Err("expected silence".to_owned());
                }
            }
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Move => self.socket = socket(),
            Step::Signal(name) => self.gateway.signal(name),
            Step::Push { method, body } => self.gateway.push(method, body)?,
            Step::Requested(asked) => self.asked(asked)?,
            Step::NoRequest => {
                let heard = self.origin.heard(&self.scenario.name);
                if heard.len() > self.taken {
                    return Err(format!("the origin was asked {:?}", heard[self.taken]));
                }
            }
        }
        Ok(())
    }

    /// Drops datagrams that match; the first other one is left for the next step.
    fn skip(&mut self, port: Port, tokens: &[Token], within: Duration) -> Result<(), String> {
        let end = Instant::now() + within;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("nothing but skipped datagrams".to_owned());
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            let Ok((length, from)) = self.socket.peek_from(&mut buffer) else {
                continue;
            };
            let same = self.gateway.port(from) == Some(port);
            if !same || !self.matches(tokens, &buffer[..length]) {
                return Ok(());
            }
            self.receive(Duration::from_secs(1));
        }
    }

    /// The next datagram of the gateway.
    fn receive(&mut self, within: Duration) -> Option<(Port, Vec<u8>)> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        buffer.truncate(length);
        let port = self.gateway.port(from).expect("a datagram of the gateway");
        self.note('<', port, &buffer);
        Some((port, buffer))
    }

    fn asked(&mut self, asked: &ExpectedRequest) -> Result<(), String> {
        let began = Instant::now();
        let heard = loop {
            let mut heard = self.origin.heard(&self.scenario.name);
            if heard.len() > self.taken {
                break heard.swap_remove(self.taken);
            }
            if began.elapsed() > TO_THE_ORIGIN {
                return Err(format!(
                    "the origin was not asked {} {}",
                    asked.method, asked.target
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.taken += 1;
        judge(asked, &heard).map_err(|wrong| format!("{wrong}; the origin saw {heard:?}"))
    }

    /// The octets of a datagram to send.
    fn fill(&self, tokens: &[Token]) -> Vec<u8> {
        let mut datagram = Vec::new();
        for token in tokens {
            match token {
                Token::Octet { value, .. } => datagram.push(*value),
                Token::Captured(name) => datagram.extend_from_slice(&self.captured[name]),
                Token::Flipped(name) => datagram.push(self.captured[name][0] ^ 0x80),
                other => panic!("{other:?} cannot be sent"),
            }
        }
        datagram
    }

    /// Compares a datagram with what is expected, and captures.
    fn matches(&mut self, tokens: &[Token], datagram: &[u8]) -> bool {
        let mut rest = datagram;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Octet { value, mask } => match rest.split_first() {
                    Some((octet, after)) if octet & mask == value & mask => rest = after,
                    _ => return false,
                },
                Token::Any => match rest.split_first() {
                    Some((_, after)) => rest = after,
                    None => return false,
                },
                Token::Capture(name) => {
                    let Some(end) = rest.iter().position(|octet| octet & 0x80 == 0) else {
                        return false;
                    };
                    let (value, after) = rest.split_at(end + 1);
                    self.captured.insert(name.clone(), value.to_vec());
                    rest = after;
                }
                Token::CaptureOctet(name) => {
                    let Some((octet, after)) = rest.split_first() else {
                        return false;
                    };
                    self.captured.insert(name.clone(), vec![*octet]);
                    rest = after;
                }
                Token::Flipped(name) => match rest.split_first() {
                    Some((octet, after)) if *octet == self.captured[name][0] ^ 0x80 => rest = after,
                    _ => return false,
                },
                Token::Captured(name) => match rest.strip_prefix(&self.captured[name][..]) {
                    Some(after) => rest = after,
                    None => return false,
                },
                // The shortest run of octets after which the others fit.
                Token::Rest => {
                    let others = &tokens[at + 1..];
                    return (0..=rest.len()).any(|skip| self.matches(others, &rest[skip..]));
                }
            }
        }
        rest.is_empty()
    }

    fn note(&mut self, direction: char, port: Port, datagram: &[u8]) {
        let name = match port {
            Port::ConnectionMode => "co",
            Port::Connectionless => "cl",
        };
        write!(self.transcript, "  {direction} {name} ").unwrap();
        for octet in datagram.iter().take(200) {
            write!(self.transcript, "{octet:02x}").unwrap();
        }
        let more = if datagram.len() > 200 { " ..." } else { "" };
        writeln!(self.transcript, "{more} ({} octets)", datagram.len()).unwrap();
    }
}

fn judge(asked: &ExpectedRequest, heard: &ReceivedRequest) -> Result<(), String> {
    let same = asked.method == heard.method && asked.target == heard.target;
    if !same {
        return Err(format!("expected {} {}", asked.method, asked.target));
    }
    for (name, value) in &asked.fields {
        let mut found = heard.fields.iter().filter(|(of, _)| of == name);
        let same = |of: &str| match value.strip_suffix('*') {
            Some(beginning) => of.starts_with(beginning),
            None => of == value,
        };
        if !found.any(|(_, of)| same(of)) {
            return Err(format!("expected {name}: {value}"));
        }
    }
    for name in &asked.lacks {
        if heard.fields.iter().any(|(of, _)| of == name) {
            return Err(format!("expected no {name}"));
        }
    }
    match &asked.body {
        Some(body) if *body != heard.body => Err(format!("expected a body of {}", body.len())),
        _ => Ok(()),
    }
}

/// Tokens as a transcript has them.
fn shown(tokens: &[Token]) -> String {
    let word = |token: &Token| match token {
        Token::Octet { value, mask: 0xff } => format!("{value:02x}"),
        Token::Octet { value, mask } => format!("{value:02x}/{mask:02x}"),
        Token::Any => "?".to_owned(),
        Token::Rest => "*".to_owned(),
        Token::Capture(name) => format!("@{name}"),
        Token::CaptureOctet(name) => format!("%{name}"),
        Token::Flipped(name) => format!("${name}^80"),
        Token::Captured(name) => format!("${name}"),
    };
    tokens.iter().map(word).collect::<Vec<_>>().join(" ")
}
