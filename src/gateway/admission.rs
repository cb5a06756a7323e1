//! Admission: the checks of a request before it goes upstream, and the upstream request built from
//! it.

use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::answer::{self, Problem, Refused};
use crate::gateway::coding::Codings;
use crate::gateway::exchange::ReplyPlan;
use crate::gateway::fetch::Request;
use crate::gateway::record::ExchangeRecord;
use crate::gateway::request::X_WAP_TOD;
use crate::gateway::settings::{Config, ContentLength, Cookies};
use crate::gateway::syncml::SyncMl;
use crate::gateway::{Gateway, content, cookies, reply, request};
use crate::route::{Message, NextMessage, Refusal, RequestView, Target};
use crate::syncml::content::Policy;
use crate::time::Instant;
use crate::trace_context::Caller;
use crate::wdp::{Peer, Service};
use crate::wsp::method::Invocation;
use crate::wsp::session::SessionKey;

/// A request as it arrived, whatever protocol carried it.
pub(super) struct Arrived {
    pub(super) peer: Peer,
    pub(super) session: Option<SessionKey>,
    /// Octets a reply may have.
    pub(super) max_reply: Option<usize>,
    pub(super) method: http::Method,
    pub(super) uri: Bytes,
    /// End-to-end fields.
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
    /// Whether there is a body, if only an empty one.
    pub(super) has_body: bool,
    /// The service that a client of OBEX connected to.
    pub(super) obex_target: Option<String>,
    /// Where the session's server wants the message, for a client of OBEX.
    pub(super) next_message: Option<NextMessage>,
    /// How a trusted proxy passed its trace on.
    pub(super) caller: Caller,
}

/// An admitted request.
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) plan: ReplyPlan,
}

