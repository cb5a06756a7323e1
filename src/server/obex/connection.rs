//! Connections of OBEX clients: packets are read, the session decides, a shard serves requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::refusal::ObexRefusal;
use super::request;
use crate::obex::packet::{Code, packet_len};
use crate::obex::session::{Action, Answer, Request, Session};
use crate::route::NextMessage;
use crate::server::tcp::arrivals::Reserved;
use crate::server::tcp::connections::BusyMarker;
use crate::server::tcp::exchange::{Begun, Exchange};
use crate::server::tcp::{Connection, Protocol, Service, detect_absence};
use crate::syncml::header::peek;
use crate::wdp::Peer;

/// Serves connections. Clones share limits and counters.
#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<Service<ObexRefusal>>);

impl Protocol for Listener {
    type Refusal = ObexRefusal;

    fn service(&self) -> &Arc<Service<ObexRefusal>> {
        &self.0
    }

    async fn serve(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: Connection,
        stop: CancellationToken,
    ) {
        let Ok(local) = tcp.local_addr() else { return };
        detect_absence(&tcp, self.0.idle_timeout);
        // A number of 31 bits other than 0.
        let id = self.0.next_id() & 0x7FFF_FFFF;
        let id = u32::try_from(id.max(1)).unwrap_or(1);
        let mut client = Client {
            service: &self.0,
            tcp,
            peer: Peer::new(remote, local),
            session: Session::new(self.0.max_body, id),
            begun: None,
            next_message: None,
            sending: None,
            reserved: None,
            marker: place.marker(),
        };
        // An error concerns this client only.
        let _ = client.run(&place, &stop).await;
        client.forget();
    }
}

/// One client.
struct Client<'a> {
    service: &'a Service<ObexRefusal>,
    tcp: TcpStream,
    peer: Peer,
    session: Session,
    /// The message that was put, until its answer is got.
    begun: Option<Begun>,
    /// Where the next message of the SyncML session goes, if its server named a place.
    next_message: Option<NextMessage>,
    /// The exchange whose answer the client is getting, part by part.
    sending: Option<Exchange>,
    /// Memory for the object that is being put.
    reserved: Option<Reserved>,
    marker: BusyMarker,
}

