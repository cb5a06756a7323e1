//! The simulated origin: counts the occurrences of each request, and answers after a while.

use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::random::Random;
use crate::time::Instant;

/// An origin that answers every request with [`answer_to`] its body, or as a scenario specifies.
pub struct Origin {
    /// Shortest and longest time until the answer.
    pub think: (Duration, Duration),
    /// Octets of an answer, at most.
    pub max_answer: u64,
    /// Answers instead, if set.
    pub script: Option<Script>,
    /// Every request that came, in order.
    pub requests: Vec<Request>,
    seen: HashMap<String, u32>,
    pending: HashMap<(u32, RequestId), ()>,
    /// Requests whose reply was given to the gateway.
    pub answered: u64,
    /// Fields of a reply besides its type.
    pub headers: HeaderMap,
    /// Requests given up by the gateway.
    pub cancelled: u64,
}

/// Answers a request as a scenario wants it answered.
pub type Script = Box<dyn FnMut(&Request) -> Result<Reply, FetchError>>;

impl Default for Origin {
    fn default() -> Self {
        Self {
            think: (Duration::from_millis(5), Duration::from_millis(50)),
            max_answer: 12_000,
            script: None,
            requests: Vec::new(),
            seen: HashMap::new(),
            pending: HashMap::new(),
            answered: 0,
            headers: HeaderMap::new(),
            cancelled: 0,
        }
    }
}

impl Origin {
    /// The number of requests for a URI (query included).
    #[must_use]
    pub fn times_seen(&self, path_and_query: &str) -> u32 {
        self.seen.get(path_and_query).copied().unwrap_or(0)
    }

    /// The request that came last.
    #[must_use]
    pub fn last(&self) -> Option<&Request> {
        self.requests.last()
    }

    /// Requests not answered yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// A request of a shard comes in; its answer is ready at the moment returned.
    ///
    /// # Panics
    /// The gateway uses a request's name twice, which the core excludes.
    pub fn take(
        &mut self,
        now: Instant,
        id: (u32, RequestId),
        request: &Request,
        random: &mut Random,
    ) -> (Instant, Result<Reply, FetchError>) {
        let path = request
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        *self.seen.entry(path.to_owned()).or_insert(0) += 1;
        assert!(
            self.pending.insert(id, ()).is_none(),
            "request {} of shard {} was named twice",
            id.1,
            id.0
        );
        let (shortest, longest) = self.think;
        let spread = u64::try_from((longest - shortest).as_micros()).unwrap_or(0);
        let ready = now + shortest + Duration::from_micros(random.below(spread + 1));
        self.requests.push(request.clone());
        if let Some(script) = &mut self.script {
            return (ready, script(request));
        }
        let mut headers = self.headers.clone();
        let content_type = HeaderValue::from_static("application/vnd.syncml+wbxml");
        headers.insert(http::header::CONTENT_TYPE, content_type);
        let reply = Reply {
            status: StatusCode::OK,
            headers,
            body: answer_to(&request.body, self.max_answer),
            trailers: None,
        };
        (ready, Ok(reply))
    }

    /// The gateway was stopped: no request waits for a reply, and ids are used again.
    pub(super) fn forget_all(&mut self) {
        self.pending.clear();
    }

    /// The answer is ready. Returns whether the gateway still waits for it.
    pub fn finish(&mut self, id: (u32, RequestId)) -> bool {
        let wanted = self.pending.remove(&id).is_some();
        self.answered += u64::from(wanted);
        wanted
    }

    /// The gateway gave a request up.
    ///
    /// # Panics
    /// The request was not pending, which the core excludes.
    pub fn cancel(&mut self, id: (u32, RequestId)) {
        assert!(
            self.pending.remove(&id).is_some(),
            "request {} of shard {} was not there to cancel",
            id.1,
            id.0
        );
        self.cancelled += 1;
    }
}

/// The origin's reply: octets that depend on the body, so that a handset recognises the right
/// reply.
#[must_use]
pub fn answer_to(body: &[u8], max: u64) -> Bytes {
    let seed = body.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut random = Random::new(seed);
    let len = random.below(max.max(1));
    (0..len).map(|_| random.u32().to_le_bytes()[0]).collect()
}
