//! Warnings of well-known secrets.

use super::{Advice, Note};

impl Advice<'_> {
    /// Secrets that contain a word from public examples.
    pub(super) fn secrets(&mut self) {
        let is_known = |secret: &str| {
            let secret = secret.to_ascii_lowercase();
            WELL_KNOWN.iter().any(|word| secret.contains(word))
        };
        let mut known = Vec::new();
        if self
            .settings
            .admin
            .token
            .as_ref()
            .is_some_and(|token| is_known(token.reveal()))
        {
            known.push(("[admin]", None, "token"));
        }
        let radius = self.settings.identity.radius.as_ref();
        for (nth, client) in radius
            .iter()
            .flat_map(|radius| &radius.server.clients)
            .enumerate()
        {
            if client.secret.reveals(is_known) {
                known.push(("[[identity.radius.client]]", Some(nth), "secret"));
            }
        }
        for (nth, home) in radius
            .iter()
            .flat_map(|radius| &radius.server.homes)
            .enumerate()
        {
            if home.secret.reveals(is_known) {
                known.push(("[[identity.radius.forward]]", Some(nth), "secret"));
            }
        }
        let push = self.settings.push.as_ref();
        for (nth, initiator) in push.iter().flat_map(|push| &push.initiators).enumerate() {
            let password = initiator.password.as_ref().map(|(_, password)| password);
            if password.is_some_and(|password| is_known(password)) {
                known.push(("[[push.initiator]]", Some(nth), "password"));
            }
            if initiator.token.as_deref().is_some_and(is_known) {
                known.push(("[[push.initiator]]", Some(nth), "token"));
            }
        }
        for (nth, centre) in self.settings.smsc.iter().enumerate() {
            if centre.session.password.reveals(is_known) {
                known.push(("[[smsc]]", Some(nth), "password"));
            }
        }
        for (section, nth, key) in known {
            self.add(Note {
                section,
                nth,
                key,
                title: format!("the {key} in {section} is from a public example"),
                label: "choose one of your own".to_owned(),
                help: format!(
                    "make one with: openssl rand -hex 32 > FILE, and name it in {key}_file"
                ),
            });
        }
    }
}

/// Words in the secrets of examples.
const WELL_KNOWN: [&str; 5] = ["change-me", "changeme", "change_me", "example", "secret"];
