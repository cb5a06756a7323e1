//! Transcripts of sessions with an SMS centre of a few lines.

use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSmResp};
use rusmpp::types::OctetString;
use rusmpp::values::EsmClass;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};

use super::wire;
use super::*;
use crate::limit::Rate;
use crate::time::Instant;

/// A session and the PDUs that the centre has received from it.
struct Transcript {
    session: Session,
    now: Instant,
    heard: BytesMut,
}

fn config() -> Config {
    Config {
        system_id: "wapbridge".to_owned(),
        password: Password::new("secret"),
        window: 2,
        ..Config::default()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Transcript {
    fn begun(config: Config) -> Self {
        let now = Instant::ZERO;
        let session = Session::new(config, now);
        let heard = BytesMut::new();
        Self {
            session,
            now,
            heard,
        }
    }

    fn bound(config: Config) -> Self {
        let mut transcript = Self::begun(config);
        let bind = transcript.hears();
        assert_eq!(bind.id(), CommandId::BindTransceiver);
        transcript.says(
            CommandStatus::EsmeRok,
            bind.sequence_number(),
            BindTransceiverResp::default(),
        );
        assert_eq!(transcript.session.poll_event(), Some(Event::Bound));
        transcript
    }

    /// The next PDUs of the session.
    fn hears(&mut self) -> Command {
        self.hears_if().expect("the session has something to say")
    }

    fn hears_if(&mut self) -> Option<Command> {
        let mut out = Vec::new();
        self.session.poll_transmit(&mut out);
        self.heard.extend_from_slice(&out);
        let frame = wire::next(&mut self.heard).expect("a frame")?;
        Some(frame.command.expect("well-formed"))
    }

    fn says(&mut self, status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) {
        let mut out = BytesMut::new();
        wire::put(&mut out, &Command::new(status, sequence, pdu));
        self.session.handle_input(self.now, &out);
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
    }

    fn submits(&mut self, tag: u64) -> u32 {
        assert!(self.session.has_room(self.now));
        let message = Message {
            destination: "491701234567",
            user_data: b"\x06\x05\x04\x0B\x84\x23\xF0\x01\x06",
            validity: Some(seconds(3600)),
            more: false,
        };
        self.session.submit(self.now, tag, &message);
        let command = self.hears();
        assert_eq!(command.id(), CommandId::SubmitSm);
        command.sequence_number()
    }

    fn accepts(&mut self, sequence: u32, id: &str) {
        let response = SubmitSmResp::builder()
            .message_id(id.parse().unwrap())
            .build();
        self.says(CommandStatus::EsmeRok, sequence, response);
    }

    fn event(&mut self) -> Option<Event> {
        self.session.poll_event()
    }
}

fn answered(tag: u64, answer: Answer) -> Option<Event> {
    Some(Event::Answered { tag, answer })
}

#[test]
fn a_bind_has_the_octets_of_the_specification() {
    let mut out = Vec::new();
    Session::new(config(), Instant::ZERO).poll_transmit(&mut out);
    let body = b"wapbridge\0secret\0\0\x34\0\0\0";
    let len = u8::try_from(16 + body.len()).unwrap();
    let header = [0, 0, 0, len, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(out, [&header[..], body].concat());
}

#[test]
fn a_submission_has_the_octets_that_kannel_sends() {
    let mut config = config();
    config.esm_class = 0x43;
    let mut t = Transcript::bound(config);
    let message = Message {
        destination: "155519990730",
        user_data: b"\x06\x05\x04\x0b\x84\x23\xf0!",
        validity: None,
        more: true,
    };
    t.session.submit(t.now, 1, &message);
    let mut out = Vec::new();
    t.session.poll_transmit(&mut out);
    // No service type, source unknown, destination international and ISDN, esm_class, pid 0,
    // priority 0, no times, a receipt asked for, no replacing, data_coding, no stored message, and
    // more_messages_to_send.
    let body =
        b"\0\0\0\0\x01\x01155519990730\0\x43\0\0\0\0\x01\0\x04\0\x08\x06\x05\x04\x0b\x84\x23\xf0!\
        \x04\x26\x00\x01\x01";
    assert_eq!(out[16..], body[..]);
}

#[test]
fn a_bind_that_is_refused_ends_the_session() {
    let mut t = Transcript::begun(config());
    let sequence = t.hears().sequence_number();
    // As most centres do it: a header, and no body.
    t.session.handle_input(
        t.now,
        &[
            0,
            0,
            0,
            16,
            0x80,
            0,
            0,
            9,
            0,
            0,
            0,
            0x0E,
            0,
            0,
            0,
            sequence as u8,
        ],
    );
    assert_eq!(
        t.event(),
        Some(Event::Closed(Close::BindRefused(Status(0x0E))))
    );
    assert_eq!(t.session.poll_timeout(t.now), None);
}

#[test]
fn the_window_opens_with_answers() {
    let mut t = Transcript::bound(config());
    let (first, second) = (t.submits(1), t.submits(2));
    assert!(!t.session.has_room(t.now));
    t.accepts(second, "b");
    assert_eq!(t.event(), answered(2, Answer::Accepted("b".into())));
    assert!(t.session.has_room(t.now));
    t.says(
        CommandStatus::EsmeRinvdstadr,
        first,
        SubmitSmResp::default(),
    );
    assert_eq!(t.event(), answered(1, Answer::Refused(Status(0x0B))));
    // The same answer again belongs to nothing.
    t.accepts(second, "b");
    assert_eq!(t.event(), Some(Event::PassedOver));
}

#[test]
fn a_centre_that_throttles_gets_longer_and_longer_pauses() {
    let mut t = Transcript::bound(config());
    for pause in [1, 2, 4] {
        let sequence = t.submits(1);
        t.says(
            CommandStatus::EsmeRthrottled,
            sequence,
            SubmitSmResp::default(),
        );
        assert_eq!(t.event(), answered(1, Answer::Refused(Status(0x58))));
        assert!(!t.session.has_room(t.now));
        assert_eq!(t.session.poll_timeout(t.now), Some(t.now + seconds(pause)));
        t.later(seconds(pause));
        assert!(t.session.has_room(t.now));
    }
    let sequence = t.submits(1);
    t.accepts(sequence, "a");
    t.event();
    let sequence = t.submits(1);
    t.says(
        CommandStatus::EsmeRthrottled,
        sequence,
        SubmitSmResp::default(),
    );
    assert_eq!(t.session.poll_timeout(t.now), Some(t.now + seconds(1)));
}

#[test]
fn a_window_of_throttled_messages_is_one_pause() {
    let mut t = Transcript::bound(Config {
        window: 4,
        ..config()
    });
    let sequences = [1, 2, 3, 4].map(|tag| t.submits(tag));
    for sequence in sequences {
        t.says(
            CommandStatus::EsmeRthrottled,
            sequence,
            SubmitSmResp::default(),
        );
        t.event();
        assert_eq!(t.session.poll_timeout(t.now), Some(t.now + seconds(1)));
    }
    t.later(seconds(1));
    let sequence = t.submits(1);
    t.says(
        CommandStatus::EsmeRthrottled,
        sequence,
        SubmitSmResp::default(),
    );
    assert_eq!(t.session.poll_timeout(t.now), Some(t.now + seconds(2)));
}

#[test]
fn the_rate_holds() {
    let rate = Some(Rate {
        per_second: 2,
        burst: 1,
    });
    let mut t = Transcript::bound(Config {
        rate,
        window: 100,
        ..config()
    });
    let mut sent = 0;
    for _ in 0..100 {
        while t.session.has_room(t.now) {
            t.submits(sent);
            sent += 1;
        }
        t.later(Duration::from_millis(100));
    }
    assert!((20..=21).contains(&sent), "{sent} in ten seconds");
}

#[test]
fn a_silent_centre_is_asked_and_then_given_up() {
    let mut t = Transcript::bound(config());
    t.later(seconds(30));
    let enquiry = t.hears();
    assert_eq!(enquiry.id(), CommandId::EnquireLink);
    t.says(
        CommandStatus::EsmeRok,
        enquiry.sequence_number(),
        Pdu::EnquireLinkResp,
    );
    t.later(seconds(30));
    assert_eq!(t.hears().id(), CommandId::EnquireLink);
    t.later(seconds(30));
    assert_eq!(t.event(), Some(Event::Closed(Close::Silent)));
}

#[test]
fn a_message_without_an_answer_ends_the_session() {
    let mut t = Transcript::bound(config());
    t.submits(7);
    t.later(seconds(20));
    // The centre lives, and has nothing to say of the message.
    t.says(CommandStatus::EsmeRok, 99, Pdu::EnquireLink);
    assert_eq!(t.hears().id(), CommandId::EnquireLinkResp);
    t.later(seconds(10));
    assert_eq!(t.event(), answered(7, Answer::Lost));
    assert_eq!(t.event(), Some(Event::Closed(Close::Silent)));
}

#[test]
fn receipts_are_acknowledged_and_told() {
    let mut t = Transcript::bound(config());
    let deliver = DeliverSm::builder()
        .esm_class(EsmClass::from(0x04))
        .short_message(OctetString::from_slice(b"id:b stat:DELIVRD").unwrap())
        .build();
    t.says(CommandStatus::EsmeRok, 5, deliver);
    let response = t.hears();
    assert_eq!(
        (response.id(), response.sequence_number()),
        (CommandId::DeliverSmResp, 5)
    );
    let receipt = Receipt {
        message_id: "b".into(),
        state: State::Delivered,
    };
    assert_eq!(t.event(), Some(Event::Receipt(receipt)));
    t.says(CommandStatus::EsmeRok, 6, DeliverSm::default());
    assert_eq!(t.hears().id(), CommandId::DeliverSmResp);
    assert_eq!(t.event(), Some(Event::PassedOver));
}

#[test]
fn either_side_ends_a_session() {
    let mut t = Transcript::bound(config());
    t.submits(1);
    t.says(CommandStatus::EsmeRok, 9, Pdu::Unbind);
    assert_eq!(t.hears().id(), CommandId::UnbindResp);
    assert_eq!(t.event(), answered(1, Answer::Lost));
    assert_eq!(t.event(), Some(Event::Closed(Close::Unbound)));
    let mut t = Transcript::bound(config());
    t.session.unbind(t.now);
    let unbind = t.hears();
    assert_eq!(unbind.id(), CommandId::Unbind);
    t.says(
        CommandStatus::EsmeRok,
        unbind.sequence_number(),
        Pdu::UnbindResp,
    );
    assert_eq!(t.event(), Some(Event::Closed(Close::Done)));
}

#[test]
fn a_name_that_cannot_be_read_is_no_refusal() {
    let mut t = Transcript::bound(config());
    let sequence = t.submits(1);
    let mut response = vec![
        0,
        0,
        0,
        18,
        0x80,
        0,
        0,
        4,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        sequence as u8,
    ];
    response.extend(b"\xFF\0");
    t.session.handle_input(t.now, &response);
    assert_eq!(t.event(), answered(1, Answer::Accepted("".into())));
}

#[test]
fn what_is_no_smpp_ends_the_session() {
    for octets in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\0\0\0\x0F",
        b"\0\xFF\xFF\xFF",
    ] {
        let mut t = Transcript::bound(config());
        t.session.handle_input(t.now, octets);
        assert_eq!(t.event(), Some(Event::Closed(Close::Malformed)));
    }
    // A body that makes no sense is refused, and the session goes on.
    let mut t = Transcript::bound(config());
    t.session
        .handle_input(t.now, b"\0\0\0\x11\0\0\0\x05\0\0\0\0\0\0\0\x02x");
    let nack = t.hears();
    assert_eq!(
        (nack.id(), nack.sequence_number()),
        (CommandId::GenericNack, 2)
    );
    assert!(t.session.is_bound());
}

proptest! {
    /// Whatever a centre says, however it is cut: nothing panics, and every message has one answer.
    #[test]
    fn a_hostile_centre_does_no_harm(
        script in prop::collection::vec(
            (any::<u32>(), prop::sample::select(vec![0x8000_0004u32, 0x8000_0000, 5, 6, 0x15, 0x103, 0x8000_0009, 0x102, 0x8000_0015]),
             0u32..8, prop::collection::vec(any::<u8>(), 0..60), 1u64..20),
            0..40,
        ),
    ) {
        let mut t = Transcript::bound(config());
        let (mut submitted, mut answers) = (0u64, Vec::new());
        for (status, id, sequence, body, pause) in script {
            while t.session.has_room(t.now) {
                t.submits(submitted);
                submitted += 1;
            }
            let len = u32::try_from(16 + body.len()).unwrap();
            let status = if status % 2 == 0 { 0 } else { status };
            let mut octets = Vec::new();
            for word in [len, id, status, sequence] {
                octets.extend(word.to_be_bytes());
            }
            octets.extend(body);
            for piece in octets.chunks(7) {
                t.session.handle_input(t.now, piece);
            }
            t.later(seconds(pause));
            while t.hears_if().is_some() {}
            while let Some(event) = t.event() {
                if let Event::Answered { tag, .. } = event {
                    answers.push(tag);
                }
            }
        }
        t.session.handle_disconnect();
        while let Some(event) = t.event() {
            if let Event::Answered { tag, .. } = event {
                answers.push(tag);
            }
        }
        answers.sort_unstable();
        prop_assert_eq!(answers, (0..submitted).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>) {
        let mut t = Transcript::bound(config());
        t.session.handle_input(t.now, &octets);
        while t.event().is_some() {}
    }
}
