//! Which text of a SyncML message is harmless: a list, so that what is not on it is hidden.

/// What may be shown of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it.
    Show,
    /// A URI: all but its query and user.
    Uri,
    /// Nothing.
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
    /// A character was written as a reference, or a part of a URI was shown: what follows may be half of something.
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

    /// What may be shown of text that stands here.
    pub(super) fn verdict(&mut self, text: &str) -> Verdict {
        if text.trim().is_empty() {
            return Verdict::Show;
        }
        let is_devinf = self.open.iter().any(|element| element.name == "DevInf");
        let is_syncml = matches!(self.open.first(), Some(root) if root.name == "SyncML" || root.name == "DevInf");
        let Some((innermost, outer)) = self.open.split_last_mut() else {
            return Verdict::Hide;
        };
        let parent = outer.last().map_or("", |element| &*element.name);
        let name = &*innermost.name;
        match name {
            _ if !is_syncml => Verdict::Hide,
            "Data" if matches!(parent, "Status" | "Alert") && is_code(text) => Verdict::Show,
            _ if URIS.contains(&name) && !innermost.halved => {
                innermost.halved = true;
                Verdict::Uri
            }
            _ if HARMLESS.contains(&name) => Verdict::Show,
            _ if is_devinf && DEVICE.contains(&name) => Verdict::Show,
            _ => Verdict::Hide,
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

/// Elements whose text says what is done, how, and in which order.
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

/// Elements that say what a device can.
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

    fn verdict(path: &[&str], text: &str) -> Verdict {
        let mut policy = Policy::default();
        path.iter().for_each(|name| policy.start(name));
        policy.verdict(text)
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_hidden() {
        for (path, text, expected) in [
            (&["SyncML", "SyncHdr", "MsgID"][..], "1", Verdict::Show),
            (&["SyncML", "SyncHdr", "Cred", "Data"], "1", Verdict::Hide),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "212",
                Verdict::Show,
            ),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "21221",
                Verdict::Hide,
            ),
            (
                &["SyncML", "SyncBody", "Status", "Data"],
                "abc",
                Verdict::Hide,
            ),
            (&["SyncML", "Target", "LocURI"], "x", Verdict::Uri),
            (
                &["SyncML", "Item", "Data", "DevInf", "Man"],
                "x",
                Verdict::Show,
            ),
            (&["SyncML", "Man"], "x", Verdict::Hide),
            (&["SyncML", ""], "x", Verdict::Hide),
            (&["wml", "Type"], "x", Verdict::Hide),
            (&[], "x", Verdict::Hide),
        ] {
            assert_eq!(verdict(path, text), expected, "{path:?} {text}");
        }
    }

    #[test]
    fn a_uri_in_pieces_is_shown_up_to_the_first() {
        let mut policy = Policy::default();
        ["SyncML", "LocURI"]
            .iter()
            .for_each(|name| policy.start(name));
        assert_eq!(policy.verdict("http://us"), Verdict::Uri);
        assert_eq!(policy.verdict("er@host"), Verdict::Hide);
        let mut policy = Policy::default();
        ["SyncML", "LocURI"]
            .iter()
            .for_each(|name| policy.start(name));
        policy.reference();
        assert_eq!(policy.verdict("er@host"), Verdict::Hide);
    }
}
