//! Subscribers in a list: lines of an address, a number and perhaps a pseudonym.

use std::sync::Arc;

use super::{Identity, Prefix, Private, Source};

/// The reason why a line is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEntry {
    /// There is no number.
    #[error("is not `address,msisdn` or `address,msisdn,alias`")]
    Syntax,
    /// The line begins with no address.
    #[error("does not begin with an address such as 10.1.2.3 or 2001:db8::/64")]
    Address,
    /// A number or pseudonym that no header field could hold.
    #[error("has a character that is not printable ASCII")]
    Text,
}

/// Parses one line: an address or network, a number, and an optional pseudonym, separated by
/// commas, semicolons or blanks. An empty number leaves only the pseudonym. `None` for an empty
/// line, a comment or a heading.
///
/// # Errors
///
/// The error of a malformed entry.
pub fn entry(line: &str, source: Source) -> Result<Option<(Prefix, Arc<Identity>)>, NotAnEntry> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with("address") {
        return Ok(None);
    }
    let mut fields: Vec<&str> = if line.contains([',', ';']) {
        line.split([',', ';']).map(str::trim).collect()
    } else {
        line.split_whitespace().collect()
    };
    fields.resize(fields.len().max(3), "");
    let &[address, msisdn, alias] = fields.as_slice() else {
        return Err(NotAnEntry::Syntax);
    };
    let prefix: Prefix = address.parse().map_err(|_| NotAnEntry::Address)?;
    let private = |text: &str| {
        let plain = text.bytes().all(|octet| octet.is_ascii_graphic());
        let some = (!text.is_empty()).then(|| Private::new(text));
        if plain {
            Ok(some)
        } else {
            Err(NotAnEntry::Text)
        }
    };
    let identity = Identity {
        msisdn: private(msisdn.trim_start_matches('+'))?,
        alias: private(alias)?,
        source,
        ..Identity::default()
    };
    if identity.msisdn.is_none() && identity.alias.is_none() {
        return Err(NotAnEntry::Syntax);
    }
    Ok(Some((prefix, Arc::new(identity))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<(String, String, String)>, NotAnEntry> {
        let text = |text: &Option<Private>| {
            text.as_ref()
                .map(|text| text.reveal().to_owned())
                .unwrap_or_default()
        };
        Ok(entry(line, Source::File)?.map(|(prefix, identity)| {
            let (address, length) = prefix.parts();
            let prefix = format!("{address}/{length}");
            (prefix, text(&identity.msisdn), text(&identity.alias))
        }))
    }

    #[test]
    fn a_line_is_an_address_a_number_and_perhaps_an_alias() {
        let all = |a: &str, b: &str, c: &str| Ok(Some((a.into(), b.into(), c.into())));
        assert_eq!(read("10.1.2.3,+4917"), all("10.1.2.3/32", "4917", ""));
        assert_eq!(
            read("10.1.2.3 4917 anna # x"),
            all("10.1.2.3/32", "4917", "anna")
        );
        assert_eq!(
            read("2001:db8::/64; ;anna"),
            all("2001:db8::/64", "", "anna")
        );
        for nothing in ["", "  ", "# 10.1.2.3,4917", "address,msisdn"] {
            assert_eq!(read(nothing), Ok(None));
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_an_error() {
        for (line, error) in [
            ("10.1.2.3", NotAnEntry::Syntax),
            ("10.1.2.3,1,2,3", NotAnEntry::Syntax),
            ("10.1.2,1", NotAnEntry::Address),
            ("10.1.2.3/8,1", NotAnEntry::Address),
            ("10.1.2.3,1\u{1}", NotAnEntry::Text),
        ] {
            assert_eq!(read(line), Err(error), "{line}");
        }
    }
}
