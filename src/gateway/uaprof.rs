//! User agent profiles (UAProf): WSP's fields and their HTTP equivalents.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::codec::decode_base64;

/// Renames Profile and Profile-Diff (WSP 8.4.2.62, 8.4.2.63) to the fields by which servers adapt
/// pages. A request that has those fields already is not changed.
pub(super) fn rename(headers: &mut HeaderMap) {
    if let Some(profile) = headers.remove(&PROFILE)
        && !headers.contains_key(&X_WAP_PROFILE)
        && let Some(quoted) = quoted(profile.as_bytes())
    {
        headers.insert(X_WAP_PROFILE, quoted);
    }
    let diffs: Vec<_> = headers.get_all(&PROFILE_DIFF).iter().cloned().collect();
    if diffs.is_empty() {
        return;
    }
    headers.remove(&PROFILE_DIFF);
    if headers.contains_key(&X_WAP_PROFILE_DIFF) {
        return;
    }
    for (index, diff) in diffs.iter().enumerate() {
        let value = [
            format!("{};", index + 1).into_bytes(),
            diff_text(diff.as_bytes()),
        ]
        .concat();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(X_WAP_PROFILE_DIFF, value);
        }
    }
}

/// Renames the warning that an origin gives about a profile to the field that has a number in WSP
/// (8.4.2.64).
pub(super) fn rename_warning(headers: &mut HeaderMap) {
    let warnings: Vec<_> = headers
        .get_all(&X_WAP_PROFILE_WARNING)
        .iter()
        .cloned()
        .collect();
    if warnings.is_empty() {
        return;
    }
    headers.remove(&X_WAP_PROFILE_WARNING);
    if !headers.contains_key(&PROFILE_WARNING) {
        for warning in warnings {
            headers.append(PROFILE_WARNING, warning);
        }
    }
}

/// Whether [`rename`] looks at a field.
pub(super) fn concerns(name: &HeaderName) -> bool {
    [PROFILE, PROFILE_DIFF, X_WAP_PROFILE, X_WAP_PROFILE_DIFF].contains(name)
}

/// A URI in quotation marks, as `x-wap-profile` has it.
fn quoted(uri: &[u8]) -> Option<HeaderValue> {
    let uri = uri.trim_ascii();
    if uri.starts_with(b"\"") {
        return HeaderValue::from_bytes(uri).ok();
    }
    if uri.is_empty() || uri.contains(&b'"') {
        return None;
    }
    HeaderValue::from_bytes(&[b"\"", uri, b"\""].concat()).ok()
}

/// A difference as XML on one line. WSP carries octets, which arrive in base64: XML text, or binary
/// XML, which stays in base64.
fn diff_text(value: &[u8]) -> Vec<u8> {
    let decoded = decode_base64(value).unwrap_or_default();
    let is_xml =
        decoded.trim_ascii_start().starts_with(b"<") && std::str::from_utf8(&decoded).is_ok();
    if !is_xml {
        return value.to_vec();
    }
    let lines = decoded
        .split(u8::is_ascii_control)
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(&b' ')
}

const PROFILE: HeaderName = HeaderName::from_static("profile");
const PROFILE_DIFF: HeaderName = HeaderName::from_static("profile-diff");
const PROFILE_WARNING: HeaderName = HeaderName::from_static("profile-warning");
const X_WAP_PROFILE_WARNING: HeaderName = HeaderName::from_static("x-wap-profile-warning");
const X_WAP_PROFILE: HeaderName = HeaderName::from_static("x-wap-profile");
const X_WAP_PROFILE_DIFF: HeaderName = HeaderName::from_static("x-wap-profile-diff");

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        rename(&mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn a_profile_reaches_the_origin_under_the_name_servers_know() {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(pair).collect()
        };
        assert_eq!(
            renamed(&[
                ("profile", "http://wap.example/p.rdf"),
                // "<a>\r\n <b/>\n</a>", and octets that are no text.
                ("profile-diff", "PGE+DQogPGIvPgo8L2E+"),
                ("profile-diff", "AgH/"),
            ]),
            owned(&[
                ("x-wap-profile", "\"http://wap.example/p.rdf\""),
                ("x-wap-profile-diff", "1;<a> <b/> </a>"),
                ("x-wap-profile-diff", "2;AgH/"),
            ])
        );
        let own = [
            ("x-wap-profile", "\"http://own/\""),
            ("profile", "http://x/"),
        ];
        assert_eq!(renamed(&own), owned(&own[..1]));
        assert_eq!(renamed(&[("profile", "a\"b")]), owned(&[]));
    }

    #[test]
    fn a_warning_about_a_profile_reaches_the_handset_under_its_name_in_wsp() {
        let warned = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            rename_warning(&mut headers);
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().unwrap())
            };
            headers.iter().map(text).collect::<Vec<_>>()
        };
        let other = ("x-wap-profile-warning", "102 http://a.example/");
        assert_eq!(
            warned(&[("x-wap-profile-warning", "200"), other]),
            [
                "profile-warning: 200",
                "profile-warning: 102 http://a.example/"
            ]
        );
        assert_eq!(
            warned(&[("profile-warning", "201"), other]),
            ["profile-warning: 201"]
        );
    }
}
