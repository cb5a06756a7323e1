//! The HTTP client of the exporter, which remembers what the exporter's library does not tell: why a
//! request failed, and how many spans the collector refused.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::ClientConfig;

/// The outcome of the last request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Why it failed.
    pub(super) error: Option<String>,
    /// Spans that the collector refused.
    pub(super) refused: u64,
}

/// A client for the collector, with verified TLS for `https`.
#[derive(Debug)]
pub(super) struct Client {
    inner: HyperClient<HttpsConnector<HttpConnector>>,
    /// Of the exporter's thread alone; the library wants a client that can be shared.
    outcome: Arc<Mutex<Outcome>>,
}

impl Client {
    /// A client, and the place of its outcomes.
    pub(super) fn new(tls: ClientConfig, timeout: Duration) -> (Self, Arc<Mutex<Outcome>>) {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let outcome = Arc::<Mutex<Outcome>>::default();
        let client = Self {
            inner: HyperClient::new(connector, timeout, None),
            outcome: Arc::clone(&outcome),
        };
        (client, outcome)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.inner.send_bytes(request).await;
        let outcome = match &sent {
            Ok(response) => Outcome::of(response),
            Err(error) => Outcome {
                error: Some(causes(&**error)),
                refused: 0,
            },
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
        sent
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}

impl Outcome {
    /// A collector may take a part of the spans only (OTLP, "Partial Success").
    fn of(response: &Response<Bytes>) -> Self {
        let status = response.status();
        if !status.is_success() {
            return Self {
                error: Some(format!("the collector answered {status}")),
                refused: 0,
            };
        }
        let part = ExportTraceServiceResponse::decode(response.body().clone());
        let part = part.ok().and_then(|response| response.partial_success);
        let part = part.unwrap_or_default();
        let refused = u64::try_from(part.rejected_spans).unwrap_or(0);
        Self {
            error: (refused > 0).then(|| {
                let why = crate::printable::line(&part.error_message).into_owned();
                format!("the collector refused {refused} spans: {why}")
            }),
            refused,
        }
    }
}

/// An error with its causes.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            // Writing to a String cannot fail.
            let _ = fmt::Write::write_fmt(&mut text, format_args!(": {cause_text}"));
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn a_partial_success_tells_how_many_spans_were_refused() {
        let response = |status: u16, part| {
            let body = ExportTraceServiceResponse {
                partial_success: part,
            };
            let mut response = Response::new(Bytes::from(body.encode_to_vec()));
            *response.status_mut() = status.try_into().unwrap();
            Outcome::of(&response)
        };
        assert_eq!(response(200, None), Outcome::default());
        let refused = response(
            200,
            Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too\nold".to_owned(),
            }),
        );
        assert_eq!(refused.refused, 3);
        assert!(!refused.error.unwrap().contains('\n'));
        let failed = response(503, None).error;
        assert_eq!(
            failed.as_deref(),
            Some("the collector answered 503 Service Unavailable")
        );
    }
}
