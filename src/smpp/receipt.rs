//! Delivery receipts (SMPP 3.4, appendix B): the outcome of a message that the centre accepted.

use rusmpp::pdus::DeliverSm;
use rusmpp::tlvs::{Tlv, TlvValue};

/// A delivery receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The centre's name for the message, as the receipt writes it.
    pub message_id: Box<str>,
    /// The state of the message.
    pub state: State,
}

/// The state of a message (SMPP 3.4, 5.2.28).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The phone has it.
    Delivered,
    /// The centre is still trying.
    Pending,
    /// The message failed. The word is the receipt's: `EXPIRED`, `UNDELIV`.
    Failed(&'static str),
}

impl Receipt {
    /// Reads a receipt. `None` for a message that is no receipt, or a receipt that names no
    /// message.
    ///
    /// The parameters `receipted_message_id` and `message_state` count before the text of the
    /// message, which is the centre's own.
    pub(super) fn of(deliver: &DeliverSm) -> Option<Self> {
        if u8::from(deliver.esm_class) & TYPE != RECEIPT {
            return None;
        }
        let text = deliver.short_message();
        let text = String::from_utf8_lossy(text.as_ref());
        let mut message_id = value(&text, "id:").map(str::to_owned);
        let mut state = value(&text, "stat:").and_then(of_word);
        for tlv in deliver.tlvs().iter().filter_map(Tlv::value) {
            match tlv {
                TlvValue::ReceiptedMessageId(id) => message_id = Some(id.as_str().to_owned()),
                TlvValue::MessageState(value) => state = of_number(u8::from(*value)).or(state),
                _ => {}
            }
        }
        let message_id = message_id.filter(|id| !id.is_empty())?;
        Some(Self {
            message_id: message_id.into(),
            state: state?,
        })
    }
}

/// The value after a key of the text, up to white space. Keys are at the start or after white
/// space.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut words = text.split_ascii_whitespace();
    words.find_map(|word| {
        let (start, rest) = word.split_at_checked(key.len())?;
        start.eq_ignore_ascii_case(key).then_some(rest)
    })
}

fn of_word(word: &str) -> Option<State> {
    const WORDS: [(&str, State); 8] = [
        ("DELIVRD", State::Delivered),
        ("EXPIRED", State::Failed("EXPIRED")),
        ("DELETED", State::Failed("DELETED")),
        ("UNDELIV", State::Failed("UNDELIV")),
        ("UNKNOWN", State::Failed("UNKNOWN")),
        ("REJECTD", State::Failed("REJECTD")),
        ("ACCEPTD", State::Pending),
        ("ENROUTE", State::Pending),
    ];
    let found = WORDS
        .iter()
        .find(|(known, _)| word.eq_ignore_ascii_case(known));
    found.map(|(_, state)| *state)
}

const fn of_number(number: u8) -> Option<State> {
    Some(match number {
        0 | 1 | 6 => State::Pending,
        2 => State::Delivered,
        3 => State::Failed("EXPIRED"),
        4 => State::Failed("DELETED"),
        5 => State::Failed("UNDELIV"),
        7 => State::Failed("UNKNOWN"),
        8 => State::Failed("REJECTD"),
        _ => return None,
    })
}

/// The bits of `esm_class` for the type of a message.
const TYPE: u8 = 0x3C;
/// A delivery receipt of the centre.
const RECEIPT: u8 = 0x04;

#[cfg(test)]
mod tests {
    use rusmpp::tlvs::MessageDeliveryRequestTlvValue;
    use rusmpp::types::OctetString;
    use rusmpp::values::{EsmClass, MessageState};

    use super::*;

    fn deliver(esm_class: u8, text: &str) -> DeliverSm {
        DeliverSm::builder()
            .esm_class(EsmClass::from(esm_class))
            .short_message(OctetString::from_slice(text.as_bytes()).unwrap())
            .build()
    }

    #[test]
    fn a_receipt_is_read_by_its_text() {
        let text = "id:0A1b sub:001 dlvrd:001 submit date:2611291420 done date:2611291421 stat:DELIVRD err:000 text:";
        let receipt = Receipt::of(&deliver(0x04, text)).unwrap();
        assert_eq!(
            (&*receipt.message_id, receipt.state),
            ("0A1b", State::Delivered)
        );
        // An ordinary message may say the same.
        assert_eq!(Receipt::of(&deliver(0x00, text)), None);
        let failed = Receipt::of(&deliver(0x04, "Id:7 Stat:undeliv")).unwrap();
        assert_eq!(failed.state, State::Failed("UNDELIV"));
        assert_eq!(Receipt::of(&deliver(0x04, "stat:DELIVRD")), None);
        assert_eq!(Receipt::of(&deliver(0x04, "id:7 stat:WHATEVER")), None);
    }

    #[test]
    fn parameters_count_before_the_text() {
        let mut receipt = deliver(0x04, "id:1 stat:ENROUTE");
        receipt.push_tlv(MessageDeliveryRequestTlvValue::ReceiptedMessageId(
            "2".parse().unwrap(),
        ));
        receipt.push_tlv(MessageDeliveryRequestTlvValue::MessageState(
            MessageState::Expired,
        ));
        let receipt = Receipt::of(&receipt).unwrap();
        assert_eq!(
            (&*receipt.message_id, receipt.state),
            ("2", State::Failed("EXPIRED"))
        );
    }
}
