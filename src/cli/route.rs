//! `wapbridge route`: tells which route a request takes, and why.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use http::Method;

use super::load;
use crate::route::{Message, RequestView};
use crate::syncml::Protocol;

/// Tell which route a request takes, and why, without sending anything
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  a route takes the request; the last line tells where it goes
  1  none does: handsets get 403

Examples:
  wapbridge route http://sync.example.com/ds
  wapbridge route --port 9211 --method PUT --type text/x-vcard http://irmc.example.com/pb/1.vcf")]
pub(super) struct Route {
    /// What the handset asks for
    uri: String,
    /// Our port that it sends to
    #[arg(long, default_value_t = 9201)]
    port: u16,
    /// GET, POST and so on [default: POST if there is a --type, else GET]
    #[arg(long)]
    method: Option<Method>,
    /// The media type of what it sends
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// How it names itself
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// What its SyncML message speaks: SyncML/1.0, SyncML/1.1, SyncML/1.2, DM/1.2
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
            local_port: self.port,
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
