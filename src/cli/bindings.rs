//! One request over HTTP or OBEX, as `wapbridge post` and `get` make them.

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Request as HttpRequest, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::gateway_address::resolve;
use crate::handset::{Reply, Request};
use crate::obex::packet::{
    self, BODY, CONNECTION_ID, END_OF_BODY, Header, LENGTH, NAME, Opcode, TARGET, TYPE, VERSION,
};

/// Ways to the gateway other than WSP.
#[derive(Debug, Args)]
pub(super) struct BindingArgs {
    /// Ask over HTTP, with the gateway as proxy. Without a port: 8080.
    #[arg(long, value_name = "HOST[:PORT]",
        conflicts_with_all = ["obex", "client_sdu", "bare", "retry", "verbose"])]
    #[cfg_attr(feature = "wtls", arg(conflicts_with = "secure"))]
    http_proxy: Option<String>,
    /// Ask over OBEX. Without a port: 650. The path of the URI is the name of the object; a SyncML
    /// message has no name.
    #[arg(long, value_name = "HOST[:PORT]",
        conflicts_with_all = ["client_sdu", "bare", "retry", "verbose", "headers", "request"])]
    #[cfg_attr(feature = "wtls", arg(conflicts_with = "secure"))]
    obex: Option<String>,
    /// The service that the OBEX session is with: SYNCML-SYNC, SYNCML-DM, IRMC-SYNC.
    #[arg(
        long,
        value_name = "TARGET",
        default_value = "SYNCML-SYNC",
        requires = "obex"
    )]
    obex_target: String,
}

impl BindingArgs {
    /// Asks over the binding that was chosen; `None` if none was, so that WSP is meant.
    pub(super) async fn ask(&self, request: &Request<'_>) -> anyhow::Result<Option<Reply>> {
        if let Some(proxy) = &self.http_proxy {
            let reply = over_http(proxy, request).await;
            return reply
                .map(Some)
                .with_context(|| format!("asking {proxy} for {}", request.uri));
        }
        if let Some(server) = &self.obex {
            let reply = over_obex(server, &self.obex_target, request).await;
            return reply
                .map(Some)
                .with_context(|| format!("asking {server} over OBEX"));
        }
        Ok(None)
    }

    /// Whether another binding than WSP was chosen.
    pub(super) const fn is_chosen(&self) -> bool {
        self.http_proxy.is_some() || self.obex.is_some()
    }
}

async fn over_http(proxy: &str, request: &Request<'_>) -> anyhow::Result<Reply> {
    let address = resolve(proxy, 8080)?;
    let tcp = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    let uri: Uri = request.uri.parse().context("the URI")?;
    let host = uri.authority().context("the URI has no host")?.to_string();
    let method = request.method.to_string();
    let mut asked = HttpRequest::builder()
        .method(method.as_str())
        .uri(uri)
        .header(HOST, host)
        .body(Full::new(Bytes::copy_from_slice(request.body)))?;
    for (name, value) in request.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        asked
            .headers_mut()
            .append(name, HeaderValue::from_str(value)?);
    }
    let answered = async {
        let response = sender.send_request(asked).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        anyhow::Ok((head, body.to_bytes()))
    };
    let (head, body) = tokio::select! {
        answered = answered => answered?,
        ended = connection => {
            ended?;
            bail!("the gateway closed the connection without an answer");
        }
    };
    let media_type = head.headers.get(CONTENT_TYPE);
    let media_type = media_type.map_or("", |value| value.to_str().unwrap_or_default());
    Ok(Reply {
        status: head.status.as_u16(),
        content_type: media_type.to_owned(),
        headers: head
            .headers
            .iter()
            .filter(|(name, _)| *name != CONTENT_TYPE)
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        trailers: Vec::new(),
        body,
    })
}

async fn over_obex(server: &str, target: &str, request: &Request<'_>) -> anyhow::Result<Reply> {
    let address = resolve(server, 650)?;
    let mut client = ObexClient {
        tcp: TcpStream::connect(address).await?,
        id: None,
        max_packet: packet::LEAST_PACKET,
    };
    client.connect(target).await?;
    let media_type = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map_or("", |(_, media_type)| media_type.as_str());
    let is_message = media_type.starts_with("application/vnd.syncml");
    let media_type = [media_type.as_bytes(), b"\0"].concat();
    let uri: Uri = request.uri.parse().context("the URI")?;
    let name = uri.path().trim_start_matches('/');
    let mut head = Vec::new();
    if media_type.len() > 1 {
        head.push(Header::Octets(TYPE, &media_type));
    }
    if !is_message {
        head.push(Header::Text(NAME, name.into()));
    }
    let mut reply = match request.body.is_empty() && !is_message {
        true => client.get(&head).await?,
        false => client.put(&head, request.body).await?,
    };
    if is_message && reply.status < 300 {
        reply = client.get(&head).await?;
    }
    let _ = client.ask(Opcode::DISCONNECT, true, &[], &[]).await;
    Ok(reply)
}

