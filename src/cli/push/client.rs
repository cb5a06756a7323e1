//! A push initiator: one document of PAP to the gateway, and its answer.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Uri;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::Request;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::content::Content;
use crate::push::pap::{self, MEDIA_TYPE, Operation, Response, Versions};
use crate::server;
use crate::upstream::{Tls, TlsSettings};

/// The gateway, and the credentials of the initiator.
#[derive(Debug, Args)]
pub(super) struct PpgArgs {
    /// The gateway's address for push initiators
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8282/pap",
        env = "WAPBRIDGE_PPG"
    )]
    ppg: Uri,
    /// The initiator's name; its password is that of --ppg-password-file
    #[arg(long, value_name = "NAME", env = "WAPBRIDGE_PPG_USER")]
    ppg_user: Option<String>,
    /// A file with the initiator's password
    #[arg(long, value_name = "FILE", env = "WAPBRIDGE_PPG_PASSWORD_FILE")]
    ppg_password_file: Option<PathBuf>,
    /// A file with the initiator's token
    #[arg(
        long,
        value_name = "FILE",
        env = "WAPBRIDGE_PPG_TOKEN_FILE",
        conflicts_with = "ppg_user"
    )]
    ppg_token_file: Option<PathBuf>,
    /// PEM files with authorities trusted for https:// besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
}

impl PpgArgs {
    /// The gateway's name, as addresses have it.
    pub(super) fn host(&self) -> String {
        let host = self.ppg.host().unwrap_or("localhost");
        host.trim_matches(['[', ']']).replace(':', "-")
    }

    /// Sends an operation, with its content if it is a push.
    pub(super) fn ask(
        &self,
        operation: &Operation,
        content: Option<&Content>,
    ) -> anyhow::Result<Response> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(PATIENCE, self.exchange(operation, content));
            asked
                .await
                .with_context(|| format!("{}: no answer in {PATIENCE:?}", self.ppg))?
        })
    }

    async fn exchange(
        &self,
        operation: &Operation,
        content: Option<&Content>,
    ) -> anyhow::Result<Response> {
        let document = pap::write_operation(&Versions::only(VERSION), operation);
        let (media, body) = match content {
            None => (MEDIA_TYPE.to_owned(), document.into_bytes()),
            Some(content) => multipart(&document, content)?,
        };
        let mut request = Request::post(&self.ppg).header(CONTENT_TYPE, media);
        if let Some(credentials) = self.credentials()? {
            request = request.header(AUTHORIZATION, credentials);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let settings = TlsSettings {
            ca_files: self.ca_file.clone(),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(Tls::load(&settings)?.client_config())
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let answer = client
            .request(request)
            .await
            .with_context(|| format!("{}: no answer", self.ppg))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("{}: {error}", self.ppg))?
            .to_bytes();
        match pap::read_response(&body) {
            Ok((_, response)) => Ok(response),
            Err(_) => bail!(
                "{}: the answer, HTTP {status}, is no document of PAP",
                self.ppg
            ),
        }
    }

    /// The value of Authorization. Credentials never go out unencrypted, but to this host.
    fn credentials(&self) -> anyhow::Result<Option<String>> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            anyhow::Ok(text.trim().to_owned())
        };
        let credentials = match (&self.ppg_user, &self.ppg_token_file) {
            (None, None) => return Ok(None),
            (_, Some(file)) => format!("Bearer {}", read(file)?),
            (Some(user), None) => {
                let password = match &self.ppg_password_file {
                    Some(file) => read(file)?,
                    None => bail!("--ppg-user needs --ppg-password-file"),
                };
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
        };
        let host = self.ppg.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if self.ppg.scheme_str() != Some("https") && !is_here {
            bail!(
                "{}: credentials go to other hosts over https:// only",
                self.ppg
            );
        }
        Ok(Some(credentials))
    }
}

/// The entity of a push: the document and the content (WAP-247 8.1).
fn multipart(document: &str, content: &Content) -> anyhow::Result<(String, Vec<u8>)> {
    // Random, so that it is in no content.
    let boundary = format!("wapbridge-{:016x}", server::clock::seed()?);
    let mut body = format!(
        "--{boundary}\r\nContent-Type: {MEDIA_TYPE}\r\n\r\n{document}\r\n--{boundary}\r\n\
         Content-Type: {}\r\n",
        content.media
    );
    for (name, value) in &content.headers {
        body.push_str(&format!("{name}: {value}\r\n"));
    }
    body.push_str("\r\n");
    let mut body = body.into_bytes();
    body.extend_from_slice(&content.body);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let media = format!("multipart/related; boundary={boundary}; type=\"{MEDIA_TYPE}\"");
    Ok((media, body))
}

/// The version of our documents: 2.0 has nothing that we say, and every gateway knows 1.0.
const VERSION: pap::Version = pap::Version::V1_0;
/// Time for everything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Octets of the answer.
const MAX_ANSWER: usize = 4 << 20;
