//! Forged senders: what a victim is sent for forged datagrams.

use std::time::Duration;

use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::{self, Class, Endpoint};

use crate::rig::Rig;

/// A blind attacker: sends from the address of a victim and receives nothing.
struct Forger {
    wtp: Endpoint,
    victim: &'static str,
    sent: usize,
}

impl Forger {
    fn new(victim: &'static str) -> Self {
        Self {
            wtp: Endpoint::new(wtp::Config::default(), 3, Instant::ZERO),
            victim,
            sent: 0,
        }
    }

    fn sends(&mut self, rig: &mut Rig, datagram: &[u8]) {
        self.sent += datagram.len();
        rig.hears(self.victim, datagram);
        rig.pass(Duration::from_millis(100));
    }

    /// A class 2 Invoke that can re-assemble and takes large groups; returns its TID.
    fn invokes(&mut self, rig: &mut Rig, pdu: &'static [u8]) -> [u8; 2] {
        let gateway = Peer::new(
            "192.0.2.1:9201".parse().unwrap(),
            self.victim.parse().unwrap(),
        );
        self.wtp
            .invoke(rig.now, gateway, Class::Two, true, pdu.into())
            .unwrap();
        let mut datagram = Vec::new();
        self.wtp.poll_transmit(&mut datagram).unwrap();
        self.sends(rig, &datagram);
        [datagram[1], datagram[2]]
    }

    /// Connect with an unlimited client SDU, and the Ack of a ConnectReply that went to the victim.
    fn connects(&mut self, rig: &mut Rig) {
        let tid = self.invokes(rig, &[0x01, 0x10, 0x03, 0x00, 0x02, 0x80, 0x00]);
        self.sends(rig, &[0x18, tid[0], tid[1]]);
    }
}

const GET: &[u8] = b"\x40\x14http://sync.example/";

fn forgery(origin: usize) -> (Rig, Forger) {
    let mut rig = Rig::new(crate::gateway_config());
    rig.origin = Some(origin);
    let mut forger = Forger::new("203.0.113.9:4000");
    forger.connects(&mut rig);
    (rig, forger)
}

#[test]
fn a_forged_session_brings_its_victim_a_few_packets_of_a_large_result() {
    let (mut rig, mut forger) = forgery(350_000);
    forger.invokes(&mut rig, GET);
    rig.pass(Duration::from_secs(600));
    let said = rig.said_to("203.0.113.9");
    // It was 360 kB: three packets at most, the last one repeated six times.
    assert!(said > 1_000 && said < 10 * 532, "{said}");
}

#[test]
fn forged_acknowledgements_of_guessed_packets_end_the_result() {
    let (mut rig, mut forger) = forgery(350_000);
    for _ in 0..50 {
        let tid = forger.invokes(&mut rig, GET);
        for psn in 0..200 {
            forger.sends(&mut rig, &[0x98, tid[0], tid[1], 0x19, psn]);
        }
    }
    let said = rig.said_to("203.0.113.9");
    assert!(said < 50 * 12 * 532, "{said} for {}", forger.sent);
}

#[test]
fn forged_acknowledgements_without_a_number_bring_a_few_packets() {
    let (mut rig, mut forger) = forgery(350_000);
    let tid = forger.invokes(&mut rig, GET);
    for _ in 0..400 {
        forger.sends(&mut rig, &[0x18, tid[0], tid[1]]);
    }
    rig.pass(Duration::from_secs(600));
    let said = rig.said_to("203.0.113.9");
    // Each Ack brought one to three packets: 260 kB in all.
    assert!(
        said > 1_000 && said < 20 * 532,
        "{said} for {}",
        forger.sent
    );
}

#[test]
fn forty_eight_forged_gets_bring_a_few_packets_each() {
    let (mut rig, mut forger) = forgery(60_000);
    for _ in 0..48 {
        forger.invokes(&mut rig, GET);
    }
    rig.pass(Duration::from_secs(600));
    let said = rig.said_to("203.0.113.9");
    assert!(said < 49 * 10 * 532, "{said} for {}", forger.sent);
}

#[test]
fn a_method_is_answered_though_the_ack_of_the_connect_reply_is_late() {
    let mut rig = Rig::new(crate::gateway_config());
    rig.origin = Some(1_000);
    let mut forger = Forger::new("203.0.113.9:4000");
    forger.invokes(&mut rig, &[0x01, 0x10, 0x03, 0x00, 0x02, 0x80, 0x00]);
    forger.invokes(&mut rig, GET);
    assert!(rig.said_to("203.0.113.9") > 1_000);
}