impl Gateway {
    /// Admits an invocation and builds its upstream request. Fills `record` and `encoding` along
    /// the way, for refused requests too.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        invocation: &Invocation,
        encoding: &mut reply::ReplyEncoding,
        record: &mut ExchangeRecord,
    ) -> Result<Prepared, Refused> {
        let service = match invocation.session {
            Some(_) => Service::ConnectionMode,
            None => Service::Connectionless,
        };
        self.check_arrival(now, service, record)?;
        let config = Arc::clone(&self.config);
        let method = request::method(invocation)?;
        let mut headers = request::headers(invocation, &config.headers, &mut self.header_cache)?;
        encoding.names_length |= config.headers.content_length == ContentLength::Openwave
            && headers
                .get(http::header::USER_AGENT)
                .is_some_and(|agent| reply::needs_length(agent.as_bytes()));
        let body = request::body(invocation, &mut headers, || self.random.u64())?;
        let arrived = Arrived {
            peer: invocation.peer,
            session: invocation.session,
            max_reply: invocation.max_reply,
            method,
            uri: invocation.uri.clone(),
            headers,
            body,
            has_body: invocation.body.is_some(),
            obex_target: None,
            next_message: None,
            caller: Caller::default(),
        };
        self.forward(now, arrived, record)
    }

    /// Finds the route of a request, applies the route's rules, and builds the upstream request.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        arrived: Arrived,
        record: &mut ExchangeRecord,
    ) -> Result<Prepared, Refused> {
        let config = Arc::clone(&self.config);
        let Arrived {
            peer,
            session,
            max_reply: room,
            method,
            uri,
            mut headers,
            body,
            has_body,
            obex_target,
            next_message,
            caller,
        } = arrived;
        let source = peer.remote.ip();
        let asks_time = headers.remove(X_WAP_TOD).is_some();
        let may_forward = request::may_forward(&method, &mut headers);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let (Some(content_type), true) = (text(http::header::CONTENT_TYPE), has_body) {
            record.syncml = SyncMl::of(content_type, &body);
            if let Some(syncml) = &record.syncml {
                self.stats.syncml.count_request(syncml);
            }
        }
        let view = RequestView {
            uri: std::str::from_utf8(&uri).map_err(|_| Problem::BadRequest)?,
            method: &method,
            local_port: peer.local.port(),
            secured: record.secured,
            binding: record.binding,
            obex_target: obex_target.as_deref(),
            content_type: text(http::header::CONTENT_TYPE),
            user_agent: text(http::header::USER_AGENT),
            message: Message::Body(&body),
        };
        let asked = self.addresses.parse(view.uri).map_err(Refusal::from);
        let found = asked.and_then(|asked| config.routes.find(asked, &view));
        let target = found.map_err(|refusal| Refused {
            detail: Some(refusal.to_string()),
            allow: config.routes.allowed_methods(&view),
            ..answer::refused(refusal).into()
        })?;
        let target = match &next_message {
            Some(next) => target.at(next),
            None => target,
        };
        if !may_forward {
            let problem = match method {
                http::Method::OPTIONS => Problem::MaxForwards,
                _ => Problem::MethodNotAllowed,
            };
            return Err(Refused {
                allow: config.routes.allowed_methods(&view),
                ..problem.into()
            });
        }
        record.route = Some(Arc::clone(&target.route));
        record.target = target.uri.authority().cloned();
        record.upstream_uri = record.trace.sampled.then(|| target.uri.clone());
        let origin = target.uri.authority().map_or("", |host| host.as_str());
        self.exchanges
            .usage()
            .check_origin(origin, &config.limits)?;

        let mut plan = ReplyPlan {
            method: method.clone(),
            max_reply: target.limits.max_reply,
            asks_time,
            ..ReplyPlan::default()
        };
        if let (Cookies::Gateway, Some(session)) = (config.headers.cookies, session)
            && !cookies::has_own(&headers)
        {
            if let Some(cookie) = self.cookies.cookie(now, session.id, &target.uri) {
                headers.insert(http::header::COOKIE, cookie);
            }
            plan.cookies_for = Some(Box::new(target.uri.clone()));
        }
        target.headers.apply_to_request(
            &mut headers,
            source,
            record.identity.as_deref(),
            (&record.trace, &caller),
        );
        let Target {
            uri,
            route,
            limits,
            headers: policy,
            reverse_mapping,
            session: session_uri,
            content: content_policy,
            ..
        } = target;
        plan.headers = Some(policy);
        plan.session = session_uri;
        plan.reverse_mapping = reverse_mapping.filter(|_| !content::is_sealed(&headers));
        // A reply that the handset cannot take need not be read.
        let max_reply = room.map_or(limits.max_reply, |max| max.min(limits.max_reply));
        let reads = content_policy.policy != Policy::AsIs || plan.reverse_mapping.is_some();
        plan.codings = Codings::request(&mut headers, reads, max_reply);
        let mut request = Request {
            source: Some(source),
            trace: Some(record.trace.trace_id),
            session: session.map(|session| session.id),
            method,
            uri,
            route,
            headers,
            body,
            max_reply,
            first_byte_timeout: limits.first_byte_timeout,
            timeout: limits.timeout,
        };
        let stats = &mut self.stats.content;
        let session = session.map(|session| session.id);
        plan.content = self
            .translator
            .outgoing(&content_policy, session, &mut request, stats)?;
        // Translation may have made the body larger.
        self.exchanges
            .usage()
            .check_source(source, request.octets(), &config.limits)?;
        Ok(Prepared { request, plan })
    }

    /// Checks what the request itself need not be decoded for: the gateway's mode, and the limits of
    /// the subscriber and the source.
    pub(super) fn check_arrival(
        &mut self,
        now: Instant,
        service: Service,
        record: &ExchangeRecord,
    ) -> Result<(), Refused> {
        if let Some(problem) = self.mode.refuses_requests(service) {
            return Err(problem.into());
        }
        let config = Arc::clone(&self.config);
        self.check_subscriber(now, &config, record)?;
        let source = record.peer.remote.ip();
        let usage = self.exchanges.usage();
        usage.check_source(source, record.request_octets, &config.limits)
    }

    fn check_subscriber(
        &mut self,
        now: Instant,
        config: &Config,
        record: &ExchangeRecord,
    ) -> Result<(), Refused> {
        let identity = record.identity.as_deref();
        if let Some(subscriber) = identity.and_then(|identity| identity.name()) {
            let name = self.identities.digest(subscriber.reveal());
            self.policer
                .admit_subscriber(now, &config.protection, name)
                .map_err(|_| Problem::TooMany)?;
        }
        Ok(())
    }
}
