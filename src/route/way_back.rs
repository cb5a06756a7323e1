//! From an upstream's addresses back to those that handsets use.

use super::Address;

/// The way through a route, taken backwards: an address at its upstream becomes the one by which a handset
/// reaches it.
#[derive(Clone, Debug)]
pub struct WayBack {
    /// Where the route leads: any of these is the upstream.
    pub(super) hosts: Vec<Address>,
    /// What the handset writes in place of them.
    pub(super) prefix: Address,
    /// What was fetched, for references relative to it.
    pub(super) fetched: Address,
}

impl WayBack {
    /// What a handset has to ask for to get to `upstream`; nothing if that is not this route's.
    #[must_use]
    pub fn of(&self, upstream: &str) -> Option<String> {
        self.lead(&Address::parse(upstream).ok()?)
    }

    /// The same for a reference that may be relative to what was fetched (RFC 3986 section 5).
    #[must_use]
    pub fn of_reference(&self, reference: &str) -> Option<String> {
        self.lead(&self.fetched.resolve(reference)?)
    }

    fn lead(&self, address: &Address) -> Option<String> {
        let rest = self.hosts.iter().find_map(|host| address.under(host))?;
        Some(self.prefix.join(rest, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way_back() -> WayBack {
        let address = |text: &str| Address::parse(text).unwrap();
        WayBack {
            hosts: vec![
                address("https://a.internal:8443/app/"),
                address("https://b.internal/app/"),
            ],
            prefix: address("http://sync.example/ds"),
            fetched: address("https://a.internal:8443/app/x/y?z"),
        }
    }

    #[test]
    fn an_upstreams_address_leads_back_through_the_route() {
        let way = way_back();
        for (upstream, handset) in [
            (
                "https://a.internal:8443/app/r?sid=1&x=%20",
                Some("http://sync.example/ds/r?sid=1&x=%20"),
            ),
            ("https://B.internal/app/", Some("http://sync.example/ds")),
            ("https://a.internal:8443/application", None),
            ("https://a.internal/app/r", None),
            ("http://a.internal:8443/app/r", None),
            ("https://elsewhere.example/app/", None),
            ("/app/r", None),
            ("", None),
        ] {
            assert_eq!(way.of(upstream).as_deref(), handset, "{upstream}");
        }
    }

    #[test]
    fn a_relative_reference_is_relative_to_what_was_fetched() {
        let way = way_back();
        for (reference, handset) in [
            ("z?q", Some("http://sync.example/ds/x/z?q")),
            ("/app/z", Some("http://sync.example/ds/z")),
            ("https://b.internal/app/z", Some("http://sync.example/ds/z")),
            ("/outside", None),
            ("../../outside", None),
            ("//b.internal/app/", Some("http://sync.example/ds")),
        ] {
            assert_eq!(
                way.of_reference(reference).as_deref(),
                handset,
                "{reference}"
            );
        }
    }
}
