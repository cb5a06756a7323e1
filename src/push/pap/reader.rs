//! PAP's documents, read and validated against the DTD (WAP-247 11.2).

use super::MessageState;
use super::{
    CancelResult, Method, Operation, Priority, ProgressNote, Quality, Query, Rejection, Replace,
    Response, ResultNotification, Status, StatusResult, Submission, Versions, fragment,
};
use crate::push::datetime;
use crate::push::xml::{self, Element, Prolog};

/// Reads an operation that an initiator asks for, of at most `max_addresses` addresses.
///
/// # Errors
///
/// A [`Rejection`] if the document is malformed, not valid, or of a version that is not supported.
pub fn read(octets: &[u8], max_addresses: usize) -> Result<(Versions, Operation), Rejection> {
    document(octets, max_addresses, |element| {
        Ok(match element.name.as_str() {
            "push-message" => Operation::Push(Box::new(submission(element)?)),
            "cancel-message" => Operation::Cancel(query(element)?),
            "statusquery-message" => Operation::Status(query(element)?),
            "ccq-message" => {
                valid(element, &["query-id", "app-id"], &["address"])?;
                Operation::Capabilities {
                    query_id: text(element, "query-id"),
                    app_id: text(element, "app-id"),
                    address: one_address(element)?,
                }
            }
            "resultnotification-message" => {
                Operation::Notification(Box::new(notification(element)?))
            }
            _ => return Err(invalid(format!("<{}> is no operation", shown(element)))),
        })
    })
}

/// Reads the answer to an operation.
///
/// # Errors
///
/// As [`read`].
pub fn read_response(octets: &[u8]) -> Result<(Versions, Response), Rejection> {
    document(octets, MAX_RESULTS, |element| {
        Ok(match element.name.as_str() {
            "push-response" => push_response(element)?,
            "cancel-response" => {
                valid(element, &["push-id"], &["cancel-result"])?;
                Response::Cancel {
                    push_id: required(element, "push-id")?,
                    results: at_least_one(element, "cancel-result")?
                        .map(cancel_result)
                        .collect::<Result<_, _>>()?,
                }
            }
            "statusquery-response" => {
                valid(element, &["push-id"], &["statusquery-result"])?;
                Response::Status {
                    push_id: required(element, "push-id")?,
                    results: at_least_one(element, "statusquery-result")?
                        .map(status_result)
                        .collect::<Result<_, _>>()?,
                }
            }
            "ccq-response" => {
                valid(element, &["query-id", "code", "desc"], &["address"])?;
                Response::Capabilities {
                    query_id: text(element, "query-id"),
                    address: one_address(element)?,
                    code: code(element)?,
                    desc: text(element, "desc"),
                }
            }
            "resultnotification-response" => {
                valid(element, &["push-id", "code", "desc"], &["address"])?;
                Response::Notification {
                    push_id: required(element, "push-id")?,
                    address: one_address(element)?,
                    code: code(element)?,
                    desc: text(element, "desc"),
                }
            }
            "badmessage-response" => {
                valid(element, &["code", "desc", "bad-message-fragment"], &[])?;
                Response::BadMessage {
                    code: code(element)?,
                    desc: text(element, "desc"),
                    fragment: text(element, "bad-message-fragment"),
                }
            }
            _ => return Err(invalid(format!("<{}> is no answer", shown(element)))),
        })
    })
}

/// Reads a document whose only element is read by `of`.
fn document<T>(
    octets: &[u8],
    max_addresses: usize,
    of: impl FnOnce(&Element) -> Result<T, Invalid>,
) -> Result<(Versions, T), Rejection> {
    let mut prolog = Prolog::default();
    let read = xml::read(
        octets,
        max_addresses.saturating_add(MOST_OTHERS),
        &mut prolog,
    );
    let versions = Versions::of(&prolog);
    let reject = |(code, reason), push_id| Rejection {
        versions: versions.clone(),
        push_id,
        code,
        reason,
        fragment: fragment(octets),
    };
    // A document of another version may have another shape, so its version is judged first.
    let is_pap = |document: &xml::Document| document.root.name == "pap";
    let is_other = !versions.document.is_supported();
    if is_other && (prolog.doctype.is_some() || read.as_ref().is_ok_and(is_pap)) {
        let reason = format!("PAP {} is not supported", versions.document);
        return Err(reject((Status::VERSION_NOT_SUPPORTED, reason), None));
    }
    let document = match read {
        Ok(document) => document,
        Err(xml::XmlError::TooLarge) => {
            let reason = format!("at most {max_addresses} addresses are taken at a time");
            return Err(reject((Status::MULTIPLE_ADDRESSES, reason), None));
        }
        Err(error) => return Err(reject((Status::BAD_REQUEST, error.to_string()), None)),
    };
    let [element] = document.root.children.as_slice() else {
        return Err(reject(invalid("<pap> holds exactly one element"), None));
    };
    if !is_pap(&document) || document.root.has_text {
        return Err(reject(invalid("the document element is <pap>"), None));
    }
    match of(element) {
        Ok(found) => Ok((versions, found)),
        Err(wrong) => {
            let is_push = element.name == "push-message";
            let push_id = element
                .attribute("push-id")
                .filter(|id| is_push && !id.is_empty());
            Err(reject(wrong, push_id.map(str::to_owned)))
        }
    }
}

