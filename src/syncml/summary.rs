//! What a message asks and answers, in numbers: for logs and metrics.

use crate::syncml::walk::{Element, Step, Walk};

/// Counts over one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Commands with an effect: Add, Replace, Sync and so on.
    pub commands: u32,
    /// Alert codes, such as 200 for a two-way synchronization.
    pub alerts: Codes,
    /// Status codes, such as 212 for authenticated.
    pub statuses: Codes,
}

/// How often each code occurs, in the order of their first occurrence. A message with more different ones than
/// anybody has assigned is a joke, and counted under `others`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// Code and how often.
    pub counts: Vec<(u16, u32)>,
    /// Codes beyond the bound, or no numbers at all.
    pub others: u32,
}

impl Codes {
    fn count(&mut self, text: &str) {
        let full = self.counts.len() >= MAX_CODES;
        let code = text.trim().parse::<u16>().ok();
        let known = self
            .counts
            .iter_mut()
            .find(|(known, _)| Some(*known) == code);
        match (known, code) {
            (Some((_, count)), _) => *count = count.saturating_add(1),
            (None, Some(code)) if !full => self.counts.push((code, 1)),
            _ => self.others = self.others.saturating_add(1),
        }
    }
}

const MAX_CODES: usize = 64;

/// Counts over the whole message, as far as it is well-formed.
#[must_use]
pub fn summarize(message: &[u8]) -> Summary {
    let mut summary = Summary::default();
    let Some(mut walk) = Walk::new(message, message.len()) else {
        return summary;
    };
    // The two innermost elements decide.
    let mut open = [Element::Other; MAX_DEPTH];
    let mut depth = 0usize;
    while let Some(step) = walk.next() {
        match step {
            Step::Start(element) => {
                if element == Element::Command {
                    summary.commands = summary.commands.saturating_add(1);
                }
                let Some(place) = open.get_mut(depth) else {
                    return summary;
                };
                *place = element;
                depth += 1;
            }
            Step::End => depth = depth.saturating_sub(1),
            Step::Text(text) => {
                let codes = match open.get(..depth).unwrap_or_default() {
                    [.., Element::Alert, Element::Data] => &mut summary.alerts,
                    [.., Element::Status, Element::Data] => &mut summary.statuses,
                    _ => continue,
                };
                if let Some(text) = text.read() {
                    codes.count(&text);
                }
            }
        }
    }
    summary
}

const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_commands_are_counted() {
        let xml = b"<SyncML><SyncBody><Status><Data>212</Data></Status><Status><Data>200</Data></Status>\
            <Status><Data>200</Data><Item><Data>7</Data></Item></Status><Alert><Data>201</Data></Alert><Sync><Add>\
            <Item><Data>9</Data></Item></Add></Sync></SyncBody></SyncML>";
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(xml, &Default::default(), &mut wbxml).unwrap();
        for message in [&xml[..], &wbxml] {
            let summary = summarize(message);
            assert_eq!(summary.commands, 2);
            assert_eq!(summary.statuses.counts, [(212, 1), (200, 2)]);
            assert_eq!(summary.alerts.counts, [(201, 1)]);
        }
    }

    #[test]
    fn different_codes_are_bounded() {
        let mut xml = String::from("<SyncML><SyncBody>");
        for code in 0..100 {
            xml += &format!("<Status><Data>{code}</Data></Status>");
        }
        let summary = summarize(xml.as_bytes());
        assert_eq!(
            (summary.statuses.counts.len(), summary.statuses.others),
            (64, 36)
        );
    }
}
