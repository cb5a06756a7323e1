//! The request that starts a trace.

use std::time::Duration;

use serde::Deserialize;

use crate::route::Network;
use crate::server::Subject;

/// The body of `POST /trace`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TraceRequest {
    /// An address, or a small network.
    ip: Option<String>,
    /// A number or an alias, as the subscriber is known by.
    msisdn: Option<String>,
    /// Duration: `30s`, `5m`, `1h`. Default: 5 min.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// Whether secrets are shown.
    #[serde(default)]
    raw: bool,
}

/// A valid request.
#[derive(Debug)]
pub(super) struct TraceOptions {
    pub(super) subject: Subject,
    pub(super) lasts: Duration,
    pub(super) raw: bool,
}

impl TraceRequest {
    /// Checks every field.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(super) fn check(self) -> Result<TraceOptions, String> {
        let subject = match (self.ip, self.msisdn) {
            (Some(ip), None) => Subject::Network(network(ip.trim())?),
            (None, Some(number)) => number_or_alias(number.trim())?,
            _ => return Err("name either ip or msisdn".to_owned()),
        };
        let lasts = match self.lasts {
            Some(text) => duration(text.trim()).ok_or_else(|| {
                format!("{text:?} is no duration from 1s to 1h: write it as 30s, 5m or 1h")
            })?,
            None => DEFAULT,
        };
        Ok(TraceOptions {
            subject,
            lasts,
            raw: self.raw,
        })
    }
}

fn network(text: &str) -> Result<Network, String> {
    let network: Network = text.parse().map_err(|error| format!("{text:?} {error}"))?;
    if network.host_bits() > MAX_HOST_BITS && network.host_bits() != IPV6_HANDSET {
        return Err(format!(
            "{network} is too large: a trace is about one subscriber, so at most 256 addresses, or an IPv6 /64"
        ));
    }
    Ok(network)
}

fn number_or_alias(text: &str) -> Result<Subject, String> {
    let fits = (1..=MAX_NAME).contains(&text.len());
    if !fits || text.chars().any(char::is_control) {
        return Err(format!("msisdn has 1 to {MAX_NAME} characters"));
    }
    Ok(Subject::Number(text.to_owned()))
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|sign: char| sign.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        _ => return None,
    };
    let seconds = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    let lasts = Duration::from_secs(seconds);
    (seconds > 0 && lasts <= LONGEST).then_some(lasts)
}

const DEFAULT: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(3_600);
const MAX_NAME: usize = 64;
const MAX_HOST_BITS: u32 = 8;
/// Host bits of a /64, which one IPv6 handset has for itself.
const IPV6_HANDSET: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<TraceOptions, String> {
        serde_json::from_str::<TraceRequest>(json).unwrap().check()
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let options = asked(r#"{"ip":"192.0.2.7","for":"90s"}"#).unwrap();
        assert_eq!(
            (
                options.subject.to_string().as_str(),
                options.lasts.as_secs(),
                options.raw
            ),
            ("192.0.2.7/32", 90, false)
        );
        assert_eq!(asked(r#"{"msisdn":"+491701"}"#).unwrap().lasts, DEFAULT);
        assert!(asked(r#"{"ip":"2001:db8::/64","raw":true}"#).unwrap().raw);
        for (json, words) in [
            ("{}", "either ip or msisdn"),
            (r#"{"ip":"192.0.2.7","msisdn":"1"}"#, "either ip or msisdn"),
            (r#"{"ip":"10.0.0.0/8"}"#, "too large"),
            (r#"{"ip":"2001:db8::/32"}"#, "too large"),
            (r#"{"ip":"nobody"}"#, "is not a network"),
            (r#"{"ip":"10.0.0.1","for":"2h"}"#, "30s, 5m or 1h"),
            (r#"{"ip":"10.0.0.1","for":"0s"}"#, "30s, 5m or 1h"),
            (r#"{"ip":"10.0.0.1","for":"5"}"#, "30s, 5m or 1h"),
            (r#"{"msisdn":""}"#, "1 to 64"),
        ] {
            let error = asked(json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