/// A status and why.
type Invalid = (Status, String);

fn invalid(reason: impl Into<String>) -> Invalid {
    (Status::BAD_REQUEST, reason.into())
}

/// The name of an element, for a person.
fn shown(element: &Element) -> String {
    element.name.chars().take(LONGEST_NAME).collect()
}

/// An element has no attributes but these, no text, and these children in this order.
fn valid(element: &Element, attributes: &[&str], children: &[&str]) -> Result<(), Invalid> {
    let unknown = element.attributes.iter().find(|(name, _)| {
        !attributes.contains(&name.as_str()) && name != "xmlns" && !name.starts_with("xmlns:")
    });
    if let Some((name, _)) = unknown {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        return Err(invalid(format!(
            "<{}> has no attribute {name}",
            shown(element)
        )));
    }
    if element.has_text {
        return Err(invalid(format!("<{}> holds no text", shown(element))));
    }
    let mut allowed = children.iter();
    let mut now = allowed.next();
    for child in &element.children {
        while now.is_some_and(|name| *name != child.name) {
            now = allowed.next();
        }
        if now.is_none() {
            let (child, parent) = (shown(child), shown(element));
            return Err(invalid(format!(
                "<{child}> may not stand here in <{parent}>"
            )));
        }
    }
    Ok(())
}

fn text(element: &Element, name: &str) -> Option<String> {
    element.attribute(name).map(str::to_owned)
}

fn required(element: &Element, name: &str) -> Result<String, Invalid> {
    let found = text(element, name).filter(|value| !value.is_empty());
    found.ok_or_else(|| invalid(format!("<{}> needs {name}", shown(element))))
}

fn code(element: &Element) -> Result<Status, Invalid> {
    Status::parse(&required(element, "code")?).ok_or_else(|| invalid("code is four digits"))
}

fn moment(element: &Element, name: &str) -> Result<Option<u64>, Invalid> {
    let wrong = || invalid(format!("{name} is YYYY-MM-DDThh:mm:ssZ"));
    let value = element.attribute(name);
    value
        .map(|value| datetime::parse(value).ok_or_else(wrong))
        .transpose()
}

fn one_of<T: Copy + Default>(
    element: &Element,
    name: &str,
    names: &[(&'static str, T)],
) -> Result<T, Invalid> {
    let Some(value) = element.attribute(name) else {
        return Ok(T::default());
    };
    let found = names.iter().find(|(known, _)| *known == value);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
        invalid(format!("{name} is one of {}", known.join(", ")))
    })
}

fn flag(element: &Element, name: &str) -> Result<bool, Invalid> {
    one_of(element, name, &[("true", true), ("false", false)])
}

/// The children of a name, at least one.
fn at_least_one<'e>(
    element: &'e Element,
    name: &'static str,
) -> Result<impl Iterator<Item = &'e Element>, Invalid> {
    let mut children = element
        .children
        .iter()
        .filter(move |child| child.name == name);
    if children.clone().next().is_none() {
        return Err(invalid(format!("<{}> needs a <{name}>", shown(element))));
    }
    Ok(children.by_ref().collect::<Vec<_>>().into_iter())
}

fn addresses(element: &Element) -> Result<Vec<String>, Invalid> {
    let children = element.children.iter();
    children
        .filter(|child| child.name == "address")
        .map(|address| {
            valid(address, &["address-value"], &[])?;
            required(address, "address-value")
        })
        .collect()
}

