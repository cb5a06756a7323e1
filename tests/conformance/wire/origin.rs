//! An HTTPS origin that answers each scenario as its transcript says and remembers the requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use crate::script::Answer;
use crate::support::certificate::{self, Certificate};

/// A request as the origin saw it. Field names are in lower case.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What scenarios have set and seen, by the scenario's name.
#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    heard: HashMap<String, Vec<ReceivedRequest>>,
}

/// A running origin.
pub(crate) struct Origin {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Origin {
    /// Starts an origin on loopback, on a thread of its own.
    pub(crate) fn start() -> Self {
        let acceptor = certificate::acceptor(Certificate::Good, &[b"h2", b"http/1.1"]);
        let state = Arc::new(Mutex::new(State::default()));
        let (tell, port) = mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap().port()).unwrap();
                while let Ok((tcp, _)) = listener.accept().await {
                    let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                    tokio::spawn(async move {
                        let Ok(tls) = acceptor.accept(tcp).await else {
                            return;
                        };
                        let service = service_fn(|request| {
                            let state = Arc::clone(&state);
                            async move { Ok::<_, Infallible>(answer(request, state).await) }
                        });
                        // A gateway that hangs up is part of some scenarios.
                        let _ = auto::Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(tls), service)
                            .await;
                    });
                }
            });
        });
        Self {
            port: port.recv().unwrap(),
            state,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the answer to requests of a scenario.
    pub(crate) fn answers(&self, scenario: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(scenario.to_owned(), answer);
    }

    /// The requests of a scenario, oldest first.
    pub(crate) fn heard(&self, scenario: &str) -> Vec<ReceivedRequest> {
        let state = self.state.lock().unwrap();
        state.heard.get(scenario).cloned().unwrap_or_default()
    }
}

/// The first part of a path is the scenario's name.
async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/');
    let scenario = path.split('/').next().unwrap_or_default().to_owned();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let heard = ReceivedRequest {
        method: head.method.to_string(),
        target: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        fields: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: body.unwrap_or_default(),
    };
    let answer = {
        let mut state = state.lock().unwrap();
        state.heard.entry(scenario.clone()).or_default().push(heard);
        state.answers.get(&scenario).cloned().unwrap_or_default()
    };
    let slow = head.uri.path().ends_with("/slow");
    tokio::time::sleep(if slow { answer.slow } else { answer.after }).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.fields {
        response = response.header(name, value);
    }
    // Over HTTP/2 hyper would send the body of a reply to HEAD.
    let body = if head.method == http::Method::HEAD {
        response = response.header("content-length", answer.body.len());
        Vec::new()
    } else {
        answer.body
    };
    response.body(Full::new(Bytes::from(body))).unwrap()
}
