//! `wapbridge push notify-sync`: a server-alerted notification.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::Delivery;
use super::content::{Content, read};
use crate::syncml::Encoding;
use crate::syncml::notification::{Body, Builder, LegacyAlert, Secret, Sync, UiMode};
use crate::wsp::header::media_number;

/// A notification.
#[derive(Debug, Args)]
pub(super) struct NotifySync {
    #[command(flatten)]
    delivery: Delivery,
    /// The server's identifier, as the client's profile has it
    #[arg(long, value_name = "ID")]
    server: String,
    /// The session that the client is to begin; the same twice is one session
    #[arg(long, value_name = "NUMBER")]
    session: u16,
    /// A data store of the server, with the media type of its items if that is to be said; none
    /// stands for all
    #[arg(long = "store", value_name = "NAME[:TYPE]", value_parser = store)]
    stores: Vec<Store>,
    /// How the stores are synchronized: 206 two-way, 207 from the client, 208 refresh from the
    /// client, 209 from the server, 210 refresh from the server [default: 206]
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(206..=210))]
    alert: Option<u16>,
    /// What the user is to see [default: unspecified]
    #[arg(long, value_enum)]
    ui_mode: Option<Ui>,
    /// Whose wish the session is [default: server]
    #[arg(long, value_enum)]
    initiator: Option<Initiator>,
    /// The form: 1.2 for data synchronization, dm for device management, 1.1 for clients of SyncML
    /// 1.1
    #[arg(long, value_enum, default_value_t = Form::Ds12)]
    form: Form,
    /// A file with the server's password at the client [default: an empty password; with 1.1 no
    /// credentials]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The nonce that the client gave to the server
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
}

