//! SyncML in words: the header of a message, and its commands with names for their codes.
//!
//! Of credentials and of the contents of items only the lengths are shown.

use std::ops::Range;

use super::Node;
use super::annotator::escaped;
use crate::syncml::codes;
use crate::syncml::spans::{SpanKind, Spans};

/// A message or a document of device information, in words. `origin` is the offset of its octets
/// from the start of all octets. `None` for other octets.
pub(super) fn message(octets: &[u8], origin: usize) -> Option<Node> {
    let root = Element::read(octets, MAX_INSIDE)?;
    let parts: Vec<Node> = match &*root.name {
        "SyncML" => root
            .children
            .iter()
            .flat_map(|child| match &*child.name {
                "SyncBody" => child.children.iter().map(command).collect(),
                "SyncHdr" => vec![header(child)],
                _ => Vec::new(),
            })
            .collect(),
        "DevInf" => vec![devinf(&root)],
        _ => return None,
    };
    let meaning = match &*root.name {
        "SyncML" => title(&root),
        _ => "SyncML device information".to_owned(),
    };
    let mut node = node(&root.at, meaning, parts);
    // The declaration and the header before the root count as part of it.
    (node.offset, node.len) = (0, octets.len());
    if let Some(at) = root.broken {
        node.parts.push(Node {
            fault: true,
            ..self::node(
                &(at..at),
                "the message cannot be read from here on".to_owned(),
                Vec::new(),
            )
        });
    }
    if root.cut {
        node.parts.push(self::node(
            &(octets.len()..octets.len()),
            format!("more than {MAX_ELEMENTS} elements; the rest is not shown"),
            Vec::new(),
        ));
    }
    move_by(&mut node, origin);
    Some(node)
}

fn title(root: &Element) -> String {
    let field = |name: &str| root.find(&["SyncHdr", name]).map(Element::text);
    let protocol = field("VerProto").unwrap_or_else(|| "SyncML".to_owned());
    let session = field("SessionID").unwrap_or_default();
    let message = field("MsgID").unwrap_or_default();
    format!("{protocol}, session {session}, message {message}")
}

fn header(element: &Element) -> Node {
    let parts = element
        .children
        .iter()
        .filter_map(|child| {
            let meaning = match &*child.name {
                "Target" => format!("to: {}", place(child)),
                "Source" => format!("from: {}", place(child)),
                "RespURI" => format!("answers go to: {}", child.text()),
                "Cred" => credentials(child),
                "Meta" => meta(child),
                "NoResp" => "no answer wanted".to_owned(),
                _ => return None,
            };
            Some(node(&child.at, meaning, Vec::new()))
        })
        .collect();
    node(&element.at, "SyncHdr".to_owned(), parts)
}

/// One element of a SyncBody, or of a command that holds commands.
fn command(element: &Element) -> Node {
    let id = element.find(&["CmdID"]).map(Element::text);
    let id = id.map_or_else(String::new, |id| format!(" {id}"));
    let name = &element.name;
    let (detail, parts) = match &**name {
        "Final" => (": the last message of its package".to_owned(), Vec::new()),
        "Status" => status(element),
        "Alert" => alert(element),
        _ => effect(element),
    };
    node(&element.at, format!("{name}{id}{detail}"), parts)
}

fn status(element: &Element) -> (String, Vec<Node>) {
    let field = |name: &str| element.find(&[name]).map(Element::text).unwrap_or_default();
    let mut detail = format!(": {}", coded(&field("Data"), codes::status));
    let (cmd, message, reference) = (field("Cmd"), field("MsgRef"), field("CmdRef"));
    detail.push_str(&format!(", to {cmd} {reference} of message {message}"));
    let parts = element.children.iter().filter_map(|child| {
        let meaning = match &*child.name {
            "Chal" => format!("asks for credentials: {}", meta(child)),
            "Cred" => credentials(child),
            "TargetRef" => format!("target: {}", child.text()),
            "SourceRef" => format!("source: {}", child.text()),
            "Item" => return Some(item(child)),
            _ => return None,
        };
        Some(node(&child.at, meaning, Vec::new()))
    });
    (detail, parts.collect())
}

