//! `[push]`: initiators and limits of pushes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use toml::de::DeValue;

use super::mask;
use super::report::Problem;
use super::secret;
use super::section::Section;
use super::server_tls::{self, Clients, PEM};
use super::value::{Size, Value, Wrong, string, text};
use crate::gateway::push::UserAgentRule;
use crate::initiator::{InitiatorSettings, PushSettings, Target, TerminalSettings};
use crate::limit::Rate;
use crate::push::ppg;
use crate::push::terminal::{Credentials, Presentation, TERMINAL_PORT};
use crate::route::{Network, Pattern};
use crate::upstream::Expiry;

/// Reads the section; without an address there are no pushes. Adds the ends of its certificates to
/// `expiries`.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    expiries: &mut Vec<Expiry>,
) -> Option<PushSettings> {
    let listen = section.get::<Vec<SocketAddr>>("listen").unwrap_or_default();
    let has_authorities = section.has("client_ca_file");
    let tls = server_tls::read(section, directory, Clients::MayShowCertificates, expiries);
    let asks_certificates = tls.is_some() && has_authorities;
    let base = ppg::Config::default();
    let day = 24 * 3_600;
    let seconds = Duration::from_secs;
    let time =
        |key, least, most, default| section.within(key, seconds(least)..=seconds(most), default);
    let max_request = section
        .within("max_request", Size(4 << 10)..=Size(64 << 20), Size(1 << 20))
        .0;
    let max_connections = section.within("max_connections", 1..=10_000, 256);
    let request_timeout = time("request_timeout", 1, 600, seconds(30));
    let notify_networks = section.or::<Vec<Network>>("notify_networks", Vec::new());
    let notify_plaintext = section.or("notify_plaintext", false);
    let mut config = ppg::Config {
        name: section.or("name", base.name),
        max_pushes: section.within("max_pushes", 1..=10_000_000, base.max_pushes),
        max_octets: section
            .within(
                "max_octets",
                Size(1 << 20)..=Size(64 << 30),
                Size(base.max_octets),
            )
            .0,
        max_per_recipient: section.within("max_per_recipient", 1..=100_000, base.max_per_recipient),
        max_recipients: section.within("max_recipients", 1..=10_000, base.max_recipients),
        max_in_flight: section.within("max_in_flight", 1..=10_000, base.max_in_flight),
        lifetime: time("lifetime", 60, 30 * day, base.lifetime),
        retry: time("retry", 1, day, base.retry),
        retry_most: time("retry_most", 1, day, base.retry_most),
        max_attempts: section.within("max_attempts", 1..=10_000, base.max_attempts),
        keep_results: time("keep_results", 0, 30 * day, base.keep_results),
        attempt_timeout: time("attempt_timeout", 10, 3_600, base.attempt_timeout),
        notify_lifetime: time("notify_lifetime", 60, 30 * day, base.notify_lifetime),
        contacts: section.or("contacts", base.contacts),
        initiation_interval: time("initiation_interval", 1, day, base.initiation_interval),
        networks: section.or("networks", base.networks),
        sms: false,
        http: false,
        ports: Vec::new(),
    };
    let user_agents = section.sections("user_agent");
    let user_agents = user_agents.iter().filter_map(read_user_agent).collect();
    let terminals = read_terminals(&section.section("http"), directory);
    config.http = terminals.is_some();
    for application in section.sections("application") {
        let id = required::<String>(&application, "id");
        let port = required::<u16>(&application, "port");
        config.ports.extend(id.zip(port));
    }
    let initiators = section.sections("initiator");
    let is_empty = initiators.is_empty();
    let mut known: Vec<InitiatorSettings> = Vec::new();
    for initiator in &initiators {
        if let Some(settings) = read_initiator(initiator, directory, asks_certificates) {
            if known.iter().any(|other| other.name == settings.name) {
                initiator.problem(Problem {
                    title: format!("two initiators are named {}", settings.name),
                    at: initiator.at().unwrap_or(0..0),
                    label: "this one".to_owned(),
                    related: None,
                    help: "push-ids belong to a name: choose another".to_owned(),
                });
            }
            known.push(settings);
        }
    }
    if listen.is_empty() {
        section.without_effect();
        if !is_empty {
            section.missing("listen", "add `listen = [\"127.0.0.1:8282\"]`, or remove the section: without it nobody can push");
        }
        return None;
    }
    if is_empty {
        section.missing("[[push.initiator]]", "name those who may push, and to whom");
    }
    Some(PushSettings {
        listen,
        tls,
        initiators: known,
        max_request,
        max_connections,
        request_timeout,
        notify_networks: notify_networks.into(),
        notify_plaintext,
        user_agents,
        terminals: terminals.map(Arc::new),
        ppg: config,
    })
}