impl Client<'_> {
    async fn run(&mut self, place: &Connection, stop: &CancellationToken) -> io::Result<()> {
        let mut packet = Vec::new();
        loop {
            tokio::select! {
                read = self.read(&mut packet) => read?,
                () = place.evicted() => return Ok(()),
                () = stop.cancelled() => return Ok(()),
            }
            let _busy = self.marker.busy();
            let is_get = packet.first().is_some_and(|first| first & 0x7F == 3);
            let action = self.session.handle_packet(&packet);
            let action = self.charge(action);
            match action {
                Action::Respond => {}
                Action::Close => {
                    // The last message of a session may need no answer, and has to arrive.
                    if let Some(begun) = self.begun.take() {
                        end(begun).await;
                    }
                    return self.tcp.write_all(self.session.response()).await;
                }
                Action::Begin(request) => {
                    if let Some(earlier) = self.begun.take() {
                        end(earlier).await;
                    }
                    self.begun = self.begin(request).await;
                    if self.begun.is_none() {
                        self.session.refuse(Code::UNAVAILABLE);
                    }
                }
                Action::Perform(request) => {
                    let begun = self.begin(request).await;
                    // Dropped with its exchange, the request is cancelled at the origin.
                    if self.answer(begun, is_get).await.is_err() {
                        continue;
                    }
                }
                Action::Await => {
                    let begun = self.begun.take();
                    if let Err(begun) = self.answer(begun, is_get).await {
                        // An ABORT cancels; the end of the connection does not.
                        self.begun = Some(begun);
                        continue;
                    }
                }
                Action::Cancel => self.begun = None,
                Action::Forget => self.forget(),
            }
            self.reserved = self.reserved.take().filter(|_| self.session.held() > 0);
            let written = self.tcp.write_all(self.session.response());
            timeout(LONGEST_REPLY, written)
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??;
            if !self.session.is_sending()
                && let Some(mut sent) = self.sending.take()
            {
                sent.written();
            }
        }
    }

    /// Reads one packet.
    async fn read(&mut self, packet: &mut Vec<u8>) -> io::Result<()> {
        packet.resize(3, 0);
        let tcp = &mut self.tcp;
        let read = async {
            tcp.read_exact(packet).await?;
            let len = packet_len(packet).filter(|len| *len >= 3);
            let Some(len) = len else {
                self.service.counters.refuse(ObexRefusal::Malformed);
                return Err(io::ErrorKind::InvalidData.into());
            };
            packet.resize(len, 0);
            tcp.read_exact(packet.get_mut(3..).unwrap_or_default())
                .await?;
            Ok(())
        };
        timeout(self.service.idle_timeout, read)
            .await
            .unwrap_or_else(|_| {
                self.service.counters.refuse(ObexRefusal::Slow);
                Err(io::ErrorKind::TimedOut.into())
            })
    }

    /// Charges the object that is being put, or refuses it.
    fn charge(&mut self, action: Action) -> Action {
        let held = match &action {
            Action::Begin(request) | Action::Perform(request) => {
                request.body.as_ref().map_or(0, Bytes::len)
            }
            _ => self.session.held(),
        };
        if held == 0 {
            return action;
        }
        let address = self.peer.remote.ip();
        let granted = match &mut self.reserved {
            Some(reserved) => reserved.grow(held.saturating_sub(reserved.octets())),
            none => {
                *none = self.service.arrivals.reserve(address, held);
                none.is_some()
            }
        };
        if granted {
            return action;
        }
        self.service.counters.refuse(ObexRefusal::NoMemory);
        self.reserved = None;
        self.session.abandon(Code::UNAVAILABLE)
    }

    async fn begin(&mut self, request: Request) -> Option<Begun> {
        let mut request = request::request(self.peer, request)?;
        if request.method == Method::POST {
            // OBEX has no URIs, so the gateway follows RespURI for the client. The first message
            // of a session goes where the route leads.
            let header = request.body.as_deref().and_then(peek);
            let is_first = header.is_some_and(|header| header.msg_id.trim() == "1");
            self.next_message = self.next_message.take().filter(|_| !is_first);
            request.next_message.clone_from(&self.next_message);
        }
        self.service.begin(request, self.marker.busy()).await
    }

    /// Waits for an answer and gives it to the session.
    ///
    /// # Errors
    /// The request, if the client sent a packet meanwhile, or closed the connection.
    async fn answer(&mut self, begun: Option<Begun>, is_get: bool) -> Result<(), Begun> {
        let unavailable = Answer {
            status: 503,
            media_type: None,
            body: Bytes::new(),
        };
        let answer = match begun {
            None => unavailable,
            Some(mut begun) => {
                tokio::select! {
                    answer = &mut begun.answered => {
                        self.sending = Some(begun.exchange);
                        answer.map_or(unavailable, |answer| {
                            // Servers name a place once, and it holds until another comes.
                            let named = answer.response.extensions().get().cloned();
                            self.next_message = named.or_else(|| self.next_message.take());
                            request::answer(*answer.response)
                        })
                    }
                    () = self.speaks() => return Err(begun),
                }
            }
        };
        self.session.handle_answer(answer, is_get);
        Ok(())
    }

    /// Lets a message that was accepted arrive, although its answer is not wanted any more.
    fn forget(&mut self) {
        if let Some(begun) = self.begun.take() {
            // The deadline of the exchange bounds the task.
            tokio::spawn(end(begun));
        }
    }

    /// Completes when the client sends something, or has gone.
    async fn speaks(&self) {
        let mut octet = [0];
        let _ = self.tcp.peek(&mut octet).await;
    }
}

/// Waits for an answer that is not read.
async fn end(mut begun: Begun) {
    let _ = (&mut begun.answered).await;
    begun.exchange.written();
}

/// Time for one packet to be written.
const LONGEST_REPLY: Duration = Duration::from_secs(15 * 60);
