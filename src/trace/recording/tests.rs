//! Messages in several packets, masks, marks of failures, and limits of a recording.

use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"Zm9vOnNlY3JldA";

fn peer() -> Peer {
    Peer::new(
        "192.0.2.7:49152".parse().unwrap(),
        "192.0.2.1:9201".parse().unwrap(),
    )
}

/// A Post with a credential in a field, and one in SyncML.
fn post() -> Vec<u8> {
    let body = format!(
        "<SyncML><SyncHdr><VerProto>SyncML/1.1</VerProto><SessionID>1</SessionID><MsgID>1</MsgID><Cred><Data>{}</Data></Cred></SyncHdr></SyncML>",
        String::from_utf8_lossy(SECRET)
    );
    let field = [b"\x80Authorization\0Basic ", SECRET, b"\0"].concat();
    let mut sdu = vec![0x60, 9, u8::try_from(field.len()).unwrap()];
    sdu.extend_from_slice(b"http://h/");
    sdu.extend_from_slice(&field);
    sdu.extend_from_slice(body.as_bytes());
    sdu
}

/// The packets of a message of which each but the last has so many octets.
fn packets(sdu: &[u8], size: usize, tid: u8) -> Vec<Vec<u8>> {
    let chunks: Vec<_> = sdu.chunks(size).collect();
    let last = chunks.len() - 1;
    let packet = |(number, chunk): (usize, &&[u8])| {
        let flags = if number == last { 2 } else { 0 };
        let head = match number {
            0 => vec![0x08 | flags, 0, tid, 2],
            _ => vec![0x28 | flags, 0, tid, u8::try_from(number).unwrap()],
        };
        [&head[..], chunk].concat()
    };
    chunks.iter().enumerate().map(packet).collect()
}

fn hear(recording: &mut Recording, octets: &[u8]) {
    let seen = Observation::Datagram {
        peer: peer(),
        service: Service::ConnectionMode,
        sent: false,
        octets: octets.to_vec(),
    };
    recording.add(Duration::from_secs(1), seen);
}

fn octets(recording: &Recording) -> Vec<Vec<u8>> {
    let seen = recording.entries().iter().map(|entry| &entry.seen);
    seen.map(|seen| match seen {
        Observation::Datagram { octets, .. } => octets.clone(),
        _ => Vec::new(),
    })
    .collect()
}

/// As a whole, across pieces.
fn shows_secret(recording: &Recording) -> bool {
    let data: Vec<u8> = octets(recording)
        .iter()
        .flat_map(|octets| octets[4..].to_vec())
        .collect();
    let told: String = (0..recording.entries().len())
        .map(|number| serde_json::to_string(&recording.event(number).unwrap()).unwrap())
        .collect();
    let part = String::from_utf8_lossy(&SECRET[..6]).into_owned();
    data.windows(6).any(|found| found == &SECRET[..6]) || told.contains(&part)
}

#[test]
fn a_message_in_pieces_is_blank_until_it_is_whole() {
    let sdu = post();
    let mut recording = Recording::new(1 << 20, false, LogIds::new(&[0; 16]));
    let packets = packets(&sdu, 50, 7);
    let (last, first) = packets.split_last().unwrap();
    for packet in first {
        hear(&mut recording, packet);
    }
    assert!(
        octets(&recording)
            .iter()
            .all(|octets| octets[4..].iter().all(|octet| *octet == b'*'))
    );
    hear(&mut recording, last);
    let shown: Vec<u8> = octets(&recording)
        .iter()
        .flat_map(|octets| octets[4..].to_vec())
        .collect();
    let mut masked = sdu;
    mask::sdu(&mut masked, false);
    assert_eq!(shown, masked);
    assert!(!shows_secret(&recording));
    let told = recording.event(packets.len() - 1).unwrap();
    assert!(
        told.summary.contains("SyncML/1.1, session 1, message 1"),
        "{}",
        told.summary
    );
    // A repetition is shown as well, and one that differs is not.
    hear(&mut recording, &packets[1]);
    assert_eq!(octets(&recording).last(), octets(&recording).get(1));
    let mut other = packets[1].clone();
    other[10] ^= 1;
    hear(&mut recording, &other);
    assert!(
        octets(&recording).last().unwrap()[4..]
            .iter()
            .all(|octet| *octet == b'*')
    );
}