/// `[[push.user_agent]]`.
fn read_user_agent(section: &Section<'_, '_>) -> Option<UserAgentRule> {
    let patterns = required::<Vec<Pattern>>(section, "match");
    let names = required::<Vec<HeaderName>>(section, "drop");
    Some(UserAgentRule {
        user_agents: patterns?,
        drop: names?.into_iter().collect(),
    })
}

/// `[push.http]`; without networks no terminal gets pushes over HTTP.
fn read_terminals(section: &Section<'_, '_>, directory: &Path) -> Option<TerminalSettings> {
    let networks = match section.has("networks") {
        true => section.get::<Vec<Network>>("networks"),
        false => Some(section.or("networks", Vec::new())),
    };
    // Networks that cannot be read have their own error.
    let is_wrong = networks.is_none();
    let networks = networks.unwrap_or_default();
    let port = section.within("port", 1..=u16::MAX, TERMINAL_PORT);
    let seconds = Duration::from_secs;
    let connect_timeout = section.within("connect_timeout", seconds(1)..=seconds(60), seconds(5));
    let timeout = section.within("timeout", seconds(1)..=seconds(120), seconds(30));
    let match_terminal = section.or("match_terminal", false);
    let user = section.get::<String>("user");
    let password = secret::read(section, directory, "password", "password_file");
    let password = password.map(|(password, _)| password.reveal().to_owned());
    if user.is_some() != password.is_some() {
        section.missing(
            "both `user` and `password_file`",
            "one is of no use without the other",
        );
    }
    let provisioning_url = section.get::<ProvisioningUrl>("provisioning_url");
    let provisioning_url = provisioning_url.map(|ProvisioningUrl(value)| value);
    if networks.is_empty() {
        section.without_effect();
        if section.at().is_some() && !is_wrong {
            section.missing(
                "networks",
                "name the networks of terminals with a server of OTA-HTTP, or remove the section",
            );
        }
        return None;
    }
    let credentials = user.zip(password);
    Some(TerminalSettings {
        networks,
        port,
        connect_timeout,
        timeout,
        presentation: Arc::new(Presentation {
            credentials: credentials.map(|(user, password)| Credentials::new(&user, &password)),
            provisioning_url,
            match_terminal,
        }),
    })
}

