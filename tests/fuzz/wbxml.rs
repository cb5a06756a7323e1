//! The targets for WBXML, fed by proptest with arbitrary octets and with captured messages tampered with.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::support::corpus;
use crate::targets::wbxml::{decoder, syncml, text, to_text};

fn all(octets: &[u8]) {
    decoder(octets);
    to_text(octets);
    text(octets, false);
    syncml(octets);
}

static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    corpus::fixtures()
        .into_iter()
        .map(|sample| sample.octets)
        .filter(|octets| octets.len() < 2500)
        .collect()
});

/// Ways to tamper with a message.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, u8),
    Repeat(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        8 => (at(), any::<u8>()).prop_map(|(at, octet)| Change::Set(at, octet)),
        8 => (at(), 0u8..5).prop_map(|(at, octet)| Change::Set(at, octet)),
        1 => at().prop_map(Change::Cut),
        4 => (at(), 1u8..20).prop_map(|(at, count)| Change::Remove(at, count)),
        4 => (at(), 1u8..40).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn tampered(mut octets: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if octets.is_empty() {
            break;
        }
        let range = |at: &prop::sample::Index, count: u8| {
            let at = at.index(octets.len());
            at..(at + usize::from(count)).min(octets.len())
        };
        match change {
            Change::Set(at, octet) => {
                let at = at.index(octets.len());
                octets[at] = *octet;
            }
            Change::Cut(at) => octets.truncate(at.index(octets.len())),
            Change::Remove(at, count) => drop(octets.drain(range(at, *count))),
            Change::Repeat(at, count) => {
                let range = range(at, *count);
                let part = octets[range.clone()].to_vec();
                octets.splice(range.start..range.start, part);
            }
        }
    }
    octets
}

proptest! {
    #[test]
    fn arbitrary_octets(octets: Vec<u8>) {
        all(&octets);
    }

    #[test]
    fn a_header_and_arbitrary_octets(public_id in prop_oneof![Just(5u8), 4u8..14], body in prop::collection::vec(any::<u8>(), 0..60)) {
        all(&[&[2, public_id, 0x6A, 4, b'a', b'b', b'c', 0, 0x45][..], &body, &[1]].concat());
    }

    #[test]
    fn messages_tampered_with(message in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 0..6)) {
        let message = message.get(&MESSAGES).clone();
        all(&tampered(message, &changes));
    }
}