fn one_address(element: &Element) -> Result<String, Invalid> {
    let mut found = addresses(element)?;
    match (found.pop(), found.is_empty()) {
        (Some(address), true) => Ok(address),
        _ => Err(invalid(format!("<{}> holds one <address>", shown(element)))),
    }
}

fn submission(element: &Element) -> Result<Submission, Invalid> {
    let attributes = [
        "push-id",
        "replace-push-id",
        "replace-method",
        "deliver-before-timestamp",
        "deliver-after-timestamp",
        "source-reference",
        "ppg-notify-requested-to",
        "progress-notes-requested",
    ];
    valid(element, &attributes, &["address", "quality-of-service"])?;
    let methods = [("all", false), ("pending-only", true)];
    let pending_only = one_of(element, "replace-method", &methods)?;
    let addresses = addresses(element)?;
    if addresses.is_empty() {
        return Err(invalid("<push-message> needs an <address>"));
    }
    Ok(Submission {
        push_id: required(element, "push-id")?,
        replace: text(element, "replace-push-id").map(|push_id| Replace {
            push_id,
            pending_only,
        }),
        deliver_before: moment(element, "deliver-before-timestamp")?,
        deliver_after: moment(element, "deliver-after-timestamp")?,
        source_reference: text(element, "source-reference"),
        notify_to: text(element, "ppg-notify-requested-to"),
        progress_notes: flag(element, "progress-notes-requested")?,
        addresses,
        quality: quality(element)?,
    })
}

fn quality(parent: &Element) -> Result<Option<Quality>, Invalid> {
    let mut found = parent
        .children
        .iter()
        .filter(|child| child.name == "quality-of-service");
    let Some(element) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(invalid("there is one <quality-of-service> at most"));
    }
    let attributes = [
        "priority",
        "delivery-method",
        "network",
        "network-required",
        "bearer",
        "bearer-required",
    ];
    valid(element, &attributes, &[])?;
    Ok(Some(Quality {
        priority: one_of(element, "priority", &Priority::NAMES)?,
        method: one_of(element, "delivery-method", &Method::NAMES)?,
        network: text(element, "network"),
        network_required: flag(element, "network-required")?,
        bearer: text(element, "bearer"),
        bearer_required: flag(element, "bearer-required")?,
    }))
}

fn query(element: &Element) -> Result<Query, Invalid> {
    valid(element, &["push-id"], &["address"])?;
    Ok(Query {
        push_id: required(element, "push-id")?,
        addresses: addresses(element)?,
    })
}

fn state(element: &Element) -> Result<MessageState, Invalid> {
    let wrong = || invalid("message-state is none that PAP knows");
    MessageState::parse(&required(element, "message-state")?).ok_or_else(wrong)
}

fn notification(element: &Element) -> Result<ResultNotification, Invalid> {
    let attributes = [
        "push-id",
        "sender-address",
        "sender-name",
        "received-time",
        "event-time",
        "message-state",
        "code",
        "desc",
    ];
    valid(element, &attributes, &["address", "quality-of-service"])?;
    Ok(ResultNotification {
        push_id: required(element, "push-id")?,
        address: one_address(element)?,
        sender_name: text(element, "sender-name"),
        received_time: moment(element, "received-time")?,
        event_time: moment(element, "event-time")?,
        state: state(element)?,
        code: code(element)?,
        desc: text(element, "desc"),
        quality: quality(element)?,
    })
}

fn push_response(element: &Element) -> Result<Response, Invalid> {
    let attributes = ["push-id", "sender-address", "sender-name", "reply-time"];
    valid(element, &attributes, &["progress-note", "response-result"])?;
    let notes = element
        .children
        .iter()
        .filter(|child| child.name == "progress-note");
    let notes = notes
        .map(|note| {
            valid(note, &["stage", "note", "time"], &[])?;
            Ok(ProgressNote {
                stage: required(note, "stage")?,
                note: text(note, "note"),
                time: moment(note, "time")?,
            })
        })
        .collect::<Result<_, Invalid>>()?;
    let mut results = at_least_one(element, "response-result")?;
    let result = results
        .next()
        .ok_or_else(|| invalid("a result is missing"))?;
    valid(result, &["code", "desc"], &[])?;
    Ok(Response::Push {
        push_id: required(element, "push-id")?,
        sender_name: text(element, "sender-name"),
        reply_time: moment(element, "reply-time")?,
        notes,
        code: code(result)?,
        desc: text(result, "desc"),
    })
}