fn read_initiator(
    section: &Section<'_, '_>,
    directory: &Path,
    asks_certificates: bool,
) -> Option<InitiatorSettings> {
    let name = required::<String>(section, "name");
    let user = section.get::<String>("user");
    let secret = |key, file_key| {
        let (secret, _) = secret::read(section, directory, key, file_key)?;
        Some(secret.reveal().to_owned())
    };
    let password = secret("password", "password_file");
    let token = secret("token", "token_file");
    let certificate = section.spanned::<PathBuf>("client_certificate");
    let networks = section.or::<Vec<Network>>("networks", Vec::new());
    let has_targets = section.has("targets");
    let targets = section.list::<Target>("targets");
    let uri = section.get::<String>("uri");
    let per_second = section.within("rate", 1..=100_000, 100);
    let burst = section.within("burst", 1..=100_000, 200);
    let max_pushes = section.within("max_pushes", 1..=10_000_000, 10_000);
    if user.is_some() != password.is_some() {
        section.missing(
            "both `user` and `password_file`",
            "one is of no use without the other",
        );
    }
    let shown = certificate.as_ref().and_then(|file| {
        let path = directory.join(file.get_ref());
        match CertificateDer::from_pem_file(&path) {
            Ok(_) if !asks_certificates => {
                let wrong = Wrong::new(
                    "initiators show certificates over TLS only, to a listener that asks for them",
                    "set certificate and client_ca_file in [push]",
                );
                section.invalid("client_certificate", file.span(), wrong);
                None
            }
            Ok(shown) => Some(shown),
            Err(error) => {
                let wrong = Wrong::new(format!("{}: {error}", mask::file(&path)), PEM);
                section.invalid("client_certificate", file.span(), wrong);
                None
            }
        }
    });
    if password.is_none() && token.is_none() && certificate.is_none() && networks.is_empty() {
        section.missing(
            "`password_file`, `token_file`, `client_certificate` or `networks`",
            "without one anybody could push",
        );
    }
    if password.is_some() && token.is_some() {
        section.problem(Problem {
            title: "an initiator has a password and a token".to_owned(),
            at: section.at().unwrap_or(0..0),
            label: "a request has one Authorization field and can never show both".to_owned(),
            related: None,
            help: "keep one of the two, or write an [[push.initiator]] for each".to_owned(),
        });
    }
    if !has_targets {
        section.missing(
            "`targets`",
            "say to whom it may push: number prefixes, networks, \"users\", or \"*\" for all",
        );
    }
    Some(InitiatorSettings {
        name: name?.into(),
        password: user.zip(password),
        token,
        certificate: shown,
        networks,
        targets: targets?.into_inner(),
        uri,
        rate: Rate { per_second, burst },
        max_pushes,
    })
}

fn required<T: Value>(section: &Section<'_, '_>, key: &'static str) -> Option<T> {
    if !section.has(key) {
        section.missing(&format!("`{key}`"), &format!("add it: {}", T::EXPECTED));
    }
    section.get(key)
}

/// The value of X-Wap-Push-ProvURL, which may be empty (WAP-235 7.2.5.4).
struct ProvisioningUrl(HeaderValue);

impl Value for ProvisioningUrl {
    const EXPECTED: &'static str = "a URL, or an empty string";

    fn show(&self) -> toml::Value {
        string(self.0.to_str().unwrap_or_default())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = value.as_str().filter(|text| text.is_ascii());
        let read = text.and_then(|text| HeaderValue::from_str(text).ok());
        let wrong = || Wrong::new(format!("expected {}", Self::EXPECTED), "");
        read.map(Self).ok_or_else(wrong)
    }
}

impl Value for Target {
    const EXPECTED: &'static str =
        "a number prefix such as \"+49170\", a network such as \"10.0.0.0/8\", \"users\" or \"*\"";

    fn show(&self) -> toml::Value {
        string(match self {
            Self::All => "*".to_owned(),
            Self::Users => "users".to_owned(),
            Self::Number(prefix) => format!("+{prefix}"),
            Self::Network(network) => network.to_string(),
        })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        let number = text.strip_prefix('+');
        let is_number = |digits: &&str| {
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        };
        match text {
            "*" => Ok(Self::All),
            "users" => Ok(Self::Users),
            _ => match (number.filter(is_number), text.parse::<Network>()) {
                (Some(digits), _) => Ok(Self::Number(digits.to_owned())),
                (None, Ok(network)) => Ok(Self::Network(network)),
                (None, Err(_)) => Err(Wrong::new(
                    "this is no target",
                    format!("expected {}", Self::EXPECTED),
                )),
            },
        }
    }
}
