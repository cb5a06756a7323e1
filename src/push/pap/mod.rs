//! The Push Access Protocol, versions 1.0 and 2.0 (WAP-247): documents to types and back.
//!
//! [`read`](fn@read) decodes operations, [`read_response`] decodes answers. Anything else is a
//! [`Rejection`], which has an answer in XML for every input.

pub mod multipart;
mod reader;
mod status;
mod version;
mod writer;

pub use reader::{read, read_response};
pub use status::{MessageState, Status};
pub use version::{Version, Versions};
pub(in crate::push) use writer::escaped;
pub use writer::{write_operation, write_response};

/// The media type of PAP's documents.
pub const MEDIA_TYPE: &str = "application/xml";

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `push-message`: the content comes beside it.
    Push(Box<Submission>),
    /// `cancel-message`.
    Cancel(Query),
    /// `statusquery-message`.
    Status(Query),
    /// `ccq-message`: a query for the capabilities of a client.
    Capabilities {
        /// The initiator's name for the question.
        query_id: Option<String>,
        /// The application that a push will be for.
        app_id: Option<String>,
        /// The client.
        address: String,
    },
    /// `resultnotification-message`, from the gateway to the initiator.
    Notification(Box<ResultNotification>),
}

/// `push-message` (8.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The initiator's name for the push.
    pub push_id: String,
    /// The push that this one replaces.
    pub replace: Option<Replace>,
    /// When the content is of no use any more: milliseconds since 1970, as all moments here.
    pub deliver_before: Option<u64>,
    /// Before when the content is not to be delivered.
    pub deliver_after: Option<u64>,
    /// The content provider, for people.
    pub source_reference: Option<String>,
    /// The URL that is told the result.
    pub notify_to: Option<String>,
    /// Whether the initiator wants progress notes in the answer.
    pub progress_notes: bool,
    /// The clients, at least one, as they are written.
    pub addresses: Vec<String>,
    /// How to deliver.
    pub quality: Option<Quality>,
}

/// `replace-push-id` and `replace-method`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replace {
    /// The push that is replaced.
    pub push_id: String,
    /// Whether the new push is only for recipients of which the replaced push could be cancelled.
    pub pending_only: bool,
}

/// `quality-of-service` (8.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// The priority.
    pub priority: Priority,
    /// Confirmed or not.
    pub method: Method,
    /// The network that is wanted.
    pub network: Option<String>,
    /// Whether no other network will do.
    pub network_required: bool,
    /// The bearer that is wanted.
    pub bearer: Option<String>,
    /// Whether no other bearer will do.
    pub bearer_required: bool,
}

/// The order of messages that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// As usual.
    #[default]
    Medium,
    /// After all others.
    Low,
}

/// Whether the client is to confirm a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// The client has to.
    Confirmed,
    /// If that is possible.
    PreferConfirmed,
    /// The client must not be asked.
    Unconfirmed,
    /// As the gateway likes.
    #[default]
    NotSpecified,
}

/// `cancel-message` and `statusquery-message`: a push, and some of its recipients; none stand for
/// all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The push.
    pub push_id: String,
    /// The recipients, as they were written.
    pub addresses: Vec<String>,
}

/// `resultnotification-message` (8.6): the final state of a push for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultNotification {
    /// The push.
    pub push_id: String,
    /// The recipient, as it was written.
    pub address: String,
    /// The gateway's name.
    pub sender_name: Option<String>,
    /// When the push came.
    pub received_time: Option<u64>,
    /// When its state became final.
    pub event_time: Option<u64>,
    /// The final state.
    pub state: MessageState,
    /// The status.
    pub code: Status,
    /// The status in words.
    pub desc: Option<String>,
    /// How the message was delivered; there if the submission said how to.
    pub quality: Option<Quality>,
}

