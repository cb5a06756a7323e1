//! Cookies kept for handsets that cannot (RFC 6265), for as long as their sessions last.

use std::time::Duration;

use hashbrown::HashMap;
use http::Uri;
use http::header::{COOKIE, DATE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::random::Keyed;
use crate::time::Instant;
use crate::wsp::header::date;

/// The cookies of every session that was given some.
#[derive(Debug)]
pub(super) struct Jars {
    jars: HashMap<u32, Vec<Cookie>, Keyed>,
    octets: usize,
}

/// The cookies of one session, on their way to another shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    name: Box<str>,
    value: Box<str>,
    /// Without a leading dot, in lower case.
    domain: Box<str>,
    /// Whether only that very host may have it.
    host_only: bool,
    path: Box<str>,
    secure: bool,
    expires: Option<Instant>,
}

impl Jars {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            jars: HashMap::with_hasher(hasher),
            octets: 0,
        }
    }

    /// The Cookie field of a request to `uri`, if the session has cookies for it.
    pub(super) fn cookie(&self, now: Instant, session: u32, uri: &Uri) -> Option<HeaderValue> {
        let mut cookies: Vec<_> = self
            .jars
            .get(&session)?
            .iter()
            .filter(|cookie| cookie.is_for(now, uri))
            .collect();
        // Longer paths first; the rest in the order they were set (RFC 6265 5.4).
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| HeaderValue::from_str(&pairs.join("; ")).ok())?
    }

    /// Keeps what a reply sets. `max` are the octets of all jars.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        session: u32,
        uri: &Uri,
        headers: &HeaderMap,
        max: usize,
    ) {
        let origin_date = headers.get(DATE).and_then(|at| date::parse(at.as_bytes()));
        for field in headers.get_all(SET_COOKIE) {
            let Some(cookie) = field
                .to_str()
                .ok()
                .and_then(|text| Cookie::parse(now, text, uri, origin_date))
            else {
                continue;
            };
            let jar = self.jars.entry(session).or_default();
            let before: usize = jar.iter().map(Cookie::len).sum();
            jar.retain(|other| !other.is_named_as(&cookie) && !other.is_over(now));
            let kept: usize = jar.iter().map(Cookie::len).sum();
            self.octets -= before - kept;
            let size = cookie.len();
            if cookie.is_over(now) || kept + size > MAX_JAR || self.octets + size > max {
                continue;
            }
            if jar.len() >= MAX_COOKIES {
                self.octets -= jar.remove(0).len();
            }
            self.octets += size;
            jar.push(cookie);
        }
        if self.jars.get(&session).is_some_and(Vec::is_empty) {
            self.jars.remove(&session);
        }
    }

    /// The session is over.
    pub(super) fn forget(&mut self, session: u32) {
        self.take(session);
    }

    /// The session goes elsewhere.
    pub(super) fn take(&mut self, session: u32) -> Jar {
        let jar = self.jars.remove(&session).unwrap_or_default();
        self.octets -= jar.iter().map(Cookie::len).sum::<usize>();
        Jar(jar)
    }

    /// The session has come from elsewhere. `max` are the octets of all jars.
    pub(super) fn put(&mut self, session: u32, Jar(jar): Jar, max: usize) {
        let octets: usize = jar.iter().map(Cookie::len).sum();
        if !jar.is_empty() && self.octets + octets <= max {
            self.octets += octets;
            self.jars.insert(session, jar);
        }
    }
}

impl Cookie {
    /// Reads a Set-Cookie field (RFC 6265 5.2 and 5.3). There is no clock here: Expires counts from the
    /// origin's own Date.
    fn parse(now: Instant, text: &str, uri: &Uri, origin_date: Option<u64>) -> Option<Self> {
        let host = uri.host()?.to_ascii_lowercase();
        let mut attributes = text.split(';');
        let (name, value) = attributes.next()?.split_once('=')?;
        let name = name.trim();
        if name.is_empty() {
            return None;
        }
        let mut cookie = Self {
            name: name.into(),
            value: value.trim().into(),
            domain: host.as_str().into(),
            host_only: true,
            path: default_path(uri.path()).into(),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for attribute in attributes {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    // No list of public suffixes here: a domain without a dot is one for certain.
                    if !domain.contains('.') && domain != host || !within(&host, &domain) {
                        return None;
                    }
                    cookie.domain = domain.into();
                    cookie.host_only = false;
                }
                "path" if value.starts_with('/') => cookie.path = value.into(),
                "secure" => cookie.secure = true,
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => {
                    if let (Some(at), Some(date)) = (date::parse(value.as_bytes()), origin_date) {
                        cookie.expires = Some(now + Duration::from_secs(at.saturating_sub(date)));
                    }
                }
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let seconds = u64::try_from(seconds).unwrap_or(0).min(MAX_AGE);
            cookie.expires = Some(now + Duration::from_secs(seconds));
        }
        Some(cookie)
    }

