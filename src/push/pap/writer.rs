//! PAP's documents, written.

use std::fmt::Write as _;

use super::version::SUPPORTED;
use super::{
    Operation, Quality, Query, Response, ResultNotification, Status, Submission, Version, Versions,
};
use crate::push::datetime;

/// The document of an operation, in a version.
#[must_use]
pub fn write_operation(versions: &Versions, operation: &Operation) -> String {
    let mut out = Writer::begin(versions);
    match operation {
        Operation::Push(push) => submission(push, &mut out),
        Operation::Cancel(of) => query("cancel-message", of, &mut out),
        Operation::Status(of) => query("statusquery-message", of, &mut out),
        Operation::Capabilities {
            query_id,
            app_id,
            address,
        } => {
            out.start("ccq-message");
            out.optional("query-id", query_id.as_deref());
            out.optional("app-id", app_id.as_deref());
            out.content();
            out.address(address);
            out.end("ccq-message");
        }
        Operation::Notification(result) => notification(result, &mut out),
    }
    out.finish()
}

/// The document of an answer, in the best version that both sides have.
#[must_use]
pub fn write_response(versions: &Versions, response: &Response) -> String {
    let mut out = Writer::begin(versions);
    match response {
        Response::Push {
            push_id,
            sender_name,
            reply_time,
            notes,
            code,
            desc,
        } => {
            out.start("push-response");
            out.attribute("push-id", push_id);
            out.optional("sender-name", sender_name.as_deref());
            out.moment("reply-time", *reply_time);
            out.content();
            for note in notes {
                out.start("progress-note");
                out.attribute("stage", &note.stage);
                out.optional("note", note.note.as_deref());
                out.moment("time", note.time);
                out.empty();
            }
            out.start("response-result");
            out.result(*code, desc.as_deref());
            out.empty();
            out.end("push-response");
        }
        Response::Cancel { push_id, results } => {
            out.start("cancel-response");
            out.attribute("push-id", push_id);
            out.content();
            for result in results {
                out.start("cancel-result");
                out.result(result.code, result.desc.as_deref());
                out.content();
                result
                    .addresses
                    .iter()
                    .for_each(|address| out.address(address));
                out.end("cancel-result");
            }
            out.end("cancel-response");
        }
        Response::Status { push_id, results } => {
            out.start("statusquery-response");
            out.attribute("push-id", push_id);
            out.content();
            for result in results {
                out.start("statusquery-result");
                out.moment("event-time", result.event_time);
                out.attribute("message-state", result.state.name());
                out.result(result.code, result.desc.as_deref());
                out.content();
                result
                    .addresses
                    .iter()
                    .for_each(|address| out.address(address));
                out.quality(result.quality.as_ref());
                out.end("statusquery-result");
            }
            out.end("statusquery-response");
        }
        Response::Capabilities {
            query_id,
            address,
            code,
            desc,
        } => {
            out.start("ccq-response");
            out.optional("query-id", query_id.as_deref());
            out.result(*code, desc.as_deref());
            out.content();
            out.address(address);
            out.end("ccq-response");
        }
        Response::Notification {
            push_id,
            address,
            code,
            desc,
        } => {
            out.start("resultnotification-response");
            out.attribute("push-id", push_id);
            out.result(*code, desc.as_deref());
            out.content();
            out.address(address);
            out.end("resultnotification-response");
        }
        Response::BadMessage {
            code,
            desc,
            fragment,
        } => {
            out.start("badmessage-response");
            out.result(*code, desc.as_deref());
            out.optional("bad-message-fragment", fragment.as_deref());
            out.empty();
        }
    }
    out.finish()
}

