//! Hostile and corrupted datagrams: other handsets are served all the same.

use tokio::net::UdpSocket;
use wapbridge::random::Random;

use super::Bridge;
use crate::support::origin::{Origin, octets};
use crate::support::phone::{Phone, roomy};

#[tokio::test]
async fn thousands_of_hostile_datagrams_leave_the_others_served() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    // Valid datagrams of a handset are the best material for invalid ones.
    let mut honest = Phone::connect(bridge.address(), roomy()).await;
    let body = octets(4_000);
    let uri = "http://sync.example.com/echo";
    honest.post(uri, "text/plain", &body).await;
    let good = honest.sent.clone();
    assert!(good.len() >= 5, "{}", good.len());

    let mut random = Random::new(2);
    let mut below = |limit: usize| usize::try_from(random.u64() % limit as u64).unwrap();
    let mut sent = 0;
    for round in 0..40 {
        // Each round from another port: the limits of one peer are not all that protects the others.
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        stranger.connect(bridge.address()).await.unwrap();
        for kind in 0..100 {
            let mut datagram = good[below(good.len())].clone();
            match kind % 4 {
                0 => {
                    let octets = (0..below(60)).map(|_| below(256).to_le_bytes()[0]);
                    datagram = octets.collect();
                }
                1 => datagram.truncate(below(datagram.len())),
                2 => {
                    for _ in 0..=below(4) {
                        let at = below(datagram.len());
                        datagram[at] = below(256).to_le_bytes()[0];
                    }
                }
                _ => datagram.extend_from_slice(&good[below(good.len())]),
            }
            // The socket may report that an earlier datagram was refused, which does not matter
            // here.
            let _ = stranger.send(&datagram).await;
            sent += 1;
        }
        // The honest handset is served in between, which also keeps the sender from flooding the kernel.
        let reply = honest.post(uri, "text/plain", &body).await;
        assert!(reply.status == 200 && reply.body == body, "round {round}");
    }
    assert_eq!(sent, 4_000);
    let stats = bridge.stats(|stats| stats.wtp.datagrams_in > 3_000).await;
    assert!(stats.wtp.malformed > 100, "{}", stats.wtp.malformed);
    let mut newcomer = Phone::connect(bridge.address(), roomy()).await;
    let reply = newcomer.get("http://sync.example.com/hello").await;
    assert_eq!(reply.status, 200);
}