/// A client's side of one OBEX session.
struct ObexClient {
    tcp: TcpStream,
    id: Option<u32>,
    /// Octets of a packet that the server takes.
    max_packet: u16,
}

impl ObexClient {
    async fn connect(&mut self, target: &str) -> anyhow::Result<()> {
        let fixed = [VERSION, 0, 0xFF, 0xFF];
        let header = [Header::Octets(TARGET, target.as_bytes())];
        let response = self.ask(Opcode::CONNECT, true, &fixed, &header).await?;
        let Some((&[code, _, _, _, _, high, low], rest)) = response.split_first_chunk() else {
            bail!("the answer to CONNECT is too short");
        };
        if code != packet::Code::SUCCESS.0 {
            bail!("the session was refused: {}", packet::Code(code));
        }
        self.max_packet = u16::from_be_bytes([high, low]).max(packet::LEAST_PACKET);
        self.id = packet::headers(rest)?
            .iter()
            .find_map(|header| match header {
                Header::Number(CONNECTION_ID, id) => Some(*id),
                _ => None,
            });
        Ok(())
    }

    async fn put(&mut self, head: &[Header<'_>], body: &[u8]) -> anyhow::Result<Reply> {
        // Room for the other headers of the first packet.
        let room = usize::from(self.max_packet) / 2;
        let mut parts = body.chunks(room).peekable();
        let length = Header::Number(LENGTH, u32::try_from(body.len())?);
        let mut headers: Vec<_> = head.iter().cloned().chain([length]).collect();
        loop {
            let part = parts.next().unwrap_or_default();
            let is_last = parts.peek().is_none();
            let id = if is_last { END_OF_BODY } else { BODY };
            headers.push(Header::Octets(id, part));
            let response = self.ask(Opcode::PUT, is_last, &[], &headers).await?;
            let code = response.first().copied().unwrap_or_default();
            if is_last || code != packet::Code::CONTINUE.0 {
                return Ok(reply(code, String::new(), Vec::new()));
            }
            headers.clear();
        }
    }

    async fn get(&mut self, head: &[Header<'_>]) -> anyhow::Result<Reply> {
        let (mut body, mut media_type) = (Vec::new(), String::new());
        let mut response = self.ask(Opcode::GET, true, &[], head).await?;
        loop {
            let code = response.first().copied().unwrap_or_default();
            for header in packet::headers(response.get(3..).unwrap_or_default())? {
                match header {
                    Header::Octets(BODY | END_OF_BODY, part) => body.extend_from_slice(part),
                    Header::Octets(TYPE, text) => {
                        let text = String::from_utf8_lossy(text);
                        media_type = text.trim_end_matches('\0').to_owned();
                    }
                    _ => {}
                }
            }
            if code != packet::Code::CONTINUE.0 {
                return Ok(reply(code, media_type, body));
            }
            response = self.ask(Opcode::GET, true, &[], &[]).await?;
        }
    }

    /// Sends one packet and reads its response.
    async fn ask(
        &mut self,
        opcode: Opcode,
        is_final: bool,
        fixed: &[u8],
        headers: &[Header<'_>],
    ) -> anyhow::Result<Vec<u8>> {
        let first = opcode.0 | if is_final { 0x80 } else { 0 };
        let id = self.id.map(|id| Header::Number(CONNECTION_ID, id));
        let headers: Vec<_> = id.into_iter().chain(headers.iter().cloned()).collect();
        let mut octets = Vec::new();
        packet::put_packet(&mut octets, first, fixed, &headers);
        self.tcp.write_all(&octets).await?;
        let mut response = vec![0; 3];
        self.tcp.read_exact(&mut response).await?;
        let len = packet::packet_len(&response).filter(|len| *len >= 3);
        response.resize(len.context("a packet with a wrong length")?, 0);
        let rest = response.get_mut(3..).unwrap_or_default();
        self.tcp.read_exact(rest).await?;
        Ok(response)
    }
}

/// A response code as the HTTP status that it stands for.
fn reply(code: u8, content_type: String, body: Vec<u8>) -> Reply {
    let class = u16::from(code >> 4 & 7);
    let status = match class {
        2..=5 => class * 100 + u16::from(code & 0x0F),
        _ => 502,
    };
    // Success is 0xA0, and Created 0xA1: OBEX counts from 20x as HTTP does.
    Reply {
        status,
        content_type,
        headers: Vec::new(),
        trailers: Vec::new(),
        body: body.into(),
    }
}
