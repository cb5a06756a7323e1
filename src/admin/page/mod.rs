//! The page: static files, without a build step and without resources of other sites. Its script
//! reads `/metrics`, `/readyz`, `/history`, `/status`, `/config` and `/pushes`, and uses `/trace`.
//! The files themselves show nothing of the gateway, so they need no token.

mod manual;

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::routing::get;

pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| file(HTML, include_str!("page.html"))))
        .route("/page.css", get(|| file(CSS, include_str!("page.css"))))
        .route(
            "/page.js",
            get(|| file(JAVASCRIPT, include_str!("page.js"))),
        )
        .route(
            "/past.js",
            get(|| file(JAVASCRIPT, include_str!("past.js"))),
        )
        .route("/operations", get(manual::show))
        .route("/icon.svg", get(|| file(SVG, include_str!("icon.svg"))))
}

type File = ([(HeaderName, &'static str); 3], &'static str);

async fn file(kind: &'static str, text: &'static str) -> File {
    let fields = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (fields, text)
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Only resources of this origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