#[test]
fn a_session_has_its_name_in_place_of_its_id() {
    let id = 0x0CAF_FE42u32;
    let mut octets = Vec::new();
    for shift in [21, 14, 7, 0] {
        let septet = u8::try_from(id >> shift & 0x7F).unwrap();
        octets.push(septet | if shift > 0 { 0x80 } else { 0 });
    }
    let name = LogIds::new(&[0; 16]).of(id).to_string();
    // Connect Reply, Resume, Suspend, Disconnect; the first behind the head of a Result, the
    // rest of an Invoke.
    for (head, sdu) in [
        (&b"\x12\x80\x07"[..], [&[2][..], &octets, &[0, 0]].concat()),
        (b"\x0A\x00\x07\x02", [&[9][..], &octets, &[0]].concat()),
        (b"\x0A\x00\x07\x00", [&[8][..], &octets].concat()),
        (b"\x0A\x00\x07\x00", [&[5][..], &octets].concat()),
    ] {
        let mut recording = Recording::new(1 << 20, false, LogIds::new(&[0; 16]));
        hear(&mut recording, &[head, &sdu].concat());
        let shown = self::octets(&recording).remove(0);
        assert!(
            !shown.windows(4).any(|found| found == octets),
            "{shown:02x?}"
        );
        let told = recording.event(0).unwrap();
        assert_eq!(told.session.as_ref(), Some(&name));
        assert!(
            told.summary.ends_with(&format!(", session {name}")),
            "{}",
            told.summary
        );
        let all = told.to_string();
        assert!(all.contains(&format!("session {name}")), "{all}");
        assert!(
            !all.contains("session id") && !all.contains("not readable"),
            "{all}"
        );
    }
}

#[test]
fn failures_are_marked() {
    let mut recording = Recording::new(1 << 20, false, LogIds::new(&[0; 16]));
    let datagrams: [(&[u8], bool); 5] = [
        // Get, its hold-on Ack, Reply 200, Reply 404, Abort of the user.
        (b"\x0A\x00\x07\x12\x40\x0Ahttp://a/b", false),
        (b"\x18\x80\x07", false),
        (b"\x12\x80\x07\x04\x20\x01\x83", false),
        (b"\x12\x80\x07\x04\x44\x01\x83", true),
        (b"\x21\x80\x07\xE1", true),
    ];
    for (octets, _) in datagrams {
        hear(&mut recording, octets);
    }
    for (number, (_, failed)) in datagrams.iter().enumerate() {
        let event = recording.event(number).unwrap();
        assert_eq!(event.failed, *failed, "{event}");
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json.get("failed").is_some(), *failed);
    }
}

#[test]
fn raw_is_raw_and_is_put_together_too() {
    let mut recording = Recording::new(1 << 20, true, LogIds::new(&[0; 16]));
    let packets = packets(&post(), 50, 7);
    for packet in &packets {
        hear(&mut recording, packet);
    }
    assert_eq!(octets(&recording), packets);
    assert_eq!(recording.entries().last().unwrap().message, Some(post()));
}

#[test]
fn a_full_story_takes_nothing_in() {
    let mut recording = Recording::new(1_000, false, LogIds::new(&[0; 16]));
    for _ in 0..10 {
        hear(&mut recording, &[0x18, 0, 1]);
    }
    assert!(recording.is_full() && recording.entries().len() == 4);
}

#[test]
fn messages_that_never_become_whole_are_forgotten() {
    let mut recording = Recording::new(usize::MAX, false, LogIds::new(&[0; 16]));
    let packet = [&[0x08, 0, 0, 2][..], &[b'x'; 1_400]].concat();
    for tid in 0..2_000u16 {
        let mut packet = packet.clone();
        packet[1..3].copy_from_slice(&tid.to_be_bytes());
        hear(&mut recording, &packet);
    }
    assert!(recording.held <= MAX_HELD && recording.assemblies.len() == recording.ages.len());
    assert!(recording.assemblies.len() > 1_000);
}

proptest! {
    /// Any packet may be lost, repeated or reordered, and a message may be cut anywhere.
    #[test]
    fn no_secret_survives_however_its_message_is_cut(size in 4..120usize, order in prop::collection::vec(any::<prop::sample::Index>(), 0..60), joined: bool) {
        let packets = packets(&post(), size, 7);
        let mut recording = Recording::new(1 << 20, false, LogIds::new(&[0; 16]));
        for index in order {
            let packet = index.get(&packets);
            match joined {
                // Behind an Ack in one datagram.
                true => {
                    let len = u8::try_from(packet.len()).unwrap();
                    let length = if len < 0x80 { vec![len] } else { vec![0x80, len] };
                    hear(&mut recording, &[&[0, 3, 0x18, 0, 9][..], &length, packet].concat());
                }
                false => hear(&mut recording, packet),
            }
        }
        prop_assert!(!shows_secret(&recording));
    }

    #[test]
    fn any_datagrams_are_told(datagrams in prop::collection::vec(any::<Vec<u8>>(), 0..20), connectionless: bool) {
        let mut recording = Recording::new(1 << 20, false, LogIds::new(&[0; 16]));
        let service = if connectionless { Service::Connectionless } else { Service::ConnectionMode };
        for octets in datagrams {
            recording.add(Duration::ZERO, Observation::Datagram { peer: peer(), service, sent: true, octets });
        }
        for number in 0..recording.entries().len() {
            prop_assert!(recording.event(number).is_some());
        }
    }
}
