//! The cookie store (RFC 6265) for handsets that keep no cookies. A cookie lives at most as long as
//! its session.
//!
//! Values are octets: origins send Latin-1 and worse, and want it back as it was.

use std::time::Duration;

use hashbrown::HashMap;
use http::Uri;
use http::header::{COOKIE, DATE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::gateway::cookie_date;
use crate::random::Keyed;
use crate::table::Shares;
use crate::time::Instant;

/// The cookies of all sessions.
#[derive(Debug)]
pub(super) struct CookieStore {
    jars: HashMap<u32, CookieJar, Keyed>,
    octets: usize,
    /// The octets of each source.
    shares: Shares<Keyed>,
}

/// The cookies of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar {
    /// The source from which the session's first cookie was asked for.
    source: u128,
    cookies: Vec<Cookie>,
}

/// A session and the source of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) session: u32,
    pub(super) source: u128,
}

#[derive(Clone, Debug)]
struct Cookie {
    name: Box<[u8]>,
    value: Box<[u8]>,
    /// Without a leading dot, in lower case.
    domain: Box<str>,
    /// Whether only that very host may have it.
    host_only: bool,
    path: Box<[u8]>,
    secure: bool,
    expires: Option<Instant>,
}

impl CookieStore {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            jars: HashMap::with_hasher(hasher),
            octets: 0,
            shares: Shares::new(hasher),
        }
    }

    /// The Cookie field of a request to `uri`, if the session has cookies for it.
    pub(super) fn cookie(&self, now: Instant, session: u32, uri: &Uri) -> Option<HeaderValue> {
        let mut cookies: Vec<_> = self
            .jars
            .get(&session)?
            .cookies
            .iter()
            .filter(|cookie| cookie.is_for(now, uri))
            .collect();
        // Longer paths first; the rest in the order they were set (RFC 6265 5.4).
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = cookies
            .iter()
            .map(|cookie| [&*cookie.name, b"=", &*cookie.value].concat())
            .collect();
        (!pairs.is_empty()).then(|| HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok())?
    }

    /// Keeps the cookies that a reply sets. `wall` is the seconds since 1970, if they are known;
    /// `max` the octets of all jars, of which a source may have as many as are free.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        wall: Option<u64>,
        owner: Owner,
        uri: &Uri,
        headers: &HeaderMap,
        max: usize,
    ) {
        let origin_date = || {
            headers
                .get(DATE)
                .and_then(|at| cookie_date::parse(at.as_bytes()))
        };
        let clock = Clock {
            now,
            wall: wall.or_else(origin_date).unwrap_or(LONG_AGO),
        };
        for field in headers.get_all(SET_COOKIE) {
            let Some(cookie) = Cookie::parse(clock, field.as_bytes(), uri) else {
                continue;
            };
            let jar = self.jars.entry(owner.session).or_insert_with(|| CookieJar {
                source: owner.source,
                cookies: Vec::new(),
            });
            let (before, source) = (jar.octets(), jar.source);
            jar.cookies
                .retain(|other| !other.is_named_as(&cookie) && !other.is_over(now));
            let kept = jar.octets();
            self.octets -= before - kept;
            self.shares.remove(source, before - kept);
            let size = cookie.len();
            let free = max.saturating_sub(self.octets);
            let held = self.shares.get(source);
            if cookie.is_over(now) || kept + size > MAX_JAR || size > free || held > free - size {
                continue;
            }
            if jar.cookies.len() >= MAX_COOKIES {
                let oldest = jar.cookies.remove(0).len();
                self.octets -= oldest;
                self.shares.remove(source, oldest);
            }
            self.octets += size;
            self.shares.add(source, size);
            jar.cookies.push(cookie);
        }
        let jar = self.jars.get(&owner.session);
        if jar.is_some_and(|jar| jar.cookies.is_empty()) {
            self.jars.remove(&owner.session);
        }
    }

    /// The session is over.
    pub(super) fn forget(&mut self, session: u32) {
        self.take(session);
    }

    /// The session goes elsewhere.
    pub(super) fn take(&mut self, session: u32) -> CookieJar {
        let jar = self.jars.remove(&session).unwrap_or_default();
        self.octets -= jar.octets();
        self.shares.remove(jar.source, jar.octets());
        jar
    }

    /// The session has come from elsewhere. `max` are the octets of all jars, of which its source
    /// may have as many as are free; of more, the oldest cookies go.
    pub(super) fn put(&mut self, session: u32, mut jar: CookieJar, max: usize) {
        self.forget(session);
        let free = max.saturating_sub(self.octets);
        let held = self.shares.get(jar.source);
        // What it adds is free no more.
        let room = free.saturating_sub(held) / 2;
        let mut octets = jar.octets();
        let excess = jar.cookies.iter().take_while(|cookie| {
            let goes = octets > room;
            octets -= if goes { cookie.len() } else { 0 };
            goes
        });
        let excess = excess.count();
        jar.cookies.drain(..excess);
        if !jar.cookies.is_empty() {
            self.octets += octets;
            self.shares.add(jar.source, octets);
            self.jars.insert(session, jar);
        }
    }
}

