//! The scenarios through the secure port: every datagram travels in a record of WTLS.

#[path = "scenarios.rs"]
#[allow(clippy::duplicate_mod, reason = "the same scenarios in another world")]
mod scenarios;

use wapbridge::gateway::Config;
use wapbridge::handset::Request;
use wapbridge::sim::World;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;
use wapbridge::wtls::records;

use crate::{gateway_config, ms, phone_config};

/// A world whose handsets use the secure port.
pub(crate) fn new_world(seed: u64, config: Config) -> World {
    World::new(seed, config).secured()
}

#[test]
fn a_handset_that_moves_makes_an_abbreviated_handshake() {
    let mut world = new_world(1, gateway_config());
    world.tap = Some(Vec::new());
    let mut config = phone_config();
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.options = ProtocolOptions::SESSION_RESUME;
    }
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    world.move_to_new_address(phone);
    world.run_for(ms(5_000));
    let request = Request {
        method: Method::GET,
        uri: "http://sync.example/after",
        headers: &[],
        body: &[],
    };
    world.request(phone, &request);
    world.run_for(ms(5_000));
    assert_eq!(world.origin.times_seen("/after"), 1);
    let stats = world.secure_stats();
    assert_eq!((stats.full, stats.abbreviated, stats.bad), (1, 1, 0));
    for (_, datagram) in world.tap.take().unwrap() {
        let (found, malformed) = records(&datagram);
        assert!(!malformed && !found.is_empty());
        assert!(!datagram.windows(6).any(|octets| octets == b"/after"));
    }
}