fn submission(push: &Submission, out: &mut Writer) {
    out.start("push-message");
    out.attribute("push-id", &push.push_id);
    if let Some(replace) = &push.replace {
        out.attribute("replace-push-id", &replace.push_id);
        if replace.pending_only {
            out.attribute("replace-method", "pending-only");
        }
    }
    out.moment("deliver-before-timestamp", push.deliver_before);
    out.moment("deliver-after-timestamp", push.deliver_after);
    out.optional("source-reference", push.source_reference.as_deref());
    out.optional("ppg-notify-requested-to", push.notify_to.as_deref());
    if push.progress_notes {
        out.attribute("progress-notes-requested", "true");
    }
    out.content();
    push.addresses
        .iter()
        .for_each(|address| out.address(address));
    out.quality(push.quality.as_ref());
    out.end("push-message");
}

fn query(name: &str, query: &Query, out: &mut Writer) {
    out.start(name);
    out.attribute("push-id", &query.push_id);
    out.content();
    query
        .addresses
        .iter()
        .for_each(|address| out.address(address));
    out.end(name);
}

fn notification(result: &ResultNotification, out: &mut Writer) {
    out.start("resultnotification-message");
    out.attribute("push-id", &result.push_id);
    out.optional("sender-name", result.sender_name.as_deref());
    out.moment("received-time", result.received_time);
    out.moment("event-time", result.event_time);
    out.attribute("message-state", result.state.name());
    out.result(result.code, result.desc.as_deref());
    out.content();
    out.address(&result.address);
    out.quality(result.quality.as_ref());
    out.end("resultnotification-message");
}

/// Text as the value of an attribute, or as the content of an element.
pub(in crate::push) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // White space in an attribute is read as a space unless it is a reference.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            // XML cannot hold these at all.
            c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A document being written.
struct Writer(String);

