//! A client of a running gateway's admin interface.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::http::{Method, Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The admin interface of a gateway, and its token.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// The gateway's admin interface
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9280",
        env = "WAPBRIDGE_ADMIN"
    )]
    admin: Uri,
    /// A file with the token of [admin]
    #[arg(long, value_name = "FILE", env = "WAPBRIDGE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

/// A connection to it.
pub(super) struct AdminClient {
    base: Uri,
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl AdminArgs {
    pub(super) fn client(&self) -> anyhow::Result<AdminClient> {
        if self.admin.scheme_str() != Some("http") || self.admin.authority().is_none() {
            bail!("--admin {}: write it as http://HOST:PORT", self.admin);
        }
        let read = |path: &PathBuf| {
            let token =
                std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            anyhow::Ok(token.trim().to_owned())
        };
        Ok(AdminClient {
            base: self.admin.clone(),
            token: self.token_file.as_ref().map(read).transpose()?,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }
}

impl AdminClient {
    /// Its address, as it was given.
    pub(super) const fn name(&self) -> &Uri {
        &self.base
    }

    /// Sends a request. Returns its answer.
    ///
    /// # Errors
    ///
    /// No answer, or a status other than success.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(path.parse()?);
        let uri = Uri::from_parts(parts)?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        let answer = self.client.request(request).await.with_context(|| {
            format!(
                "{}: no answer; is the gateway running, and is this its address in [admin]?",
                self.base
            )
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let words = answer.into_body().collect().await?.to_bytes();
        let words = String::from_utf8_lossy(&words);
        let hint = match (status.as_u16(), &self.token) {
            (401, None) => " (name it with --token-file)",
            _ => "",
        };
        bail!("{status}: {}{hint}", words.trim());
    }

    /// Sends a request. Returns the whole body of its answer.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), or the body breaks off.
    pub(super) async fn request_all(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> anyhow::Result<Bytes> {
        let answer = self.request(method, path, body).await?;
        Ok(answer.into_body().collect().await?.to_bytes())
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| path.display().to_string())?;
    file.write_all(octets)
        .with_context(|| path.display().to_string())
}