fn alert(element: &Element) -> (String, Vec<Node>) {
    let code = element.find(&["Data"]).map(Element::text);
    let mut detail = match code {
        Some(code) => format!(": {}", coded(&code, codes::alert)),
        None => String::new(),
    };
    if let Some(first) = element.find(&["Item"]) {
        detail.push_str(&between(first));
    }
    (detail, items(element))
}

/// Add, Replace, Sync, Put and so on.
fn effect(element: &Element) -> (String, Vec<Node>) {
    let mut detail = between(element);
    let kind = element
        .find(&["Meta", "Type"])
        .or_else(|| element.find(&["Item", "Meta", "Type"]));
    if let Some(kind) = kind {
        detail.push_str(&format!(", {}", kind.text()));
    }
    if let Some(changes) = element.find(&["NumberOfChanges"]) {
        detail.push_str(&format!(", {} changes", changes.text()));
    }
    let parts = element
        .children
        .iter()
        .filter_map(|child| match &*child.name {
            "Item" => Some(item(child)),
            "MapItem" => Some(node(
                &child.at,
                format!("maps{}", between(child)),
                Vec::new(),
            )),
            "Cred" => Some(node(&child.at, credentials(child), Vec::new())),
            "Add" | "Replace" | "Delete" | "Copy" | "Move" | "Get" | "Put" | "Exec" | "Alert"
            | "Sync" | "Atomic" | "Sequence" | "Map" => Some(command(child)),
            _ => None,
        });
    (detail, parts.collect())
}

fn items(element: &Element) -> Vec<Node> {
    element
        .children
        .iter()
        .filter(|child| child.name == "Item")
        .map(item)
        .collect()
}

fn item(element: &Element) -> Node {
    let mut detail = between(element);
    if let Some(anchor) = element.find(&["Meta", "Anchor"]) {
        let field = |name: &str| anchor.find(&[name]).map(Element::text);
        let last = field("Last").unwrap_or_else(|| "none".to_owned());
        let next = field("Next").unwrap_or_default();
        detail.push_str(&format!(", anchors: last {last}, next {next}"));
    }
    if let Some(kind) = element.find(&["Meta", "Type"]) {
        detail.push_str(&format!(", {}", kind.text()));
    }
    let mut parts = Vec::new();
    if let Some(data) = element.find(&["Data"]) {
        match data.children.iter().find(|child| child.name == "DevInf") {
            Some(found) => parts.push(devinf(found)),
            None if data.octets > 0 => {
                detail.push_str(&format!(", {} octets of data", data.octets));
            }
            None => {}
        }
    }
    if element.find(&["MoreData"]).is_some() {
        detail.push_str(", more data follows");
    }
    node(&element.at, format!("item{detail}"), parts)
}

fn devinf(element: &Element) -> Node {
    let field = |name: &str| element.find(&[name]).map(Element::text);
    let mut words = Vec::new();
    for (name, what) in [
        ("Man", "made by"),
        ("Mod", "model"),
        ("FwV", "firmware"),
        ("SwV", "software"),
        ("DevTyp", "a"),
    ] {
        if let Some(value) = field(name).filter(|value| !value.is_empty()) {
            words.push(format!("{what} {value}"));
        }
    }
    let stores = element
        .children
        .iter()
        .filter(|child| child.name == "DataStore");
    let parts = stores
        .map(|store| {
            let kinds = ["Rx-Pref", "Tx-Pref"].map(|kind| {
                store
                    .find(&[kind, "CTType"])
                    .map(Element::text)
                    .unwrap_or_default()
            });
            let reference = store
                .find(&["SourceRef"])
                .map(Element::text)
                .unwrap_or_default();
            node(
                &store.at,
                format!(
                    "data store {reference}: takes {}, gives {}",
                    kinds[0], kinds[1]
                ),
                Vec::new(),
            )
        })
        .collect();
    node(
        &element.at,
        format!("device information: {}", words.join(", ")),
        parts,
    )
}

/// The kind of the credentials, without the credentials.
fn credentials(element: &Element) -> String {
    let kind = element.find(&["Meta", "Type"]).map(Element::text);
    let kind = kind
        .filter(|kind| !kind.is_empty())
        .unwrap_or_else(|| "syncml:auth-basic".to_owned());
    let octets = element.find(&["Data"]).map_or(0, |data| data.octets);
    format!("credentials: {kind}, {octets} octets, not shown")
}

