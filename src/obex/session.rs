//! One OBEX session of a client: CONNECT to DISCONNECT (OBEX 3.3, SyncML OBEX Binding 5).
//!
//! A SyncML message that is put is sent to the origin at once, and the put succeeds; the get that
//! follows waits for the answer. Other objects are named: a get or a put of a name is answered when
//! the origin has answered.

use bytes::{Bytes, BytesMut};

use super::packet::{
    self, BODY, CONNECTION_ID, Code, END_OF_BODY, Header, LEAST_PACKET, LENGTH, NAME, Opcode,
    TARGET, TYPE, VERSION, WHO,
};

/// A request for an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// POST for a SyncML message, else GET, PUT or DELETE.
    pub method: http::Method,
    /// The target of the session; empty if the client named none.
    pub target: String,
    /// The name of the object, below the folder that SETPATH chose; empty for SyncML messages.
    pub name: String,
    /// The media type, if the client named one.
    pub media_type: Option<String>,
    /// The object; `None` for a get and for a deletion.
    pub body: Option<Bytes>,
}

/// The answer of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, if the origin named one.
    pub media_type: Option<String>,
    /// The object.
    pub body: Bytes,
}

/// What the caller has to do after a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send [`Session::response`].
    Respond,
    /// Send [`Session::response`], then close.
    Close,
    /// Send the response, and begin this request. Its answer is asked for later by
    /// [`Action::Await`], or never.
    Begin(Request),
    /// Begin this request, wait for its answer, and give it to [`Session::handle_answer`].
    Perform(Request),
    /// Wait for the answer of the request begun last, and give it to [`Session::handle_answer`].
    Await,
    /// Cancel the request under way, if there is one, and send the response.
    Cancel,
    /// Let the request under way end without a reader, and send the response.
    Forget,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    max_body: usize,
    /// Octets of a packet that the client takes.
    max_packet: u16,
    connection_id: u32,
    target: Option<String>,
    path: Vec<String>,
    incoming: Option<Incoming>,
    /// A SyncML message was put, and its answer was not got yet.
    has_begun: bool,
    outgoing: Option<Outgoing>,
    response: Vec<u8>,
}

/// A request that comes in several packets.
#[derive(Debug, Default)]
struct Incoming {
    is_put: bool,
    name: Option<String>,
    media_type: Option<String>,
    body: BytesMut,
    has_body: bool,
}

/// An object on its way to the client.
#[derive(Debug)]
struct Outgoing {
    media_type: Option<String>,
    body: Bytes,
    is_first: bool,
}

impl Session {
    /// A session in which objects of `max_body` octets may be put. `connection_id` tells it from
    /// others.
    #[must_use]
    pub fn new(max_body: usize, connection_id: u32) -> Self {
        Self {
            max_body,
            max_packet: LEAST_PACKET,
            connection_id,
            target: None,
            path: Vec::new(),
            incoming: None,
            has_begun: false,
            outgoing: None,
            response: Vec::new(),
        }
    }

    /// The packet to send.
    #[must_use]
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// Whether parts of an object wait for the client to get them.
    #[must_use]
    pub const fn is_sending(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Octets of the object that is being put.
    #[must_use]
    pub fn held(&self) -> usize {
        self.incoming
            .as_ref()
            .map_or(0, |incoming| incoming.body.len())
    }

    /// A whole packet of the client.
    pub fn handle_packet(&mut self, packet: &[u8]) -> Action {
        let Some((&first, rest)) = packet.split_first() else {
            return self.refuse(Code::BAD_REQUEST);
        };
        let rest = rest.get(2..).unwrap_or_default();
        let is_final = first & 0x80 != 0;
        let opcode = Opcode(first & 0x7F);
        let fixed = match opcode {
            Opcode::CONNECT => 4,
            Opcode::SETPATH => 2,
            _ => 0,
        };
        let Some((fixed, rest)) = rest.split_at_checked(fixed) else {
            return self.refuse(Code::BAD_REQUEST);
        };
        let Ok(headers) = packet::headers(rest) else {
            return self.refuse(Code::BAD_REQUEST);
        };
        let is_ours = |header: &Header<'_>| match header {
            Header::Number(CONNECTION_ID, id) => *id == self.connection_id,
            _ => true,
        };
        if opcode != Opcode::CONNECT && !headers.iter().all(is_ours) {
            return self.refuse(Code::UNAVAILABLE);
        }
        match opcode {
            Opcode::CONNECT => self.connect(fixed, &headers),
            Opcode::DISCONNECT => {
                self.respond(Code::SUCCESS, &[]);
                Action::Close
            }
            Opcode::PUT => self.put(&headers, is_final),
            Opcode::GET => self.get(&headers, is_final),
            Opcode::SETPATH => self.set_path(fixed, &headers),
            Opcode::ABORT => {
                self.incoming = None;
                self.outgoing = None;
                self.has_begun = false;
                self.respond(Code::SUCCESS, &[]);
                Action::Cancel
            }
            _ => self.refuse(Code::NOT_IMPLEMENTED),
        }
    }