#[derive(Clone, Debug)]
struct Store {
    name: String,
    /// A media type, or nothing.
    media: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ui {
    Unspecified,
    Background,
    Informative,
    Interactive,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Initiator {
    User,
    Server,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    #[value(name = "1.2")]
    Ds12,
    #[value(name = "dm")]
    Dm,
    #[value(name = "1.1")]
    Legacy,
}

impl NotifySync {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let password = match &self.password_file {
            Some(file) => Some(read(file)?.trim_ascii_end().to_vec()),
            None => None,
        };
        let content = self.content(password.as_deref())?;
        self.delivery.submit(&content)
    }

    /// Refuses options that the form has no place for.
    fn check(&self) -> anyhow::Result<()> {
        let (option, reason) = match self.form {
            Form::Ds12 if self.alert.is_some() && self.stores.is_empty() => (
                "--alert",
                "it is said of each store: name the stores with --store",
            ),
            Form::Dm if !self.stores.is_empty() => ("--store", "device management has no stores"),
            Form::Dm if self.alert.is_some() => ("--alert", "device management has no stores"),
            Form::Legacy if self.ui_mode.is_some() => {
                ("--ui-mode", "an Alert of SyncML 1.1 has no place for it")
            }
            Form::Legacy if self.initiator.is_some() => {
                ("--initiator", "an Alert of SyncML 1.1 has no place for it")
            }
            Form::Legacy if self.nonce.is_some() && self.password_file.is_none() => (
                "--nonce",
                "without a password there are no credentials: add --password-file",
            ),
            Form::Ds12 | Form::Dm | Form::Legacy => return Ok(()),
        };
        let form = self.form.to_possible_value();
        let form = form.as_ref().map_or("", |form| form.get_name());
        bail!("{option} has no effect here, with --form {form}: {reason}; or leave {option} out")
    }

    fn content(&self, password: Option<&[u8]>) -> anyhow::Result<Content> {
        self.check()?;
        let secret = Secret {
            password: password.unwrap_or_default(),
            nonce: self.nonce.as_deref().unwrap_or_default().as_bytes(),
        };
        let (media, application, body) = match self.form {
            Form::Legacy => (
                LegacyAlert::media_type(Encoding::Wbxml),
                DATA_SYNC,
                self.legacy(password.is_some().then_some(secret)),
            ),
            Form::Ds12 => (
                "application/vnd.syncml.ds.notification",
                DATA_SYNC,
                self.notification(12, secret)?,
            ),
            Form::Dm => (
                "application/vnd.syncml.notification",
                MANAGEMENT,
                self.notification(11, secret)?,
            ),
        };
        let mut content = Content::new(media, body);
        content.application(application);
        Ok(content)
    }

    fn notification(&self, version: u16, secret: Secret<'_>) -> anyhow::Result<Vec<u8>> {
        let stores: Vec<Sync<'_>> = self
            .stores
            .iter()
            .map(|store| {
                let content_type = match &*store.media {
                    "" => 0,
                    media => media_number(media)
                        .with_context(|| {
                            format!("{media} has no number, and can only be left out")
                        })?
                        .into(),
                };
                anyhow::Ok(Sync {
                    alert: self.alert.unwrap_or(TWO_WAY),
                    content_type,
                    uri: &store.name,
                })
            })
            .collect::<Result<_, _>>()?;
        let builder = Builder {
            version,
            ui_mode: match self.ui_mode {
                None | Some(Ui::Unspecified) => UiMode::Unsaid,
                Some(Ui::Background) => UiMode::Background,
                Some(Ui::Informative) => UiMode::Informative,
                Some(Ui::Interactive) => UiMode::Interactive,
            },
            by_server: !matches!(self.initiator, Some(Initiator::User)),
            session_id: self.session,
            server: &self.server,
            body: match self.form {
                Form::Dm => Body::Vendor(&[]),
                Form::Ds12 | Form::Legacy => Body::Stores(&stores),
            },
        };
        Ok(builder.build(secret)?)
    }

    fn legacy(&self, secret: Option<Secret<'_>>) -> Vec<u8> {
        let stores = self.stores.iter();
        let stores: Vec<_> = stores.map(|store| (&*store.name, &*store.media)).collect();
        let alert = LegacyAlert {
            server: &self.server,
            session_id: self.session,
            alert: self.alert.unwrap_or(TWO_WAY),
            stores: &stores,
            secret,
        };
        alert.build(Encoding::Wbxml)
    }
}

fn store(text: &str) -> Result<Store, String> {
    let (name, media) = text.rsplit_once(':').unwrap_or((text, ""));
    if name.is_empty() || (text.contains(':') && !media.contains('/')) {
        return Err("write it as contacts or contacts:text/x-vcard".to_owned());
    }
    Ok(Store {
        name: name.to_owned(),
        media: media.to_owned(),
    })
}

/// The Alert code of a two-way sync.
const TWO_WAY: u16 = 206;
/// The application id `x-wap-application:push.syncml`.
const DATA_SYNC: &str = "5";
/// The application id `x-wap-application:syncml.dm`.
const MANAGEMENT: &str = "7";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        notify: NotifySync,
    }

    fn content(options: &str) -> anyhow::Result<Content> {
        let line = format!("x --server a --session 1 -o file {options}");
        let line = Line::try_parse_from(line.split(' ').filter(|word| !word.is_empty()))?;
        line.notify.content(None)
    }

    #[test]
    fn options_without_an_effect_are_refused_by_name() {
        for (options, name) in [
            ("--alert 206", "--alert"),
            ("--form dm --alert 206", "--alert"),
            ("--form dm --store contacts", "--store"),
            ("--form 1.1 --ui-mode background", "--ui-mode"),
            ("--form 1.1 --initiator server", "--initiator"),
            ("--form 1.1 --nonce a", "--nonce"),
            ("--bearer SMS", "--bearer"),
            ("--push-id 1", "--push-id"),
            ("--priority high", "--priority"),
            ("--delivery confirmed", "--delivery"),
            ("--within 5m", "--within"),
            ("--notify-to http://a/", "--notify-to"),
        ] {
            let error = content(options).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains(name)), "{options}");
        }
        for options in [
            "",
            "--alert 207 --store contacts --ui-mode interactive --initiator user --nonce a",
            "--form 1.1 --alert 208 --store contacts",
            "--form dm --ui-mode informative --nonce a",
        ] {
            assert!(content(options).is_ok(), "{options}");
        }
    }
}
