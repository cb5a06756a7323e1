//! The scenarios through the secure port: every datagram travels in a record of WTLS.

#[path = "scenarios/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same scenarios in another world")]
mod scenarios;

use wapbridge::gateway::Config;
use wapbridge::handset::Request;
use wapbridge::sim::World;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;
use wapbridge::wtls::records;

use crate::rig::Rig;
use crate::{gateway_config, ms, phone_config};

/// Of so many seeds of a walk, one is walked: in a debug build a handshake takes as long as a walk.
const SHARE: u64 = 10;

/// Whether the address of a peer without a session is proved: its handshake did.
const IS_PROVED: bool = true;

/// A world whose handsets use the secure ports.
fn new_world(seed: u64, config: Config) -> World {
    World::new(seed, config).secured()
}

fn new_rig(config: Config) -> Rig {
    Rig::secured(config)
}

/// Late copies of datagrams that were noticed: WTLS drops them, and WTP hears nothing of them.
fn late_copies(world: &World) -> u64 {
    let stats = world.secure_stats();
    stats.replayed + stats.unknown + stats.unexpected + stats.bad
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

/// The address is proved by the handshake: a Result goes out in whole groups, though the client has
/// not acknowledged its ConnectReply yet.
#[test]
fn a_peer_at_a_secure_port_needs_no_other_proof() {
    let said = |mut rig: Rig| {
        rig.origin = Some(60_000);
        let connect = [0x0E, 0, 1, 0x12, 0x01, 0x10, 0x03, 0x00, 0x02, 0x80, 0x00];
        rig.hears("203.0.113.9:4000", &connect);
        let get = b"\x0E\0\x02\x12\x40\x14http://sync.example/";
        rig.hears("203.0.113.9:4000", get);
        rig.said_to("203.0.113.9")
    };
    let plain = said(Rig::new(gateway_config()));
    let secured = said(Rig::secured(gateway_config()));
    assert!(plain < 3 * 532, "{plain}");
    assert!(secured > 3 * 1_300, "{secured}");
}
