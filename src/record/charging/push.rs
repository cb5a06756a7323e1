//! The record of one recipient of a push, in the columns of transactions.

use super::Format;
use super::encode::{Batch, CdrEncoder, EntryKind, OF_PUSHES, id, subscriber};
use crate::identity::Identity;
use crate::push::ppg::DeliveryRecord;
use crate::push::{Address, Bearer};
use crate::record::line::{Csv, Fields, Json};

impl Batch {
    /// A push that is over for a recipient. `number` is unique in this run of the program;
    /// `identity` is the subscriber's at this moment, if the network reported one.
    pub(in crate::record) fn pushed(
        &mut self,
        encoder: &mut CdrEncoder,
        number: u64,
        record: &DeliveryRecord,
        identity: Option<&Identity>,
    ) {
        let out = &mut self.text;
        match encoder.format {
            Format::Json => {
                out.push(b'"');
                id(encoder, number, out);
                out.push(b'"');
                let mut line = Json { out, nulls: true };
                fields(encoder, record, identity, &mut line);
                out.extend_from_slice(b"}\n");
            }
            Format::Csv => {
                id(encoder, number, out);
                fields(encoder, record, identity, &mut Csv(out));
                out.push(b'\n');
            }
        }
        self.end(encoder, number, EntryKind::Finished);
    }
}

/// The fields, in the order of the columns.
fn fields(
    encoder: &mut CdrEncoder,
    record: &DeliveryRecord,
    identity: Option<&Identity>,
    line: &mut impl Fields,
) {
    let CdrEncoder {
        node, timestamp, ..
    } = encoder;
    let (mut number, mut name, mut peer) = (None, None, None);
    match record.recipient.address() {
        Address::Plmn(text) => number = Some(text),
        Address::User(text) => name = Some(text),
        Address::Ip(address) => peer = Some(address.to_string()),
    }
    line.text("node", node);
    line.text("cause", record.state.name());
    line.moment("received", timestamp, Some(record.received * 1_000));
    line.absent("answered");
    line.moment("finished", timestamp, Some(record.finished * 1_000));
    line.text("mode", "push");
    line.text_if("peer", peer.as_deref());
    for name in ["local", "session", "method", "uri", "route", "target"] {
        line.absent(name);
    }
    line.number("status", record.code.0.into());
    for name in [
        "problem",
        "syncml",
        "syncml_encoding",
        "syncml_session",
        "syncml_message",
        "syncml_alerts",
        "syncml_statuses",
    ] {
        line.absent(name);
    }
    subscriber(identity, (number, name), line);
    line.absent("request_octets");
    line.number("reply_octets", record.octets as u64);
    for name in [
        "air_in_octets",
        "air_out_octets",
        "air_in_packets",
        "air_out_packets",
        "resent",
        "repeats",
        "air_in_us",
        "upstream_us",
        "air_out_us",
    ] {
        line.absent(name);
    }
    let total = record.finished.saturating_sub(record.received);
    line.number("total_us", total * 1_000);
    line.absent("secured");
    let [initiator, push_id, bearer, attempts] = OF_PUSHES;
    line.text(initiator, &record.initiator);
    line.text(push_id, &record.push_id);
    line.text_if(bearer, record.bearer.map(Bearer::label));
    line.number(attempts, record.attempts.into());
    line.absent("trace_id");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Private, Source};
    use crate::record::charging::encode::{begin, heading};
    use crate::record::sample::push;
    use crate::wsp::log_id::LogIds;

    fn line(format: Format, identity: Option<&Identity>) -> Vec<u8> {
        let mut batch = Batch::default();
        let names = LogIds::new(&[0; 16]);
        let mut encoder = CdrEncoder::new(format, "node-1".into(), 0xabc, 2, names);
        batch.pushed(&mut encoder, 7, &push(), identity);
        let mut line = Vec::new();
        begin(format, 42, &mut line);
        line.extend(batch.text);
        line
    }

    #[test]
    fn a_push_has_the_columns_of_transactions() {
        let mut file = heading(Format::Csv);
        file.extend(line(Format::Csv, None));
        let mut reader = csv::Reader::from_reader(&*file);
        let names = reader.headers().unwrap().clone();
        let cells = reader.records().next().unwrap().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&line(Format::Json, None)).unwrap();
        let json = record.as_object().unwrap();
        assert_eq!(json.len(), names.len());
        for (name, cell) in names.iter().zip(&cells) {
            let value = &json[name];
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(text.replace("null", ""), cell, "{name}");
        }
        // The order of the columns is that of the fields of JSON, too.
        let text = String::from_utf8(line(Format::Json, None)).unwrap();
        let places: Vec<_> = names
            .iter()
            .map(|name| text.find(&format!("\"{name}\":")).unwrap())
            .collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn a_push_is_charged_to_the_subscriber_by_its_number() {
        let of = |identity| -> serde_json::Value {
            serde_json::from_slice(&line(Format::Json, identity)).unwrap()
        };
        let identity = Identity {
            imsi: Some(Private::new("262011234567890")),
            charging_id: Some(5),
            source: Source::Radius,
            ..Identity::default()
        };
        for (identity, imsi, source) in [
            (None, serde_json::Value::Null, serde_json::Value::Null),
            (Some(&identity), "262011234567890".into(), "radius".into()),
        ] {
            let record = of(identity);
            assert_eq!(record["msisdn"], "491701234567");
            assert_eq!(
                (&record["imsi"], &record["identity_source"]),
                (&imsi, &source)
            );
            assert_eq!(record["id"], "0000000000000abc-2-7");
            assert_eq!(
                (&record["mode"], &record["cause"]),
                (&"push".into(), &"delivered".into())
            );
            assert_eq!(record["finished"], "2026-11-23T08:10:57.500000Z");
            assert_eq!(
                (&record["status"], &record["reply_octets"]),
                (&1000.into(), &12.into())
            );
            assert_eq!(
                (&record["bearer"], &record["attempts"]),
                (&"sms".into(), &2.into())
            );
            assert_eq!(
                (&record["initiator"], &record["total_us"]),
                (&"sync".into(), &1_500_000.into())
            );
        }
    }
}
