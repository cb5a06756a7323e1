//! Where operators and monitoring reach us, and who of them may change something.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::secret::Secret;
use super::section::Section;
use super::value::Wrong;

/// Where operators and monitoring reach us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// TCP addresses of the admin interface. Whoever reaches them may read there, so keep them private. An
    /// empty array turns it off. Default: `127.0.0.1:9280`.
    pub listen: Vec<SocketAddr>,
    /// Whoever wants to change something, or to watch a subscriber, must show this word as `Authorization:
    /// Bearer`: 16 printable ASCII characters or more, no spaces. Default: none, and nobody may.
    pub token: Option<Secret>,
    /// Whether reading needs the token too; `/livez` and `/readyz` never do. Default: false.
    pub reads_need_token: bool,
    /// Names by which browsers and tools may address the admin interface besides its IP addresses and
    /// `localhost`; `/livez`, `/readyz` and `/metrics` answer to any. Default: none.
    pub hosts: Vec<String>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9280)],
            token: None,
            reads_need_token: false,
            hosts: Vec::new(),
        }
    }
}

impl AdminSettings {
    pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Self {
        let default = Self::default();
        let token = read_token(section, directory);
        let wanted = section.spanned::<bool>("reads_need_token");
        if let Some(wanted) = &wanted
            && *wanted.get_ref()
            && token == Token::Unset
        {
            section.invalid(
                "reads_need_token",
                wanted.span(),
                Wrong::new(
                    "there is no token, so nobody could read anything",
                    "set token_file",
                ),
            );
        }
        Self {
            listen: section.or("listen", default.listen),
            token: token.secret(),
            reads_need_token: wanted.is_some_and(Spanned::into_inner),
            hosts: section.or("hosts", default.hosts),
        }
    }
}

/// What the file says of the token.
#[derive(PartialEq, Eq)]
enum Token {
    Unset,
    Wrong,
    Is(Secret),
}

impl Token {
    fn secret(self) -> Option<Secret> {
        match self {
            Self::Is(secret) => Some(secret),
            Self::Unset | Self::Wrong => None,
        }
    }
}

/// `token`, or what stands in the file that `token_file` names.
fn read_token(section: &Section<'_, '_>, directory: &Path) -> Token {
    let word = section.spanned::<Secret>("token");
    let file = section.spanned::<PathBuf>("token_file");
    let (key, at, secret) = match (word, file) {
        (None, None) => return Token::Unset,
        (Some(_), Some(file)) => {
            let wrong = Wrong::new("and `token` is set too", "keep one of the two");
            section.invalid("token_file", file.span(), wrong);
            return Token::Wrong;
        }
        (Some(word), None) => ("token", word.span(), word.into_inner()),
        (None, Some(file)) => {
            let path = directory.join(file.get_ref());
            match std::fs::read_to_string(&path) {
                Ok(text) => ("token_file", file.span(), Secret::new(text.trim())),
                Err(error) => {
                    let wrong = Wrong::new(
                        format!("{}: {error}", path.display()),
                        "it is relative to the directory of this file; make one with: \
                         openssl rand -hex 32 > FILE",
                    );
                    section.invalid("token_file", file.span(), wrong);
                    return Token::Wrong;
                }
            }
        }
    };
    let length = secret.reveal().len();
    let printable = secret
        .reveal()
        .bytes()
        .all(|octet| octet.is_ascii_graphic());
    if length < SHORTEST_TOKEN || !printable {
        let label = if printable {
            format!("the token has {length} characters")
        } else {
            "the token has a space, a line end or something that is not ASCII".to_owned()
        };
        let help = "use 16 printable characters or more; make one with: openssl rand -hex 32";
        section.invalid(key, at, Wrong::new(label, help));
        return Token::Wrong;
    }
    Token::Is(secret)
}

/// Characters of the shortest token: fewer can be guessed.
const SHORTEST_TOKEN: usize = 16;