fn meta(element: &Element) -> String {
    let element = element.find(&["Meta"]).unwrap_or(element);
    let words = element.children.iter().filter_map(|child| {
        let text = child.text();
        Some(match &*child.name {
            "Type" => text,
            "Format" => format!("format {text}"),
            "MaxMsgSize" => format!("messages of at most {text} octets"),
            "MaxObjSize" => format!("objects of at most {text} octets"),
            "NextNonce" => "a new nonce, not shown".to_owned(),
            _ => return None,
        })
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Source and target, if the element has them.
fn between(element: &Element) -> String {
    let uri = |name: &str| {
        element
            .find(&[name])
            .map(place)
            .filter(|uri| !uri.is_empty())
    };
    match (uri("Source"), uri("Target")) {
        (Some(source), Some(target)) => format!(", {source} to {target}"),
        (Some(source), None) => format!(", from {source}"),
        (None, Some(target)) => format!(", to {target}"),
        (None, None) => String::new(),
    }
}

fn place(element: &Element) -> String {
    let uri = element
        .find(&["LocURI"])
        .map(Element::text)
        .unwrap_or_default();
    match element.find(&["LocName"]).map(Element::text) {
        Some(name) if !name.is_empty() => format!("{uri} ({name})"),
        _ => uri,
    }
}

fn coded(text: &str, name: fn(u16) -> Option<&'static str>) -> String {
    match text.parse().ok().and_then(name) {
        Some(name) => format!("{text} {name}"),
        None => text.to_owned(),
    }
}

fn node(at: &Range<usize>, meaning: String, parts: Vec<Node>) -> Node {
    Node {
        offset: at.start,
        len: at.len(),
        octets: Vec::new(),
        meaning: escaped(meaning),
        fault: false,
        parts,
    }
}

fn move_by(node: &mut Node, origin: usize) {
    node.offset += origin;
    node.parts.iter_mut().for_each(|part| move_by(part, origin));
}

/// An element with its content.
#[derive(Debug, Default)]
struct Element {
    name: String,
    at: Range<usize>,
    text: String,
    /// Octets of character data.
    octets: usize,
    children: Vec<Self>,
    /// Of the root: the offset of an error.
    broken: Option<usize>,
    /// Of the root: whether elements beyond the limit were left out.
    cut: bool,
}

impl Element {
    /// The root, up to the first error. Embedded documents are read `inside` levels deep.
    fn read(octets: &[u8], inside: usize) -> Option<Self> {
        let mut spans = Spans::new(octets)?;
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        let mut count = 0;
        let mut cut = false;
        for span in spans.by_ref() {
            match span.kind {
                SpanKind::Start(name) => {
                    count += 1;
                    cut = count > MAX_ELEMENTS || open.len() >= MAX_DEPTH;
                    if cut {
                        break;
                    }
                    open.push(Self {
                        name: name.into_owned(),
                        at: span.at,
                        ..Self::default()
                    });
                }
                SpanKind::End => close(&mut open, &mut root, span.at.end),
                SpanKind::Text(text) => characters(&mut open, &text, span.at.len()),
                SpanKind::Reference(character) => {
                    characters(&mut open, character.encode_utf8(&mut [0; 4]), 1);
                }
                SpanKind::Opaque(inner) => {
                    if let Some(element) = open.last_mut() {
                        element.octets += inner.len();
                        // Device information is a document in the document.
                        let found = inside
                            .checked_sub(1)
                            .and_then(|inside| Self::read(inner, inside))
                            .filter(|found| found.name == "DevInf");
                        if let Some(mut found) = found {
                            move_element(&mut found, span.at.start);
                            element.children.push(found);
                        }
                    }
                }
                SpanKind::Markup => {}
            }
        }
        while !open.is_empty() {
            let end = open.last().map_or(0, |element| element.at.end);
            close(&mut open, &mut root, end);
        }
        let mut root: Self = root?;
        root.broken = spans.broken();
        root.cut = cut;
        Some(root)
    }

    /// The first element along these names.
    fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == *name)
        })
    }

    /// Its text, cut if it is long, with control characters escaped.
    fn text(&self) -> String {
        super::annotator::shown(self.text.trim().as_bytes())
    }
}

fn close(open: &mut Vec<Element>, root: &mut Option<Element>, end: usize) {
    let Some(mut element) = open.pop() else {
        return;
    };
    element.at.end = end.max(element.at.start);
    match open.last_mut() {
        Some(parent) => {
            parent.at.end = element.at.end;
            parent.children.push(element);
        }
        None => drop(root.get_or_insert(element)),
    }
}

