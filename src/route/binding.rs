//! The protocols between handset and gateway (TS 27.103 5.1.4).

/// The protocol that carried a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Binding {
    /// WSP, with sessions or without.
    #[default]
    Wsp,
    /// HTTP over TCP.
    Http,
    /// OBEX over TCP.
    Obex,
}

impl Binding {
    /// The stable name used in the configuration and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Wsp => "wsp",
            Self::Http => "http",
            Self::Obex => "obex",
        }
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}