    fn is_for(&self, now: Instant, uri: &Uri) -> bool {
        let Some(host) = uri.host().map(str::to_ascii_lowercase) else {
            return false;
        };
        let host_matches = match self.host_only {
            true => *self.domain == *host,
            false => within(&host, &self.domain),
        };
        let path = uri.path();
        let path_matches = path.strip_prefix(&*self.path).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
        });
        let safe = !self.secure || uri.scheme_str() == Some("https");
        host_matches && path_matches && safe && !self.is_over(now)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    fn is_named_as(&self, other: &Self) -> bool {
        self.name == other.name && self.domain == other.domain && self.path == other.path
    }

    /// Octets it is charged for.
    fn len(&self) -> usize {
        64 + self.name.len() + self.value.len() + self.domain.len() + self.path.len()
    }
}

/// Whether a host is a domain or below it.
fn within(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|head| head.ends_with('.') && !is_address(host))
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// The directory of a path (RFC 6265 5.1.4).
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(last) if last > 0 => path.get(..last).unwrap_or("/"),
        _ => "/",
    }
}

/// Whether the handset sent cookies of its own.
pub(super) fn has_own(headers: &HeaderMap) -> bool {
    headers.contains_key(COOKIE)
}

/// Cookies of one session; of more, the oldest goes.
const MAX_COOKIES: usize = 20;
/// Octets of one session's cookies; one that does not fit is not kept.
const MAX_JAR: usize = 4_096;
/// A year: no session lasts as long.
const MAX_AGE: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn set(jars: &mut Jars, now: Instant, from: &str, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jars.keep(now, 1, &uri(from), &headers, 1 << 20);
    }

    fn sent(jars: &Jars, now: Instant, to: &str) -> Option<String> {
        let value = jars.cookie(now, 1, &uri(to))?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn jars() -> Jars {
        Jars::new(Random::new(1).hasher())
    }

    #[test]
    fn a_cookie_goes_back_where_it_came_from() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        set(
            &mut jars,
            now,
            "https://a.example/x/y",
            &["s=1", "t=2; Path=/; Secure"],
        );
        let sent = |to| sent(&jars, now, to);
        assert_eq!(sent("https://a.example/x/z").as_deref(), Some("s=1; t=2"));
        assert_eq!(sent("https://a.example/").as_deref(), Some("t=2"));
        assert_eq!(sent("http://a.example/"), None, "secure");
        assert_eq!(sent("https://b.example/x/z"), None);
        assert_eq!(sent("https://sub.a.example/"), None, "host only");
        assert_eq!(jars.cookie(now, 2, &uri("https://a.example/")), None);
    }

    #[test]
    fn a_domain_may_be_widened_but_not_to_a_suffix_or_a_stranger() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let cookies = [
            "a=1; Domain=.corp.example",
            "b=1; Domain=example",
            "c=1; Domain=other.example",
            "d=1; Domain=rp.example",
        ];
        set(&mut jars, now, "https://x.corp.example/", &cookies);
        assert_eq!(
            sent(&jars, now, "https://y.corp.example/").as_deref(),
            Some("a=1")
        );
        assert_eq!(
            sent(&jars, now, "https://x.corp.example/").as_deref(),
            Some("a=1")
        );
    }

    #[test]
    fn a_cookie_ends_by_age_by_date_and_with_its_session() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let later = now + Duration::from_secs(61);
        let from = "https://a.example/";
        set(
            &mut jars,
            now,
            from,
            &[
                "a=1; Max-Age=60",
                "b=1; Expires=Sun, 06 Nov 1994 08:50:37 GMT",
                "c=1",
            ],
        );
        assert_eq!(sent(&jars, now, from).as_deref(), Some("a=1; b=1; c=1"));
        assert_eq!(sent(&jars, later, from).as_deref(), Some("c=1"));
        set(&mut jars, later, from, &["c=; Max-Age=0"]);
        assert_eq!(sent(&jars, later, from), None);
        set(&mut jars, later, from, &["d=1"]);
        jars.forget(1);
        assert_eq!((jars.jars.len(), jars.octets), (0, 0));
    }

    #[test]
    fn a_jar_is_bounded() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let many: Vec<String> = (0..50).map(|n| format!("n{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        set(&mut jars, now, "https://a.example/", &many);
        assert_eq!(jars.jars[&1].len(), MAX_COOKIES);
        let large = format!("big={}", "x".repeat(5_000));
        set(&mut jars, now, "https://a.example/", &[&large]);
        assert!(jars.octets <= MAX_JAR);
    }
}
