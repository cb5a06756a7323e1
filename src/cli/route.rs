//! `wapbridge route`: shows which route a request takes, and why.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use http::Method;

use super::load;
use crate::config::ListenSettings;
use crate::route::{Binding, Message, RequestView};
use crate::syncml::Protocol;

/// Show which route a request takes, and why, without sending anything
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  a route takes the request; the last line shows its destination
  1  no route takes it: handsets get 403

Examples:
  wapbridge route http://sync.example.com/ds
  wapbridge route --port 9211 --method PUT --type text/x-vcard http://irmc.example.com/pb/1.vcf")]
pub(super) struct Route {
    /// The URI that the handset requests
    uri: String,
    /// The gateway's port [default: the first in [listen] of the kind that --secured, --http or --obex-target names]
    #[arg(long)]
    port: Option<u16>,
    /// The request comes in WTLS records
    #[arg(long)]
    secured: bool,
    /// The request comes over HTTP
    #[arg(long, conflicts_with_all = ["secured", "obex_target"])]
    http: bool,
    /// The request comes over OBEX, from a client of this service: SYNCML-SYNC, SYNCML-DM, IRMC-SYNC
    #[arg(long, value_name = "TARGET", conflicts_with = "secured")]
    obex_target: Option<String>,
    /// GET, POST and so on [default: POST if there is a --type, else GET]
    #[arg(long)]
    method: Option<Method>,
    /// The media type of the body
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// The handset's User-Agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// The version of the SyncML message in the body: SyncML/1.0, SyncML/1.1, SyncML/1.2, DM/1.2
    #[arg(long, value_name = "VERPROTO", value_parser = protocol)]
    syncml: Option<Protocol>,
    /// The configuration [default: wapbridge.toml in the working directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Route {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let (_, settings) = load(self.config.as_deref())?;
        let usual = match self.content_type {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        let request = RequestView {
            uri: &self.uri,
            method: self.method.as_ref().unwrap_or(&usual),
            local_port: self
                .port
                .unwrap_or_else(|| self.usual_port(&settings.listen)),
            secured: self.secured,
            binding: match (&self.obex_target, self.http) {
                (Some(_), _) => Binding::Obex,
                (None, true) => Binding::Http,
                (None, false) => Binding::Wsp,
            },
            obex_target: self.obex_target.as_deref(),
            content_type: self.content_type.as_deref(),
            user_agent: self.agent.as_deref(),
            message: Message::Speaks(self.syncml),
        };
        let tried = match settings.routes.explain(&request) {
            Ok(tried) => tried,
            Err(refusal) => bail!("refused: {refusal}"),
        };
        for (route, mismatch) in tried {
            let verdict = match mismatch {
                Some(mismatch) => format!("no, {mismatch}"),
                None => "yes".to_owned(),
            };
            println!("route {}: {verdict} ({})", route.name, route.condition);
        }
        match settings.routes.lookup(&request) {
            Ok(target) => println!("{} {}", request.method, target.uri),
            Err(refusal) => bail!("refused: {refusal}"),
        }
        Ok(())
    }
}

impl Route {
    /// The port of the first listener for the request; without one, the assigned port.
    fn usual_port(&self, listen: &ListenSettings) -> u16 {
        let (listeners, assigned) = match (&self.obex_target, self.http, self.secured) {
            (Some(_), ..) => (&listen.obex, 650),
            (None, true, _) => (&listen.http, 8080),
            (None, false, true) => (&listen.secure_connection_mode, 9203),
            (None, false, false) => (&listen.connection_mode, 9201),
        };
        listeners
            .first()
            .map_or(assigned, std::net::SocketAddr::port)
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    [
        text.to_owned(),
        format!("SyncML/{text}"),
        format!("{text}/1.2"),
    ]
    .iter()
    .find_map(|text| Protocol::of(text))
    .ok_or_else(|| "expected a VerProto such as SyncML/1.1 or DM/1.2".to_owned())
}
