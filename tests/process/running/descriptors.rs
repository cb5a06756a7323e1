//! A gateway with few file descriptors.

use std::time::Duration;

use tokio::time::timeout;
use wapbridge::wsp::pdu::Method;

use super::manager::{Manager, configuration};
use crate::support::origin::http_get;
use crate::support::phone::{Phone, roomy};
use crate::support::raw::{AfterReply, origin};

const URI: &str = "http://sync.example/slow";

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_origin_leaves_descriptors_for_the_admin_port() {
    let (slow, _) = origin("", AfterReply::Stall).await;
    let upstream = format!("https://localhost:{}/", slow.port());
    let listen = "connection_mode = \"127.0.0.1:0\"\nshards = 1";
    let manager = Manager::new(&configuration(listen, &upstream, ""));
    let gateway = manager.start_with(&["prlimit", "--nofile=300"]);
    let admin = gateway.address("admin: ");
    let address = gateway.address("listening for WSP over WTP");
    gateway.says("ready");
    let mut phones = Vec::new();
    for _ in 0..80 {
        let mut phone = Phone::connect(address, roomy()).await;
        for _ in 0..4 {
            phone.begin(Method::GET, URI, &[], b"").await;
        }
        phones.push(phone);
    }
    // More are waiting than there are descriptors: the admin port still has its own.
    let alive = timeout(Duration::from_secs(30), http_get(admin, "/livez")).await;
    assert!(alive.expect("an answer").starts_with("HTTP/1.1 200"));
    let mut last = Phone::connect(address, roomy()).await;
    assert_eq!(last.get(URI).await.status, 503);
}