fn cancel_result(element: &Element) -> Result<CancelResult, Invalid> {
    valid(element, &["code", "desc"], &["address"])?;
    Ok(CancelResult {
        addresses: addresses(element)?,
        code: code(element)?,
        desc: text(element, "desc"),
    })
}

fn status_result(element: &Element) -> Result<StatusResult, Invalid> {
    let attributes = ["event-time", "message-state", "code", "desc"];
    valid(element, &attributes, &["address", "quality-of-service"])?;
    Ok(StatusResult {
        addresses: addresses(element)?,
        quality: quality(element)?,
        event_time: moment(element, "event-time")?,
        state: state(element)?,
        code: code(element)?,
        desc: text(element, "desc"),
    })
}

/// Elements of a document besides its addresses.
const MOST_OTHERS: usize = 8;
/// Elements of an answer.
const MAX_RESULTS: usize = 20_000;
/// Characters of a name that are told back.
const LONGEST_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn pap(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \
             \"http://www.wapforum.org/DTD/pap_2.0.dtd\" \
             [<?wap-pap-ver supported-versions=\"2.0,1.*\"?>]>\n<pap>{inner}</pap>"
        )
    }

    fn refused(text: &str) -> (Status, Option<String>) {
        let rejection = read(text.as_bytes(), 10).unwrap_err();
        (rejection.code, rejection.push_id)
    }

    #[test]
    fn a_push_message_has_its_defaults() {
        let text =
            pap("<push-message push-id=\"a&amp;b\"><address address-value=\"x\"/></push-message>");
        let (versions, operation) = read(text.as_bytes(), 10).unwrap();
        assert!(versions.is_above_1_0());
        let Operation::Push(push) = operation else {
            panic!("{operation:?}")
        };
        assert_eq!(push.push_id, "a&b");
        assert_eq!((push.quality, push.progress_notes), (None, false));
    }

    #[test]
    fn what_the_dtd_does_not_allow_is_a_bad_request_that_names_its_push() {
        let id = Some("1".to_owned());
        for inner in [
            "<push-message push-id='1'/>",
            "<push-message push-id='1'><address/></push-message>",
            "<push-message push-id='1' colour='red'><address address-value='x'/></push-message>",
            "<push-message push-id='1'><quality-of-service/><address address-value='x'/></push-message>",
            "<push-message push-id='1'><address address-value='x'/>text</push-message>",
            "<push-message push-id='1'><address address-value='x'/><quality-of-service priority='urgent'/></push-message>",
            "<push-message push-id='1' deliver-before-timestamp='tomorrow'><address address-value='x'/></push-message>",
            "<push-message push-id='1'><address address-value='x'/><quality-of-service/><quality-of-service/></push-message>",
        ] {
            assert_eq!(
                refused(&pap(inner)),
                (Status::BAD_REQUEST, id.clone()),
                "{inner}"
            );
        }
        for inner in [
            "",
            "<push-message><address address-value='x'/></push-message>",
            "<other/>",
            "<cancel-message/>",
        ] {
            assert_eq!(refused(&pap(inner)).0, Status::BAD_REQUEST, "{inner}");
        }
        assert_eq!(refused("not XML"), (Status::BAD_REQUEST, None));
        assert_eq!(refused("<html/>"), (Status::BAD_REQUEST, None));
    }

    #[test]
    fn only_a_version_that_is_not_supported_is_3002() {
        let other = pap("<new-message/>").replace("PAP 2.0", "PAP 2.10");
        let rejection = read(other.as_bytes(), 10).unwrap_err();
        assert_eq!(rejection.code, Status::VERSION_NOT_SUPPORTED);
        assert_eq!(rejection.versions.common().to_string(), "2.0");
        assert!(matches!(rejection.response(), Response::BadMessage { .. }));
        assert_eq!(refused(&pap("<new-message/>")).0, Status::BAD_REQUEST);
    }

    #[test]
    fn more_addresses_than_are_taken_are_refused_as_such() {
        let addresses = "<address address-value='x'/>".repeat(100);
        let text = pap(&format!(
            "<push-message push-id='1'>{addresses}</push-message>"
        ));
        assert_eq!(refused(&text).0, Status::MULTIPLE_ADDRESSES);
    }
}
