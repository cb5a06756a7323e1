//! `[admin]`: the addresses for operators and monitoring, and the token for changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::Spanned;

use super::secret::{self, Secret};
use super::section::Section;
use super::value::Wrong;

/// Settings of the admin interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// TCP addresses of the admin interface. Every client that reaches them may read, so keep them
    /// private. An empty array switches the interface off. Default: `127.0.0.1:9280`.
    pub listen: Vec<SocketAddr>,
    /// TCP address for `/livez` and `/readyz` only. Its connections are not counted with those of
    /// `listen`, so probes get answers when that port is full. Default: none.
    pub probes: Option<SocketAddr>,
    /// The token that changes and traces need, as `Authorization: Bearer`: 16 printable ASCII
    /// characters or more, no spaces. Default: none, and the interface changes nothing.
    pub token: Option<Secret>,
    /// Whether reading needs the token too; `/livez` and `/readyz` never do. Default: false.
    pub reads_need_token: bool,
    /// Host names that browsers and tools may use besides IP addresses and `localhost`; `/livez`,
    /// `/readyz` and `/metrics` accept any. Default: none.
    pub hosts: Vec<String>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9280)],
            probes: None,
            token: None,
            reads_need_token: false,
            hosts: Vec::new(),
        }
    }
}

impl AdminSettings {
    pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Self {
        let default = Self::default();
        let has_token = section.has("token") || section.has("token_file");
        let token = read_token(section, directory);
        let wanted = section.spanned::<bool>("reads_need_token");
        section.default("reads_need_token", &false);
        if let Some(wanted) = &wanted
            && *wanted.get_ref()
            && !has_token
        {
            section.invalid(
                "reads_need_token",
                wanted.span(),
                Wrong::new(
                    "there is no token, so every read would be refused",
                    "set token_file",
                ),
            );
        }
        Self {
            listen: section.or("listen", default.listen),
            probes: section.get("probes"),
            token,
            reads_need_token: wanted.is_some_and(Spanned::into_inner),
            hosts: section.or("hosts", default.hosts),
        }
    }
}

/// `token`, or the content of the file that `token_file` names.
fn read_token(section: &Section<'_, '_>, directory: &Path) -> Option<Secret> {
    let (token, (key, at)) = secret::read(section, directory, "token", "token_file")?;
    let length = token.reveal().len();
    let printable = token.reveal().bytes().all(|octet| octet.is_ascii_graphic());
    if length < SHORTEST_TOKEN || !printable {
        let label = if printable {
            format!("the token has {length} characters")
        } else {
            "the token has a space, a line end or something that is not ASCII".to_owned()
        };
        let help = "use 16 printable characters or more; make one with: openssl rand -hex 32";
        section.invalid(key, at, Wrong::new(label, help));
        return None;
    }
    Some(token)
}

/// Characters of the shortest token. Shorter ones could be guessed.
const SHORTEST_TOKEN: usize = 16;