fn characters(open: &mut [Element], text: &str, octets: usize) {
    if let Some(element) = open.last_mut() {
        element.octets += octets;
        if element.text.len() < MAX_TEXT {
            element.text.push_str(text);
        }
    }
}

fn move_element(element: &mut Element, by: usize) {
    element.at.start += by;
    element.at.end += by;
    element
        .children
        .iter_mut()
        .for_each(|child| move_element(child, by));
}

/// The most elements of one message that are explained.
const MAX_ELEMENTS: usize = 20_000;
const MAX_DEPTH: usize = 32;
/// The most levels of embedded documents.
const MAX_INSIDE: usize = 2;
/// The most octets of one element's text that are kept.
const MAX_TEXT: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?><SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto>\
        <SessionID>7</SessionID><MsgID>1</MsgID><Target><LocURI>http://s/</LocURI></Target>\
        <Source><LocURI>IMEI:1</LocURI><LocName>bruce</LocName></Source>\
        <Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-md5</Type></Meta><Data>c2VjcmV0</Data></Cred></SyncHdr>\
        <SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>212</Data></Status>\
        <Alert><CmdID>2</CmdID><Data>201</Data><Item><Target><LocURI>card</LocURI></Target><Source><LocURI>./c</LocURI></Source>\
        <Meta><Anchor><Last>5</Last><Next>6</Next></Anchor></Meta></Item></Alert>\
        <Sync><CmdID>3</CmdID><Add><CmdID>4</CmdID><Meta><Type>text/x-vcard</Type></Meta>\
        <Item><Source><LocURI>9</LocURI></Source><Data>BEGIN:VCARD</Data></Item></Add></Sync><Final/></SyncBody></SyncML>";

    fn told(octets: &[u8]) -> String {
        let explained = crate::explain::Explanation {
            kind: crate::explain::Kind::Wsp,
            len: octets.len(),
            nodes: vec![message(octets, 0).unwrap()],
        };
        explained.to_string()
    }

    #[test]
    fn commands_and_codes_have_names_in_both_notations() {
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(XML.as_bytes(), &Default::default(), &mut wbxml).unwrap();
        for octets in [XML.as_bytes(), &wbxml] {
            let text = told(octets);
            for line in [
                "SyncML/1.2, session 7, message 1\n",
                "from: IMEI:1 (bruce)\n",
                "credentials: syncml:auth-md5, 8 octets, not shown\n",
                "Status 1: 212 authenticated for the session, to SyncHdr 0 of message 1\n",
                "Alert 2: 201 slow synchronization, ./c to card\n",
                "item, ./c to card, anchors: last 5, next 6\n",
                "Sync 3\n",
                "Add 4, text/x-vcard\n",
                "item, from 9, 11 octets of data\n",
                "Final: the last message of its package\n",
            ] {
                assert!(text.contains(line), "{line} in\n{text}");
            }
            assert!(!text.contains("c2Vj") && !text.contains("VCARD"), "{text}");
        }
    }

    #[test]
    fn what_is_cut_is_explained_so_far() {
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(XML.as_bytes(), &Default::default(), &mut wbxml).unwrap();
        for len in 0..wbxml.len() {
            let _ = message(&wbxml[..len], 0);
        }
        let text = told(&wbxml[..wbxml.len() - 30]);
        assert!(
            text.contains("! the message cannot be read from here on"),
            "{text}"
        );
        assert!(message(b"<html/>", 0).is_none());
    }

    /// Every recorded message of a real client and server is explained without a fault.
    #[test]
    fn recorded_messages_are_explained() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/syncml-sessions");
        let mut count = 0;
        for session in std::fs::read_dir(directory).unwrap() {
            let Ok(files) = std::fs::read_dir(session.unwrap().path()) else {
                continue;
            };
            for file in files {
                let path = file.unwrap().path();
                if matches!(
                    path.extension().and_then(|e| e.to_str()),
                    Some("wbxml" | "xml")
                ) {
                    let octets = std::fs::read(&path).unwrap();
                    let text = told(&octets);
                    assert!(!text.contains('!'), "{}\n{text}", path.display());
                    count += 1;
                }
            }
        }
        assert!(count > 20, "{count}");
    }
}
