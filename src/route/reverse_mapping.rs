//! The reverse mapping of a route, as `ProxyPassReverse` in Apache httpd: upstream addresses in
//! replies become addresses that handsets can ask for.

use super::Address;

/// The mapping from the addresses of one route's upstream to the prefix that handsets use.
#[derive(Clone, Debug)]
pub struct ReverseMapping {
    /// The upstream and its fallbacks.
    pub(super) hosts: Vec<Address>,
    /// The prefix that a handset writes in their place.
    pub(super) prefix: Address,
    /// The URI of the request, the base of relative references.
    pub(super) fetched: Address,
}

impl ReverseMapping {
    /// The address by which a handset reaches `upstream`; `None` if `upstream` is outside the
    /// route.
    #[must_use]
    pub fn map(&self, upstream: &str) -> Option<String> {
        self.map_address(&Address::parse(upstream).ok()?)
    }

    /// The same for a reference, which may be relative to the URI of the request (RFC 3986 section
    /// 5).
    #[must_use]
    pub fn map_reference(&self, reference: &str) -> Option<String> {
        self.map_address(&self.fetched.resolve(reference)?)
    }

    fn map_address(&self, address: &Address) -> Option<String> {
        let rest = self.hosts.iter().find_map(|host| address.under(host))?;
        Some(self.prefix.join(rest, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping() -> ReverseMapping {
        let address = |text: &str| Address::parse(text).unwrap();
        ReverseMapping {
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
        let mapping = mapping();
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
            assert_eq!(mapping.map(upstream).as_deref(), handset, "{upstream}");
        }
    }

    #[test]
    fn a_relative_reference_is_relative_to_the_fetched_uri() {
        let mapping = mapping();
        for (reference, handset) in [
            ("z?q", Some("http://sync.example/ds/x/z?q")),
            ("/app/z", Some("http://sync.example/ds/z")),
            ("https://b.internal/app/z", Some("http://sync.example/ds/z")),
            ("/outside", None),
            ("../../outside", None),
            ("//b.internal/app/", Some("http://sync.example/ds")),
        ] {
            assert_eq!(
                mapping.map_reference(reference).as_deref(),
                handset,
                "{reference}"
            );
        }
    }
}
