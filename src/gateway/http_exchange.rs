//! Exchanges over HTTP and OBEX: begun by a request, ended by the shell.
//!
//! A request becomes the exchange that a WSP method becomes: routes, limits, header rules,
//! translation and records are the same. HTTP has no transaction identifiers, so a repeated POST
//! is a new POST.

use ::http::Method;
use ::http::uri::Authority;
use bytes::Bytes;

use crate::gateway::admission::{Arrived, Prepared};
use crate::gateway::answer::{Problem, Refused};
use crate::gateway::exchange::{Encoding, Exchange, ReplyPlan, Requester, State};
use crate::gateway::fetch::RequestId;
use crate::gateway::http::{HttpId, HttpRequest};
use crate::gateway::protection::Decision;
use crate::gateway::record::{Ending, ExchangeRecord, recorded_method};
use crate::gateway::{Gateway, http};
use crate::time::Instant;
use crate::trace_context::{Caller, TraceContext};
use crate::wdp::Service;
use crate::wsp::method::ReplyLimit;

impl Gateway {
    /// A handset sent a request over HTTP. One [`Event::HttpReply`](super::Event::HttpReply)
    /// follows, unless [`handle_http_end`](Self::handle_http_end) comes first.
    pub fn handle_http_request(&mut self, now: Instant, id: HttpId, mut request: HttpRequest) {
        self.stats.exchanges_begun += 1;
        // A handset could choose ids that are in use, and have all its traces kept.
        let caller = match request.by_proxy {
            true => Caller::take(&mut request.headers),
            false => Caller::default(),
        };
        let trace = self.new_trace(&caller);
        let mut record = self.http_record(now, &request, trace);
        let admitted = self.admit_http(now, request, caller, &mut record);
        let exchange = Exchange {
            requester: Requester::Http(id),
            state: State::Replying,
            encoding: Encoding::Http,
            max_reply: None,
            reply_limit: ReplyLimit::default(),
            max_problem: None,
            held: 0,
            reserved: 0,
            plan: ReplyPlan::default(),
            record,
        };
        self.start(now, exchange, admitted);
        self.run(now);
    }

    /// The request over HTTP for which an upstream request runs.
    #[must_use]
    pub fn http_id(&self, id: RequestId) -> Option<HttpId> {
        match self.exchanges.requester(id)? {
            Requester::Http(http) => Some(http),
            _ => None,
        }
    }

    /// The reply to a request over HTTP has been written, or its handset has gone. `tunnelled`:
    /// octets that went through the tunnel of a CONNECT, from the handset and to the handset.
    pub fn handle_http_end(
        &mut self,
        now: Instant,
        id: HttpId,
        ending: Ending,
        tunnelled: Option<(u64, u64)>,
    ) {
        if let Some((received, sent)) = tunnelled
            && let Some(record) = self.exchanges.record_mut(Requester::Http(id))
        {
            record.request_octets = usize::try_from(received).unwrap_or(usize::MAX);
            record.reply_octets = usize::try_from(sent).unwrap_or(usize::MAX);
        }
        self.end(now, Requester::Http(id), ending, Bytes::new(), None);
    }

    fn admit_http(
        &mut self,
        now: Instant,
        request: HttpRequest,
        caller: Caller,
        record: &mut ExchangeRecord,
    ) -> Result<Prepared, Refused> {
        let source = request.peer.remote.ip();
        let octets = record.request_octets;
        let admitted = self
            .policer
            .admit(now, &self.config.protection, source, octets, 1, || true);
        if admitted != Decision::Pass {
            return Err(Problem::TooMany.into());
        }
        self.check_arrival(now, Service::Connectionless, record)?;
        let has_port = |server: &Authority| server.port().is_some();
        if request.method == Method::CONNECT && !request.target.authority().is_some_and(has_port) {
            return Err(Refused {
                detail: Some("CONNECT must name a host and a port (RFC 9110 9.3.6)".to_owned()),
                ..Problem::BadRequest.into()
            });
        }
        let has_body = request.body.is_some();
        let headers = http::headers(request.headers, request.version, &self.config.headers)?;
        let arrived = Arrived {
            peer: request.peer,
            session: None,
            max_reply: None,
            method: request.method,
            uri: record.uri.clone(),
            headers,
            body: request.body.unwrap_or_default(),
            has_body,
            obex_target: request.obex_target,
            next_message: request.next_message,
            caller,
        };
        self.forward(now, arrived, record)
    }

    fn http_record(
        &self,
        now: Instant,
        request: &HttpRequest,
        trace: TraceContext,
    ) -> ExchangeRecord {
        let octets = request.body.as_ref().map_or(0, Bytes::len);
        ExchangeRecord {
            binding: request.binding,
            request_octets: octets,
            // The port may have the number of a UDP port for WTLS.
            secured: request.secured,
            ..self.record_of(
                now,
                request.peer,
                recorded_method(request.method.as_str()),
                http::absolute(request),
                trace,
            )
        }
    }
}
