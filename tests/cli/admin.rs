//! The admin port of a running gateway.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::origin::Origin;
use crate::process::{Gateway, configuration, spawn};

/// One request by hand: the status and the body.
pub(crate) async fn ask(address: SocketAddr, request: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The same, for an answer in JSON.
async fn json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(address, &format!("GET {path}"), "").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A configuration with a token.
fn with_token(origin: &Origin, more: &str) -> String {
    let token = format!("[admin]\ntoken = \"{TOKEN}\"\n");
    configuration(&origin.uri(), more).replace("[admin]\n", &token)
}

const TOKEN: &str = "a-token-of-this-test";

#[tokio::test]
async fn sessions_are_listed_a_page_at_a_time() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    assert_eq!(
        json(gateway.admin, "/sessions").await,
        serde_json::json!({"sessions": [], "next": null})
    );
    let option = gateway.option();
    let held = ["get", &option, "http://sync.example.com/hold"];
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(spawn(Path::new("."), &held, b""));
    }
    origin.wait(|state| state.heard.len() == 3).await;

    let all = json(gateway.admin, "/sessions?address=127.0.0.1&state=connected").await;
    let sessions = all["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3, "{all}");
    let first = &sessions[0];
    assert_eq!(first["methods"], 1);
    assert_eq!(first["local"], gateway.air.to_string());
    assert!(first["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(first["idle_seconds"].as_f64().unwrap() < 60.0);
    assert_eq!(first["headers"], Value::Null);

    let mut ids = Vec::new();
    let mut path = "/sessions?limit=1".to_owned();
    for _ in 0..3 {
        let page = json(gateway.admin, &path).await;
        assert_eq!(page["sessions"].as_array().unwrap().len(), 1);
        ids.push(page["sessions"][0]["id"].clone());
        path = format!(
            "/sessions?limit=1&cursor={}",
            page["next"].as_str().unwrap_or("9-0")
        );
    }
    let listed: Vec<_> = sessions
        .iter()
        .map(|session| session["id"].clone())
        .collect();
    assert_eq!(ids, listed);

    for nobody in ["?address=192.0.2.1", "?state=SUSPENDED", "?cursor=9-0"] {
        let page = json(gateway.admin, &format!("/sessions{nobody}")).await;
        assert_eq!(page["sessions"], serde_json::json!([]), "{nobody}");
    }
    for wrong in ["?cursor=x", "?limit=x", "?adress=192.0.2.1"] {
        let (status, _) = ask(gateway.admin, &format!("GET /sessions{wrong}"), "").await;
        assert_eq!(status, 400, "{wrong}");
    }
    origin.release();
    for one in under_way {
        one.await.unwrap().succeeds();
    }
}