impl CookieJar {
    fn octets(&self) -> usize {
        self.cookies.iter().map(Cookie::len).sum()
    }
}

impl Cookie {
    /// Reads a Set-Cookie field (RFC 6265 5.2 and 5.3).
    fn parse(clock: Clock, field: &[u8], uri: &Uri) -> Option<Self> {
        let host = uri.host()?.to_ascii_lowercase();
        let mut attributes = field.split(|octet| *octet == b';');
        let (name, value) = split_pair(attributes.next()?);
        let (name, value) = (name, value?);
        if name.is_empty() {
            return None;
        }
        let mut cookie = Self {
            name: name.into(),
            value: value.into(),
            domain: host.as_str().into(),
            host_only: true,
            path: default_path(uri.path()).as_bytes().into(),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for attribute in attributes {
            let (key, value) = split_pair(attribute);
            let value = value.unwrap_or_default();
            match key.to_ascii_lowercase().as_slice() {
                b"domain" if !value.is_empty() => {
                    let domain = std::str::from_utf8(value).ok()?;
                    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
                    // No list of public suffixes here: a domain without a dot is one for certain.
                    if !domain.contains('.') && domain != host || !within(&host, &domain) {
                        return None;
                    }
                    cookie.domain = domain.into();
                    cookie.host_only = false;
                }
                b"path" if value.starts_with(b"/") => cookie.path = value.into(),
                b"secure" => cookie.secure = true,
                b"max-age" => max_age = delta_seconds(value).or(max_age),
                b"expires" => {
                    let expires = cookie_date::parse(value).map(|at| clock.at(at));
                    cookie.expires = expires.or(cookie.expires);
                }
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            cookie.expires = Some(clock.now + Duration::from_secs(seconds));
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
        let path = uri.path().as_bytes();
        let path_matches = path.strip_prefix(&*self.path).is_some_and(|rest| {
            rest.is_empty() || self.path.ends_with(b"/") || rest.starts_with(b"/")
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

/// The moment a reply came, on both clocks.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Instant,
    /// Seconds since 1970.
    wall: u64,
}

impl Clock {
    /// The moment of a date; a past one is now.
    fn at(self, date: u64) -> Instant {
        self.now + Duration::from_secs(date.saturating_sub(self.wall).min(MAX_AGE))
    }
}

/// The name and the value of a pair, without white space around them.
fn split_pair(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = pair.splitn(2, |octet| *octet == b'=');
    let name = parts.next().unwrap_or_default().trim_ascii();
    (name, parts.next().map(<[u8]>::trim_ascii))
}

/// The seconds of Max-Age: 0 for the past, and at most [`MAX_AGE`], which no session exceeds.
fn delta_seconds(value: &[u8]) -> Option<u64> {
    let (past, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if past {
        return Some(0);
    }
    let seconds = std::str::from_utf8(digits).ok()?.parse().unwrap_or(MAX_AGE);
    Some(seconds.min(MAX_AGE))
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
/// The time to compare with where no clock is known: every earlier date is past.
const LONG_AGO: u64 = 1_577_836_800;
/// A year: no session lasts as long.
const MAX_AGE: u64 = 365 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn set(jars: &mut CookieStore, now: Instant, from: &str, cookies: &[&str]) {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        for cookie in cookies {
            headers.append(SET_COOKIE, cookie.parse().unwrap());
        }
        jars.keep(now, None, OWNER, &uri(from), &headers, 1 << 20);
    }

    fn sent(jars: &CookieStore, now: Instant, to: &str) -> Option<String> {
        let value = jars.cookie(now, 1, &uri(to))?;
        Some(value.to_str().unwrap().to_owned())
    }

    const OWNER: Owner = Owner {
        session: 1,
        source: 7,
    };

    fn jars() -> CookieStore {
        CookieStore::new(Random::new(1).hasher())
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
    fn a_domain_may_be_widened_but_not_to_a_suffix_or_another_domain() {
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
    fn a_date_is_compared_with_the_gateways_own_time() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let from = "https://a.example/";
        let keep = |jars: &mut CookieStore, wall, cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(SET_COOKIE, cookie.parse().unwrap());
            }
            jars.keep(now, wall, OWNER, &uri(from), &headers, 1 << 20);
        };
        let wall = Some(1_000_000_000);
        let cookies = [
            "a=1; Expires=Sun, 09-Sep-2001 01:47:40 GMT",
            "b=1; Expires=Sunday, 09-Sep-01 01:46:39 GMT",
            "c=1; expires=Mon Sep 10 01:46:40 2001",
            "d=1; Max-Age=99999999999999999999",
            "e=1; Max-Age=-1",
            "f=1; Expires=whenever",
        ];
        keep(&mut jars, wall, &cookies);
        let names = "a=1; c=1; d=1; f=1";
        assert_eq!(sent(&jars, now, from).as_deref(), Some(names));
        let minute = now + Duration::from_secs(61);
        assert_eq!(sent(&jars, minute, from).as_deref(), Some("c=1; d=1; f=1"));
        // The usual way to delete a cookie, also where the current time is unknown.
        let deleted = ["a=; Expires=Thu, 01-Jan-1970 00:00:01 GMT"];
        keep(&mut jars, None, &deleted);
        assert_eq!(sent(&jars, now, from).as_deref(), Some("c=1; d=1; f=1"));
    }

    #[test]
    fn a_value_keeps_its_octets() {
        let mut jars = jars();
        let mut headers = HeaderMap::new();
        let field = HeaderValue::from_bytes(b"n=caf\xE9; Path=/").unwrap();
        headers.append(SET_COOKIE, field);
        let origin = uri("https://a.example/");
        jars.keep(Instant::ZERO, None, OWNER, &origin, &headers, 1 << 20);
        let sent = jars.cookie(Instant::ZERO, 1, &origin).unwrap();
        assert_eq!(sent.as_bytes(), b"n=caf\xE9");
    }

    #[test]
    fn a_jar_is_bounded() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let many: Vec<String> = (0..50).map(|n| format!("n{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        set(&mut jars, now, "https://a.example/", &many);
        assert_eq!(jars.jars[&1].cookies.len(), MAX_COOKIES);
        let large = format!("big={}", "x".repeat(5_000));
        set(&mut jars, now, "https://a.example/", &[&large]);
        assert!(jars.octets <= MAX_JAR);
    }

    #[test]
    fn one_source_leaves_room_for_the_cookies_of_others() {
        let mut jars = jars();
        let mut headers = HeaderMap::new();
        let cookie = format!("a={}", "x".repeat(1_000));
        headers.append(SET_COOKIE, cookie.parse().unwrap());
        let origin = uri("https://a.example/");
        let mut keep = |session, source| {
            let owner = Owner { session, source };
            jars.keep(Instant::ZERO, None, owner, &origin, &headers, 100_000);
            jars.cookie(Instant::ZERO, session, &origin).is_some()
        };
        let kept = (0..1_000).filter(|session| keep(*session, 7)).count();
        assert!((40..=50).contains(&kept), "{kept}");
        for session in 2_000..2_020 {
            assert!(keep(session, u128::from(session)), "{session}");
        }
        for session in 0..3_000 {
            jars.forget(session);
        }
        assert_eq!((jars.octets, jars.shares.len()), (0, 0));
    }

    #[test]
    fn what_comes_from_elsewhere_is_bounded_as_what_is_kept() {
        let (mut jars, now) = (jars(), Instant::ZERO);
        let old = format!("old={}", "x".repeat(1_000));
        let new = format!("new={}", "x".repeat(1_000));
        set(&mut jars, now, "https://a.example/", &[&old, &new]);
        let jar = jars.take(1);
        let max = 20_000;
        for session in 0..100 {
            jars.put(session, jar.clone(), max);
        }
        let held = jars.shares.get(OWNER.source);
        assert_eq!(held, jars.octets);
        assert!((8_000..=10_000).contains(&held), "{held}");
        let last = jars.jars.values().find(|jar| jar.cookies.len() == 1);
        assert!(last.is_some_and(|jar| *jar.cookies[0].name == *b"new"));
        // Another source finds room, and a jar replaces another one of its session.
        let other = CookieJar {
            source: 8,
            ..jar.clone()
        };
        for _ in 0..3 {
            jars.put(1_000, other.clone(), max);
        }
        assert_eq!(jars.shares.get(8_u128), jar.octets());
        for session in 0..=1_000 {
            jars.forget(session);
        }
        assert_eq!((jars.octets, jars.shares.len()), (0, 0));
    }
}