/// The answer to an [`Operation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `push-response`.
    Push {
        /// The push.
        push_id: String,
        /// The gateway's name.
        sender_name: Option<String>,
        /// When it was made.
        reply_time: Option<u64>,
        /// Stages of the processing.
        notes: Vec<ProgressNote>,
        /// The result.
        code: Status,
        /// The result in words.
        desc: Option<String>,
    },
    /// `cancel-response`.
    Cancel {
        /// The push.
        push_id: String,
        /// Results of its recipients.
        results: Vec<CancelResult>,
    },
    /// `statusquery-response`.
    Status {
        /// The push.
        push_id: String,
        /// States of its recipients.
        results: Vec<StatusResult>,
    },
    /// `ccq-response`.
    Capabilities {
        /// The question's name.
        query_id: Option<String>,
        /// The client, as it was written.
        address: String,
        /// The result.
        code: Status,
        /// The result in words.
        desc: Option<String>,
    },
    /// `resultnotification-response`, from the initiator.
    Notification {
        /// The push.
        push_id: String,
        /// The recipient, as it was written.
        address: String,
        /// Whether the notification was received correctly.
        code: Status,
        /// The same in words.
        desc: Option<String>,
    },
    /// `badmessage-response`: the message could not be understood.
    BadMessage {
        /// 3002 for a version that is not supported, else another code.
        code: Status,
        /// The reason in words.
        desc: Option<String>,
        /// A part of the message.
        fragment: Option<String>,
    },
}

/// `progress-note` (8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressNote {
    /// The stage that is completed.
    pub stage: String,
    /// Its outcome in words.
    pub note: Option<String>,
    /// When.
    pub time: Option<u64>,
}

/// `cancel-result` (8.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelResult {
    /// The recipients, as they were written; none stand for all.
    pub addresses: Vec<String>,
    /// The result.
    pub code: Status,
    /// The result in words.
    pub desc: Option<String>,
}

/// `statusquery-result` (8.9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusResult {
    /// The recipients, as they were written; none stand for all.
    pub addresses: Vec<String>,
    /// How the message was delivered.
    pub quality: Option<Quality>,
    /// When the state became final.
    pub event_time: Option<u64>,
    /// The state.
    pub state: MessageState,
    /// The status.
    pub code: Status,
    /// The status in words.
    pub desc: Option<String>,
}

/// The reason to refuse a document, with the parts of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The versions of the other side.
    pub versions: Versions,
    /// The push, if the document was a `push-message` that named it.
    pub push_id: Option<String>,
    /// The status.
    pub code: Status,
    /// The reason in words.
    pub reason: String,
    /// A part of the message.
    pub fragment: Option<String>,
}

impl Rejection {
    /// Of something that is no document.
    #[must_use]
    pub fn of_octets(code: Status, reason: impl Into<String>, octets: &[u8]) -> Self {
        Self {
            versions: Versions::default(),
            push_id: None,
            code,
            reason: reason.into(),
            fragment: fragment(octets),
        }
    }

    /// The answer: `push-response` to a `push-message` that could be named, else
    /// `badmessage-response`.
    #[must_use]
    pub fn response(self) -> Response {
        match self.push_id {
            Some(push_id) => Response::Push {
                push_id,
                sender_name: None,
                reply_time: None,
                notes: Vec::new(),
                code: self.code,
                desc: Some(self.reason),
            },
            None => Response::BadMessage {
                code: self.code,
                desc: Some(self.reason),
                fragment: self.fragment,
            },
        }
    }
}

impl Priority {
    const NAMES: [(&'static str, Self); 3] = [
        ("high", Self::High),
        ("medium", Self::Medium),
        ("low", Self::Low),
    ];

    /// The name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

impl Method {
    const NAMES: [(&'static str, Self); 4] = [
        ("confirmed", Self::Confirmed),
        ("preferconfirmed", Self::PreferConfirmed),
        ("unconfirmed", Self::Unconfirmed),
        ("notspecified", Self::NotSpecified),
    ];

    /// The name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

fn name<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    let found = names.iter().find(|(_, known)| *known == value);
    found.map_or("", |(name, _)| name)
}

/// The beginning of a message, as text that XML can hold.
fn fragment(octets: &[u8]) -> Option<String> {
    let some = octets.get(..octets.len().min(LONGEST_FRAGMENT))?;
    let text: String = String::from_utf8_lossy(some)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Octets of a message that are told back.
const LONGEST_FRAGMENT: usize = 128;
