//! The harmless text of SyncML messages: a list, so that all other text is masked.

/// The part of a text that may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    /// All of it.
    Show,
    /// A URI: all but its query and user.
    Uri,
    /// No part.
    Hide,
}

/// Follows a message and judges its text.
#[derive(Debug, Default)]
pub(super) struct Policy {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    name: String,
    /// A character was written as a reference, or a part of a URI was shown: the next text may be
    /// the rest of a value.
    halved: bool,
}

impl Policy {
    pub(super) fn start(&mut self, name: &str) {
        self.open.push(Open {
            name: name.to_owned(),
            halved: false,
        });
    }

    pub(super) fn end(&mut self) {
        self.open.pop();
    }

    /// A character that is not written as itself.
    pub(super) fn reference(&mut self) {
        if let Some(element) = self.open.last_mut() {
            element.halved = true;
        }
    }

    /// The visible part of text at this place.
    pub(super) fn visibility(&mut self, text: &str) -> Visibility {
        if text.trim().is_empty() {
            return Visibility::Show;
        }
        let is_devinf = self.open.iter().any(|element| element.name == "DevInf");
        let is_syncml = matches!(self.open.first(), Some(root) if root.name == "SyncML" || root.name == "DevInf");
        let Some((innermost, outer)) = self.open.split_last_mut() else {
            return Visibility::Hide;
        };
        let parent = outer.last().map_or("", |element| &*element.name);
        let name = &*innermost.name;
        match name {
            _ if !is_syncml => Visibility::Hide,
            "Data" if matches!(parent, "Status" | "Alert") && is_code(text) => Visibility::Show,
            _ if URIS.contains(&name) && !innermost.halved => {
                innermost.halved = true;
                Visibility::Uri
            }
            _ if HARMLESS.contains(&name) => Visibility::Show,
            _ if is_devinf && DEVICE.contains(&name) => Visibility::Show,
            _ => Visibility::Hide,
        }
    }
}

/// A number of at most four digits.
fn is_code(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 4 && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Elements that hold a URI.
const URIS: &[&str] = &["LocURI", "RespURI", "TargetRef", "SourceRef"];

/// Elements with commands, modes and order.
const HARMLESS: &[&str] = &[
    "Cmd",
    "CmdID",
    "CmdRef",
    "Format",
    "FreeID",
    "FreeMem",
    "Lang",
    "Last",
    "LocName",
    "Mark",
    "MaxMsgSize",
    "MaxObjSize",
    "MsgID",
    "MsgRef",
    "Next",
    "NumberOfChanges",
    "SessionID",
    "Size",
    "Type",
    "VerDTD",
    "VerProto",
    "Version",
];

/// Elements with abilities of a device.
const DEVICE: &[&str] = &[
    "CTType",
    "DataType",
    "DevID",
    "DevTyp",
    "DisplayName",
    "FilterKeyword",
    "FwV",
    "HwV",
    "Man",
    "MaxGUIDSize",
    "MaxID",
    "MaxMem",
    "MaxOccur",
    "MaxSize",
    "Mod",
    "OEM",
    "ParamName",
    "PropName",
    "SwV",
    "SyncType",
    "ValEnum",
    "VerCT",
    "XNam",
    "XVal",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn visibility(path: &[&str], text: &str) -> Visibility {
        let mut policy = Policy::default();
        path.iter().for_each(|name| policy.start(name));
        policy.visibility(text)
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_hidden() {
        for (path, text, expected) in [
            (&["SyncML", "SyncHdr", "MsgID"][..], "1", Visibility::Show),
            (
                &["SyncML", "SyncHdr", "Cred", "Data"],
                "1",
                Visibility::Hide,
            ),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "212",
                Visibility::Show,
            ),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "21221",
                Visibility::Hide,
            ),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "abc",
                Visibility::Hide,
            ),
            (&["SyncML", "Target", "LocURI"], "x", Visibility::Uri),
            (
                &["SyncML", "Item", "Data", "DevInf", "Man"],
                "x",
                Visibility::Show,
            ),
            (&["SyncML", "Man"], "x", Visibility::Hide),
            (&["SyncML", ""], "x", Visibility::Hide),
            (&["wml", "Type"], "x", Visibility::Hide),
            (&[], "x", Visibility::Hide),
        ] {
            assert_eq!(visibility(path, text), expected, "{path:?} {text}");
        }
    }

    #[test]
    fn a_uri_in_pieces_is_shown_up_to_the_first() {
        let mut policy = Policy::default();
        ["SyncML", "LocURI"]
            .iter()
            .for_each(|name| policy.start(name));
        assert_eq!(policy.visibility("http://us"), Visibility::Uri);
        assert_eq!(policy.visibility("er@host"), Visibility::Hide);
        let mut policy = Policy::default();
        ["SyncML", "LocURI"]
            .iter()
            .for_each(|name| policy.start(name));
        policy.reference();
        assert_eq!(policy.visibility("er@host"), Visibility::Hide);
    }
}