    /// The origin's answer to the request that was waited for.
    pub fn handle_answer(&mut self, answer: Answer, is_get: bool) {
        let code = Code::of_status(answer.status);
        if code.0 & 0xF0 != Code::SUCCESS.0 || !is_get {
            let code = if code.0 & 0xF0 == Code::SUCCESS.0 {
                Code::SUCCESS
            } else {
                code
            };
            return self.respond(code, &[]);
        }
        self.outgoing = Some(Outgoing {
            media_type: answer.media_type,
            body: answer.body,
            is_first: true,
        });
        self.send_part();
    }

    fn connect(&mut self, fixed: &[u8], headers: &[Header<'_>]) -> Action {
        let [_, _, high, low] = *fixed else {
            return self.refuse(Code::BAD_REQUEST);
        };
        let target = headers.iter().find_map(|header| match header {
            Header::Octets(TARGET, target) => Some(*target),
            _ => None,
        });
        // Targets that are UUIDs belong to file transfer and to folders, which are not served.
        let is_word = |target: &[u8]| {
            target.len() <= LONGEST_TARGET
                && target
                    .iter()
                    .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
        };
        if target.is_some_and(|target| !is_word(target)) {
            return self.refuse_connect(Code::NOT_ACCEPTABLE);
        }
        self.max_packet = u16::from_be_bytes([high, low]).max(LEAST_PACKET);
        self.target = target.map(|target| String::from_utf8_lossy(target).into_owned());
        self.path.clear();
        self.incoming = None;
        self.outgoing = None;
        self.has_begun = false;
        let target = self.target.clone();
        let mut headers = Vec::new();
        if let Some(target) = &target {
            headers.push(Header::Number(CONNECTION_ID, self.connection_id));
            headers.push(Header::Octets(WHO, target.as_bytes()));
        }
        self.response.clear();
        let fixed = [VERSION, 0, 0xFF, 0xFF];
        packet::put_packet(&mut self.response, Code::SUCCESS.0, &fixed, &headers);
        Action::Forget
    }

    fn put(&mut self, headers: &[Header<'_>], is_final: bool) -> Action {
        self.outgoing = None;
        if let Err(code) = self.receive(true, headers) {
            self.incoming = None;
            return self.refuse(code);
        }
        if !is_final {
            self.respond(Code::CONTINUE, &[]);
            return Action::Respond;
        }
        let Some(incoming) = self.incoming.take() else {
            return self.refuse(Code::BAD_REQUEST);
        };
        let is_syncml = incoming.media_type.as_deref().is_some_and(is_syncml);
        let body = incoming.has_body.then(|| incoming.body.freeze());
        let method = match (&body, is_syncml) {
            (_, true) => http::Method::POST,
            (Some(_), false) => http::Method::PUT,
            // A put without a body deletes the object (OBEX 3.3.3.6).
            (None, false) => http::Method::DELETE,
        };
        let name = match is_syncml {
            true => String::new(),
            false => self.full_name(incoming.name.as_deref()),
        };
        let request = Request {
            method,
            target: self.target.clone().unwrap_or_default(),
            name,
            media_type: incoming.media_type,
            body,
        };
        if is_syncml {
            self.has_begun = true;
            self.respond(Code::SUCCESS, &[]);
            return Action::Begin(request);
        }
        Action::Perform(request)
    }

    fn get(&mut self, headers: &[Header<'_>], is_final: bool) -> Action {
        if self.outgoing.is_some() {
            self.send_part();
            return Action::Respond;
        }
        if let Err(code) = self.receive(false, headers) {
            self.incoming = None;
            return self.refuse(code);
        }
        if !is_final {
            self.respond(Code::CONTINUE, &[]);
            return Action::Respond;
        }
        let incoming = self.incoming.take().unwrap_or_default();
        if incoming.name.is_none() {
            return match self.has_begun {
                true => {
                    self.has_begun = false;
                    Action::Await
                }
                // No message was put whose answer this could be.
                false => self.refuse(Code::NOT_FOUND),
            };
        }
        Action::Perform(Request {
            method: http::Method::GET,
            target: self.target.clone().unwrap_or_default(),
            name: self.full_name(incoming.name.as_deref()),
            media_type: incoming.media_type,
            body: None,
        })
    }

    /// Takes in the headers of one packet of a request.
    fn receive(&mut self, is_put: bool, headers: &[Header<'_>]) -> Result<(), Code> {
        let incoming = self.incoming.get_or_insert_default();
        if incoming.is_put != is_put {
            *incoming = Incoming {
                is_put,
                ..Incoming::default()
            };
        }
        for header in headers {
            match header {
                Header::Text(NAME, name) => {
                    if !is_plain(name) {
                        return Err(Code::FORBIDDEN);
                    }
                    incoming.name = Some(name.clone().into_owned());
                }
                Header::Octets(TYPE, text) => {
                    let text = text.split(|octet| *octet == 0).next().unwrap_or_default();
                    let text = std::str::from_utf8(text).map_err(|_| Code::BAD_REQUEST)?;
                    incoming.media_type = Some(text.to_owned());
                }
                Header::Number(LENGTH, length)
                    if is_put
                        && usize::try_from(*length).is_ok_and(|length| length > self.max_body) =>
                {
                    return Err(Code::TOO_LARGE);
                }
                Header::Octets(BODY | END_OF_BODY, part) if is_put => {
                    if incoming.body.len() + part.len() > self.max_body {
                        return Err(Code::TOO_LARGE);
                    }
                    incoming.has_body = true;
                    incoming.body.extend_from_slice(part);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn set_path(&mut self, fixed: &[u8], headers: &[Header<'_>]) -> Action {
        let name = headers.iter().find_map(|header| match header {
            Header::Text(NAME, name) => Some(name.as_ref()),
            _ => None,
        });
        let goes_up = fixed.first().is_some_and(|flags| flags & 1 != 0);
        if goes_up {
            self.path.pop();
        }
        match name {
            None if goes_up => {}
            None | Some("") => self.path.clear(),
            Some(name) if !is_plain(name) || name.contains('/') => {
                return self.refuse(Code::FORBIDDEN);
            }
            Some(_) if self.path.len() >= DEEPEST => return self.refuse(Code::NOT_FOUND),
            Some(name) => self.path.push(name.to_owned()),
        }
        self.respond(Code::SUCCESS, &[]);
        Action::Respond
    }

    fn full_name(&self, name: Option<&str>) -> String {
        let parts = self.path.iter().map(String::as_str);
        let parts: Vec<&str> = parts.chain(name).collect();
        parts.join("/")
    }

    /// The next packet of the object that the client gets.
    fn send_part(&mut self) {
        let Some(mut outgoing) = self.outgoing.take() else {
            return;
        };
        let mut headers = Vec::new();
        let media_type = outgoing.media_type.take().filter(|_| outgoing.is_first);
        let media_type = media_type.map(|text| [text.as_bytes(), b"\0"].concat());
        let mut room = usize::from(self.max_packet) - 3;
        if outgoing.is_first {
            let length = u32::try_from(outgoing.body.len()).unwrap_or(u32::MAX);
            headers.push(Header::Number(LENGTH, length));
            room -= 5;
            if let Some(text) = media_type
                .as_deref()
                .filter(|text| text.len() + 3 < room / 2)
            {
                headers.push(Header::Octets(TYPE, text));
                room -= text.len() + 3;
            }
            outgoing.is_first = false;
        }
        let part = outgoing.body.split_to(outgoing.body.len().min(room - 3));
        let (code, id) = match outgoing.body.is_empty() {
            true => (Code::SUCCESS, END_OF_BODY),
            false => (Code::CONTINUE, BODY),
        };
        headers.push(Header::Octets(id, &part));
        self.response.clear();
        packet::put_packet(&mut self.response, code.0, &[], &headers);
        if code == Code::CONTINUE {
            self.outgoing = Some(outgoing);
        }
    }

    fn respond(&mut self, code: Code, headers: &[Header<'_>]) {
        self.response.clear();
        packet::put_packet(&mut self.response, code.0, &[], headers);
    }

    /// Refuses the object that is being put, and forgets what came of it.
    pub fn abandon(&mut self, code: Code) -> Action {
        self.incoming = None;
        self.refuse(code)
    }

    /// A response that refuses a request.
    pub fn refuse(&mut self, code: Code) -> Action {
        self.respond(code, &[]);
        Action::Respond
    }

    /// A response to CONNECT always has the fixed part (OBEX 3.3.1.8).
    fn refuse_connect(&mut self, code: Code) -> Action {
        self.response.clear();
        packet::put_packet(&mut self.response, code.0, &[VERSION, 0, 0xFF, 0xFF], &[]);
        Action::Respond
    }
}

/// Whether a media type is a SyncML message's.
fn is_syncml(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence
        .to_ascii_lowercase()
        .starts_with("application/vnd.syncml")
}

/// Whether a name stays in its folder, and is short.
fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && !name.contains(|sign: char| sign.is_control() || sign == '\\')
        && !name.split('/').any(|part| part == ".." || part == ".")
}

/// Octets of a target.
const LONGEST_TARGET: usize = 32;
/// Octets of a name.
const LONGEST_NAME: usize = 255;
/// Folders below the root.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(first: u8, fixed: &[u8], headers: &[Header<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        packet::put_packet(&mut out, first, fixed, headers);
        out
    }

    fn connected(max_packet: u16) -> Session {
        let mut session = Session::new(1_000, 7);
        let [high, low] = max_packet.to_be_bytes();
        let target = Header::Octets(TARGET, b"SYNCML-SYNC");
        let connect = packet(0x80, &[VERSION, 0, high, low], &[target]);
        assert_eq!(session.handle_packet(&connect), Action::Forget);
        let response = session.response();
        assert_eq!(response[..7], [0xA0, 0, 26, 0x10, 0, 0xFF, 0xFF]);
        assert_eq!(
            packet::headers(&response[7..]).unwrap(),
            [
                Header::Number(CONNECTION_ID, 7),
                Header::Octets(WHO, b"SYNCML-SYNC")
            ]
        );
        session
    }

    const WBXML: &[u8] = b"application/vnd.syncml+wbxml\0";

    #[test]
    fn a_message_is_put_in_two_packets_and_its_answer_got_in_several() {
        let mut session = connected(255);
        let id = Header::Number(CONNECTION_ID, 7);
        let first = [
            id.clone(),
            Header::Octets(TYPE, WBXML),
            Header::Octets(BODY, b"abc"),
        ];
        assert_eq!(
            session.handle_packet(&packet(0x02, &[], &first)),
            Action::Respond
        );
        assert_eq!(session.response(), [0x90, 0, 3]);
        let last = [Header::Octets(END_OF_BODY, b"def")];
        let Action::Begin(request) = session.handle_packet(&packet(0x82, &[], &last)) else {
            panic!("no request");
        };
        assert_eq!(session.response(), [0xA0, 0, 3]);
        assert_eq!(request.method, http::Method::POST);
        assert_eq!(request.body.as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(
            request.media_type.as_deref(),
            Some("application/vnd.syncml+wbxml")
        );
        assert_eq!((&*request.target, &*request.name), ("SYNCML-SYNC", ""));
        let get = packet(0x83, &[], &[id, Header::Octets(TYPE, WBXML)]);
        assert_eq!(session.handle_packet(&get), Action::Await);
        let body: Vec<u8> = (0..=255).cycle().take(600).collect();
        session.handle_answer(
            Answer {
                status: 200,
                media_type: request.media_type,
                body: body.clone().into(),
            },
            true,
        );
        let mut got = Vec::new();
        loop {
            let response = session.response().to_vec();
            assert!(response.len() <= 255);
            for header in packet::headers(&response[3..]).unwrap() {
                if let Header::Octets(BODY | END_OF_BODY, part) = header {
                    got.extend_from_slice(part);
                }
            }
            if response[0] == 0xA0 {
                break;
            }
            assert_eq!(response[0], 0x90);
            assert_eq!(
                session.handle_packet(&packet(0x83, &[], &[])),
                Action::Respond
            );
        }
        assert!(got == body);
        // An answer is got once.
        assert_eq!(session.handle_packet(&get), Action::Respond);
        assert_eq!(session.response(), [0xC4, 0, 3]);
        assert_eq!(
            session.handle_packet(&packet(0x81, &[], &[])),
            Action::Close
        );
    }

    #[test]
    fn objects_have_names_and_folders() {
        let mut session = connected(1_000);
        let name = |name: &'static str| Header::Text(NAME, name.into());
        let enter = |folder| packet(0x85, &[2, 0], &[name(folder)]);
        session.handle_packet(&enter("telecom"));
        assert_eq!(session.response(), [0xA0, 0, 3]);
        let Action::Perform(request) = session.handle_packet(&packet(0x83, &[], &[name("pb.vcf")]))
        else {
            panic!("no request");
        };
        assert_eq!(
            (request.method, &*request.name),
            (http::Method::GET, "telecom/pb.vcf")
        );
        session.handle_answer(
            Answer {
                status: 404,
                media_type: None,
                body: Bytes::from_static(b"no"),
            },
            true,
        );
        assert_eq!(session.response(), [0xC4, 0, 3]);
        session.handle_packet(&packet(0x85, &[3, 0], &[]));
        let put = [name("a.vcf"), Header::Octets(END_OF_BODY, b"x")];
        let Action::Perform(request) = session.handle_packet(&packet(0x82, &[], &put)) else {
            panic!("no request");
        };
        assert_eq!(
            (request.method, &*request.name),
            (http::Method::PUT, "a.vcf")
        );
        let Action::Perform(request) = session.handle_packet(&packet(0x82, &[], &[name("a.vcf")]))
        else {
            panic!("no request");
        };
        assert_eq!(request.method, http::Method::DELETE);
        for bad in ["..", "a/../b", "a\\b", "a\u{1}"] {
            session.handle_packet(&enter(bad));
            assert_eq!(session.response()[0], 0xC3, "{bad:?}");
        }
    }

    #[test]
    fn hostile_packets_are_refused_within_bounds() {
        let mut session = connected(255);
        let wrong = packet(0x83, &[], &[Header::Number(CONNECTION_ID, 8)]);
        session.handle_packet(&wrong);
        assert_eq!(session.response()[0], 0xD3);
        let part = vec![0; 600];
        for code in [0x90, 0xCD] {
            session.handle_packet(&packet(0x02, &[], &[Header::Octets(BODY, &part)]));
            assert_eq!(session.response()[0], code);
        }
        assert_eq!(session.held(), 0);
        session.handle_packet(&packet(0x02, &[], &[Header::Number(LENGTH, 1_001)]));
        assert_eq!(session.response()[0], 0xCD);
        session.handle_packet(&packet(0x87, &[], &[]));
        assert_eq!(session.response()[0], 0xD1);
        for _ in 0..DEEPEST {
            session.handle_packet(&packet(0x85, &[2, 0], &[Header::Text(NAME, "x".into())]));
        }
        session.handle_packet(&packet(0x85, &[2, 0], &[Header::Text(NAME, "x".into())]));
        assert_eq!(session.response()[0], 0xC4);
        let uuid = packet(
            0x80,
            &[VERSION, 0, 1, 0],
            &[Header::Octets(TARGET, &[0xF9; 16])],
        );
        session.handle_packet(&uuid);
        assert_eq!(session.response(), [0xC6, 0, 7, 0x10, 0, 0xFF, 0xFF]);
    }

    proptest! {
        #[test]
        fn any_packets_are_answered_within_the_clients_size(
            packets in prop::collection::vec(
                (prop::sample::select(vec![0x80u8, 0x81, 0x82, 2, 0x83, 3, 0x85, 0xFF, 0x9F]),
                 prop::collection::vec(any::<u8>(), 0..40)),
                1..20),
        ) {
            let mut session = Session::new(64, 1);
            for (first, rest) in packets {
                let mut octets = vec![first, 0, 0];
                octets.extend(rest);
                match session.handle_packet(&octets) {
                    Action::Await | Action::Perform(_) => session.handle_answer(
                        Answer { status: 200, media_type: None, body: Bytes::from(vec![1; 700]) },
                        first & 0x7F == 3,
                    ),
                    _ => {}
                }
                prop_assert!(session.held() <= 64);
                prop_assert_eq!(packet::packet_len(session.response()), Some(session.response().len()));
                prop_assert!(session.response().len() <= usize::from(session.max_packet));
            }
        }
    }
}
