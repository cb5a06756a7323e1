//! An SMS centre of a few lines: SMPP over TCP or TLS, with answers that a test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BytesMut};
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::Length;
use rusmpp::encode::owned::Encode;
use rusmpp::pdus::{BindTransceiverResp, DeliverSm, SubmitSm, SubmitSmResp};
use rusmpp::types::OctetString;
use rusmpp::values::EsmClass;
use rusmpp::{Command, CommandStatus, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the centre does with a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// It takes the message; a receipt with this state follows.
    Accept(Option<&'static str>),
    /// It refuses the message.
    Refuse(u32),
    /// It closes the connection without an answer.
    Close,
}

type Behaviour = Box<dyn Fn(usize, &SubmitSm) -> Reply + Send + Sync>;

/// A running centre.
#[derive(Clone)]
pub(crate) struct Smsc {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<SubmitSm>>>,
    binds: Arc<Mutex<Vec<(String, String)>>>,
}

impl Smsc {
    /// A centre that takes every message and delivers it.
    pub(crate) async fn start() -> Self {
        Self::with(None, 0, |_, _| Reply::Accept(Some("DELIVRD"))).await
    }

    /// A centre with behaviour: the number of the message from zero, and the message. `bind` is the
    /// status of its answers to binds.
    pub(crate) async fn with(
        tls: Option<TlsAcceptor>,
        bind: u32,
        behaviour: impl Fn(usize, &SubmitSm) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smsc = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            binds: Arc::default(),
        };
        let behaviour: Arc<Behaviour> = Arc::new(Box::new(behaviour));
        let it = smsc.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (it, behaviour, tls) = (it.clone(), Arc::clone(&behaviour), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => it.serve(tcp, bind, &behaviour).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                it.serve(stream, bind, &behaviour).await;
                            }
                        }
                    }
                });
            }
        });
        smsc
    }

    /// The messages so far, in their order.
    pub(crate) fn received(&self) -> Vec<SubmitSm> {
        self.received.lock().unwrap().clone()
    }

    /// The names and passwords of the binds so far.
    pub(crate) fn binds(&self) -> Vec<(String, String)> {
        self.binds.lock().unwrap().clone()
    }

    /// The datagrams of the messages so far, joined in the order of their parts.
    pub(crate) fn datagrams(&self) -> Vec<Vec<u8>> {
        use wapbridge::sms::UserDataHeader;
        let mut whole = Vec::new();
        let mut parts = std::collections::BTreeMap::new();
        for message in self.received() {
            let octets: &[u8] = message.short_message().as_ref();
            let (header, rest) = UserDataHeader::decode(octets).unwrap();
            let Some(part) = header.part else {
                whole.push(rest.to_vec());
                continue;
            };
            let key = format!("{:?}", part.reference);
            let known: &mut std::collections::BTreeMap<u8, Vec<u8>> = parts.entry(key).or_default();
            known.insert(part.number, rest.to_vec());
            if known.len() == usize::from(part.total) {
                whole.push(known.values().flatten().copied().collect());
            }
        }
        whole
    }

    async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        bind: u32,
        behaviour: &Behaviour,
    ) {
        let mut input = BytesMut::new();
        loop {
            while let Some(command) = next(&mut input) {
                let sequence = command.sequence_number();
                let ok = CommandStatus::EsmeRok;
                match command.pdu() {
                    Some(Pdu::BindTransceiver(pdu)) => {
                        let who = (pdu.system_id.to_string(), pdu.password.to_string());
                        self.binds.lock().unwrap().push(who);
                        let status = CommandStatus::from(bind);
                        say(
                            &mut stream,
                            status,
                            sequence,
                            BindTransceiverResp::default(),
                        )
                        .await;
                    }
                    Some(Pdu::SubmitSm(message)) => {
                        let number = {
                            let mut received = self.received.lock().unwrap();
                            received.push(message.clone());
                            received.len() - 1
                        };
                        match behaviour(number, message) {
                            Reply::Close => return,
                            Reply::Refuse(status) => {
                                let status = CommandStatus::from(status);
                                say(&mut stream, status, sequence, SubmitSmResp::default()).await;
                            }
                            Reply::Accept(state) => {
                                let name = format!("{number:08x}");
                                let response = SubmitSmResp::builder()
                                    .message_id(name.parse().unwrap())
                                    .build();
                                say(&mut stream, ok, sequence, response).await;
                                if let Some(state) = state {
                                    let receipt = receipt(&name, state);
                                    say(&mut stream, ok, 1000 + sequence, receipt).await;
                                }
                            }
                        }
                    }
                    Some(Pdu::EnquireLink) => {
                        say(&mut stream, ok, sequence, Pdu::EnquireLinkResp).await;
                    }
                    Some(Pdu::Unbind) => {
                        say(&mut stream, ok, sequence, Pdu::UnbindResp).await;
                        return;
                    }
                    _ => {}
                }
            }
            if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
    }
}

fn receipt(name: &str, state: &str) -> DeliverSm {
    let text = format!(
        "id:{name} sub:001 dlvrd:001 submit date:2611291420 done date:2611291421 stat:{state} err:000 text:"
    );
    DeliverSm::builder()
        .esm_class(EsmClass::from(0x04))
        .short_message(OctetString::from_slice(text.as_bytes()).unwrap())
        .build()
}

fn next(input: &mut BytesMut) -> Option<Command> {
    let len = u32::from_be_bytes(*input.first_chunk::<4>()?) as usize;
    if input.len() < len {
        return None;
    }
    let mut pdu = input.split_to(len);
    pdu.advance(4);
    Some(Command::decode(&mut pdu, len - 4).expect("a PDU").0)
}

async fn say(
    stream: &mut (impl AsyncWrite + Unpin),
    status: CommandStatus,
    sequence: u32,
    pdu: impl Into<Pdu>,
) {
    let command = Command::new(status, sequence, pdu);
    let mut out = BytesMut::new();
    out.extend_from_slice(&u32::try_from(4 + command.length()).unwrap().to_be_bytes());
    command.encode(&mut out);
    // The other side may have gone.
    let _ = stream.write_all(&out).await;
}
