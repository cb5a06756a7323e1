//! The format of `--write-out`: text with variables, named as curl names them.

use std::str::FromStr;
use std::time::Duration;

use crate::cli::outcome::Outcome;
use crate::printable::Printable;

/// Text with `%{variable}`, `%%` for a percent sign, and `\n`, `\r`, `\t`, `\\`. As in curl, any
/// other backslash stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    ResponseCode,
    ContentType,
    SizeDownload,
    TimeConnect,
    TimeStartTransfer,
    TimeTotal,
    Retransmissions,
}

/// The variables by name. `retransmissions` is the only one that curl does not have.
const VARIABLES: [(&str, Variable); 8] = [
    ("response_code", Variable::ResponseCode),
    ("http_code", Variable::ResponseCode),
    ("content_type", Variable::ContentType),
    ("size_download", Variable::SizeDownload),
    ("time_connect", Variable::TimeConnect),
    ("time_starttransfer", Variable::TimeStartTransfer),
    ("time_total", Variable::TimeTotal),
    ("retransmissions", Variable::Retransmissions),
];

impl Format {
    /// The text for one answer.
    pub(super) fn text(&self, outcome: &Outcome) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(variable) => variable.value(outcome),
        };
        self.0.iter().map(piece).collect()
    }
}

impl Variable {
    fn value(self, outcome: &Outcome) -> String {
        let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
        match self {
            Self::ResponseCode => outcome.reply.status.to_string(),
            // An origin chooses the text, and a terminal shows it.
            Self::ContentType => Printable(&outcome.reply.content_type).to_string(),
            Self::SizeDownload => outcome.reply.body.len().to_string(),
            Self::TimeConnect => seconds(outcome.connected),
            // Over HTTP and OBEX the first packet is not told apart.
            Self::TimeStartTransfer => seconds(outcome.first_packet.unwrap_or(outcome.replied)),
            Self::TimeTotal => seconds(outcome.replied),
            Self::Retransmissions => outcome.retransmissions.to_string(),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(format: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = format;
        while let Some(first) = rest.chars().next() {
            let (said, len) = match rest.get(..2) {
                Some("%%") => ('%', 2),
                Some("%{") => {
                    let Some((name, behind)) = rest.split_at(2).1.split_once('}') else {
                        return Err("a `%{` without its `}`".to_owned());
                    };
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(Piece::Variable(variable(name)?));
                    rest = behind;
                    continue;
                }
                Some(r"\n") => ('\n', 2),
                Some(r"\r") => ('\r', 2),
                Some(r"\t") => ('\t', 2),
                Some(r"\\") => ('\\', 2),
                _ => (first, first.len_utf8()),
            };
            text.push(said);
            rest = rest.split_at(len).1;
        }
        pieces.push(Piece::Text(text));
        Ok(Self(pieces))
    }
}

fn variable(name: &str) -> Result<Variable, String> {
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    known.map(|&(_, variable)| variable).ok_or_else(|| {
        let names: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
        format!("no variable `{name}`; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handset::Reply;

    fn outcome() -> Outcome {
        Outcome {
            reply: Reply {
                status: 200,
                content_type: "text/\u{1b}plain".to_owned(),
                headers: Vec::new(),
                trailers: Vec::new(),
                body: b"body"[..].into(),
            },
            connected: Duration::from_micros(1500),
            first_packet: Some(Duration::from_millis(700)),
            replied: Duration::from_secs(2),
            retransmissions: 3,
        }
    }

    #[test]
    fn variables_stand_for_their_figures() {
        let text = |format: &str| format.parse::<Format>().unwrap().text(&outcome());
        assert_eq!(
            text(r"%{http_code} %{size_download}\t%{time_connect}\n"),
            "200 4\t0.001500\n"
        );
        assert_eq!(
            text("%{time_starttransfer}<%{time_total}"),
            "0.700000<2.000000"
        );
        assert_eq!(
            text(r"100 %% of %{retransmissions} é \x \\ %"),
            r"100 % of 3 é \x \ %"
        );
        assert!(!text("%{content_type}").contains('\u{1b}'));
        let over_http = Outcome {
            first_packet: None,
            ..outcome()
        };
        let format: Format = "%{time_starttransfer}".parse().unwrap();
        assert_eq!(format.text(&over_http), "2.000000");
    }

    #[test]
    fn mistakes_are_named() {
        let error = |format: &str| format.parse::<Format>().unwrap_err();
        assert!(error("%{time}").starts_with("no variable `time`; there are response_code, "));
        assert_eq!(error("%{time_total"), "a `%{` without its `}`");
    }
}