impl Writer {
    /// The processing instruction goes to initiators with a version above 1.0 (9.2).
    fn begin(versions: &Versions) -> Self {
        let version = versions.common();
        let mut out = String::with_capacity(512);
        let system = match version {
            Version::V1_0 => "http://www.wapforum.org/DTD/pap_1.0.dtd".to_owned(),
            version => format!("http://www.wapforum.org/DTD/pap_{version}.dtd"),
        };
        let _ = write!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP {version}//EN\" \"{system}\""
        );
        if versions.is_above_1_0() {
            let supported = SUPPORTED.map(|version| version.to_string()).join(",");
            let _ = write!(out, " [<?wap-pap-ver supported-versions=\"{supported}\"?>]");
        }
        out.push_str(">\n<pap>");
        Self(out)
    }

    fn finish(mut self) -> String {
        self.0.push_str("</pap>\n");
        self.0
    }

    fn start(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
    }

    fn content(&mut self) {
        self.0.push('>');
    }

    fn empty(&mut self) {
        self.0.push_str("/>");
    }

    fn end(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, " {name}=\"{}\"", escaped(value));
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.attribute(name, value);
        }
    }

    fn moment(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.attribute(name, &datetime::text(value));
        }
    }

    fn result(&mut self, code: Status, desc: Option<&str>) {
        self.attribute("code", &code.to_string());
        self.attribute("desc", desc.unwrap_or_else(|| code.text()));
    }

    fn address(&mut self, address: &str) {
        self.start("address");
        self.attribute("address-value", address);
        self.empty();
    }

    fn quality(&mut self, quality: Option<&Quality>) {
        let Some(quality) = quality else {
            return;
        };
        self.start("quality-of-service");
        self.attribute("priority", quality.priority.name());
        self.attribute("delivery-method", quality.method.name());
        self.optional("network", quality.network.as_deref());
        if quality.network_required {
            self.attribute("network-required", "true");
        }
        self.optional("bearer", quality.bearer.as_deref());
        if quality.bearer_required {
            self.attribute("bearer-required", "true");
        }
        self.empty();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        CancelResult, MessageState, Method, ProgressNote, StatusResult, read, read_response,
    };
    use super::*;

    fn both() -> Versions {
        Versions::only(Version::V2_0)
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let addresses = vec!["WAPPUSH=+1/TYPE=PLMN@\"<&>\"\n".to_owned()];
        let desc = Some("because".to_owned());
        for response in [
            Response::Push {
                push_id: "a<b>&\"c'\t".to_owned(),
                sender_name: Some("gw".to_owned()),
                reply_time: Some(1_000),
                notes: vec![ProgressNote {
                    stage: "accepted".to_owned(),
                    note: None,
                    time: Some(2_000),
                }],
                code: Status::ACCEPTED,
                desc: desc.clone(),
            },
            Response::Cancel {
                push_id: "1".to_owned(),
                results: vec![CancelResult {
                    addresses: addresses.clone(),
                    code: Status::OK,
                    desc: desc.clone(),
                }],
            },
            Response::Status {
                push_id: "1".to_owned(),
                results: vec![StatusResult {
                    addresses: addresses.clone(),
                    quality: Some(Quality {
                        method: Method::Confirmed,
                        bearer: Some("SMS".to_owned()),
                        bearer_required: true,
                        ..Quality::default()
                    }),
                    event_time: Some(5_000),
                    state: MessageState::Delivered,
                    code: Status::OK,
                    desc: desc.clone(),
                }],
            },
            Response::Capabilities {
                query_id: None,
                address: "x".to_owned(),
                code: Status::CAPABILITIES_NOT_AVAILABLE,
                desc: desc.clone(),
            },
            Response::Notification {
                push_id: "1".to_owned(),
                address: "x".to_owned(),
                code: Status::OK,
                desc: desc.clone(),
            },
            Response::BadMessage {
                code: Status::BAD_REQUEST,
                desc,
                fragment: Some("GET".to_owned()),
            },
        ] {
            let written = write_response(&both(), &response);
            let (versions, read) = read_response(written.as_bytes()).unwrap();
            assert_eq!(read, response, "{written}");
            assert_eq!(versions.document, Version::V2_0);
        }
    }

    #[test]
    fn operations_are_read_as_they_were_written() {
        let push = Submission {
            push_id: "1".to_owned(),
            replace: Some(super::super::Replace {
                push_id: "0".to_owned(),
                pending_only: true,
            }),
            deliver_before: Some(9_000),
            deliver_after: Some(1_000),
            source_reference: Some("s".to_owned()),
            notify_to: Some("https://pi.example/".to_owned()),
            progress_notes: true,
            addresses: vec!["x".to_owned(), "y".to_owned()],
            quality: Some(Quality::default()),
        };
        let of = Query {
            push_id: "1".to_owned(),
            addresses: Vec::new(),
        };
        for operation in [
            Operation::Push(Box::new(push)),
            Operation::Cancel(of.clone()),
            Operation::Status(of),
            Operation::Capabilities {
                query_id: Some("q".to_owned()),
                app_id: None,
                address: "x".to_owned(),
            },
            Operation::Notification(Box::new(ResultNotification {
                push_id: "1".to_owned(),
                address: "x".to_owned(),
                sender_name: None,
                received_time: Some(1_000),
                event_time: Some(2_000),
                state: MessageState::Aborted,
                code: Status::aborted(0xEA),
                desc: Some("d".to_owned()),
                quality: None,
            })),
        ] {
            let written = write_operation(&both(), &operation);
            assert_eq!(
                read(written.as_bytes(), 10).unwrap().1,
                operation,
                "{written}"
            );
        }
    }

    /// 9.2: the instruction is for initiators with a version above 1.0.
    #[test]
    fn an_initiator_of_1_0_gets_no_processing_instruction() {
        let response = Response::BadMessage {
            code: Status::BAD_REQUEST,
            desc: None,
            fragment: None,
        };
        let old = write_response(&Versions::default(), &response);
        assert!(
            !old.contains("wap-pap-ver") && old.contains("DTD PAP 1.0"),
            "{old}"
        );
        let new = write_response(&both(), &response);
        assert!(
            new.contains("[<?wap-pap-ver supported-versions=\"2.0,1.0\"?>]"),
            "{new}"
        );
    }
}
