//! Transcripts: the PDUs of an endpoint in answer to PDUs and time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::time::Instant;
use crate::wdp::Peer;

fn ms(millis: u64) -> Instant {
    // Transcripts begin when the cache of TIDs covers the packet lifetime.
    Instant::ZERO + Duration::from_secs(1000) + Duration::from_millis(millis)
}

fn peer(port: u16) -> Peer {
    let remote = SocketAddr::from(([192, 0, 2, 7], port));
    Peer::new(remote, SocketAddr::from(([198, 51, 100, 1], 9201)))
}

/// One endpoint and the moment it is at.
struct Transcript {
    endpoint: Endpoint,
    now: Instant,
}

impl Transcript {
    fn new(config: Config) -> Self {
        Self {
            endpoint: Endpoint::new(config, 7, Instant::ZERO),
            now: ms(0),
        }
    }

    /// Time passes up to `millis`, timers going off on the way.
    fn at(&mut self, millis: u64) -> &mut Self {
        while let Some(due) = self
            .endpoint
            .poll_timeout()
            .filter(|&due| due <= ms(millis))
        {
            self.endpoint.handle_timeout(due);
        }
        self.now = ms(millis);
        self
    }

    fn hears(&mut self, octets: &[u8]) -> &mut Self {
        self.endpoint
            .handle_datagram(self.now, peer(49_152), octets);
        self
    }

    fn said(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(&mut buf) {
            assert_eq!(transmit.len, buf.len());
            all.push(std::mem::take(&mut buf));
        }
        all
    }

    fn says(&mut self, octets: &[u8]) -> &mut Self {
        assert_eq!(self.said(), [octets]);
        self
    }

    fn says_nothing(&mut self) -> &mut Self {
        assert_eq!(self.said(), [&[] as &[u8]; 0]);
        self
    }

    fn indication(&mut self) -> Indication {
        self.endpoint.poll_indication().expect("an indication")
    }

    fn indicates_nothing(&mut self) -> &mut Self {
        assert_eq!(self.endpoint.poll_indication(), None);
        self
    }

    fn invoked(&mut self, expected: &[u8]) -> Handle {
        match self.indication() {
            Indication::Invoke { handle, data, .. } => {
                assert_eq!(data, expected);
                handle
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Invoke of class 2 with TID 5 and user data "q"; SAR can be done.
const INVOKE: [u8; 5] = [0x0A, 0x00, 0x05, 0x02, b'q'];
const INVOKE_AGAIN: [u8; 5] = [0x0B, 0x00, 0x05, 0x02, b'q'];

#[test]
fn a_class_2_transaction_of_10_4_1() {
    let mut t = Transcript::new(Config::ip());
    let handle = t.hears(&INVOKE).invoked(b"q");
    t.endpoint.result(ms(0), handle, Bytes::from_static(b"r"));
    t.says(&[0x12, 0x80, 0x05, b'r']);
    t.at(7000).says(&[0x13, 0x80, 0x05, b'r']);
    t.at(7100).hears(&[0x18, 0x00, 0x05]).says_nothing();
    let Indication::ResultConfirmed { report, .. } = t.indication() else {
        panic!()
    };
    assert_eq!(
        (report.retransmissions, report.pdus_in, report.pdus_out),
        (1, 2, 2)
    );
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn a_slow_user_is_covered_by_one_hold_on_ack_of_10_4_2() {
    let mut t = Transcript::new(Config::ip());
    let handle = t.hears(&INVOKE).invoked(b"q");
    t.at(1000).hears(&INVOKE_AGAIN).says_nothing();
    t.at(2000).says(&[0x18, 0x80, 0x05]);
    t.hears(&INVOKE).says_nothing();
    t.hears(&INVOKE_AGAIN).says(&[0x19, 0x80, 0x05]);
    t.at(3_600_000).says_nothing();
    t.endpoint.result(t.now, handle, Bytes::from_static(b"r"));
    t.says(&[0x12, 0x80, 0x05, b'r']).indicates_nothing();
}

#[test]
fn a_result_never_acknowledged_is_given_up_without_an_abort() {
    let mut t = Transcript::new(Config::ip());
    let handle = t.hears(&INVOKE).invoked(b"q");
    t.endpoint.result(ms(0), handle, Bytes::new());
    t.at(7_000 * 9 - 1);
    assert_eq!(t.endpoint.transactions(), 1);
    t.at(7_000 * 9);
    let Indication::Abort { reason, .. } = t.indication() else {
        panic!()
    };
    assert_eq!(reason, AbortReason::Unanswered);
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn an_old_copy_is_verified_and_the_initiator_that_denies_it_is_believed() {
    let mut t = Transcript::new(Config::ip());
    let handle = t.hears(&INVOKE).invoked(b"q");
    t.endpoint.result(ms(0), handle, Bytes::new());
    t.said();
    t.hears(&[0x18, 0x00, 0x05]).indication();
    t.hears(&INVOKE)
        .indicates_nothing()
        .says(&[0x1C, 0x80, 0x05]);
    t.hears(&[0x20, 0x00, 0x05, 0x02])
        .says_nothing()
        .indicates_nothing();
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn a_peer_that_restarted_is_verified_and_then_served() {
    let mut t = Transcript::new(Config::ip());
    t.hears(&[0x0A, 0x00, 0x05, 0x02]).invoked(b"");
    t.hears(&[0x0A, 0x00, 0x03, 0x02, b'q'])
        .says(&[0x1C, 0x80, 0x03]);
    t.hears(&[0x0B, 0x00, 0x03, 0x02, b'q'])
        .says(&[0x1D, 0x80, 0x03]);
    t.indicates_nothing();
    t.hears(&[0x1C, 0x00, 0x03]).invoked(b"q");
    // LastTID stays 5: 4 is suspect, 6 is not.
    t.hears(&[0x0A, 0x00, 0x04, 0x02, b'q'])
        .says(&[0x1C, 0x80, 0x04])
        .indicates_nothing();
    t.hears(&[0x0A, 0x00, 0x06, 0x02, b'q'])
        .says_nothing()
        .invoked(b"q");
}

#[test]
fn class_0_leaves_no_trace() {
    let mut t = Transcript::new(Config::ip());
    t.hears(&[0x0E, 0x00, 0x09, 0x00, b'u']);
    assert_eq!(t.invoked(b"u"), Handle::OVER);
    assert_eq!(
        (t.endpoint.transactions(), t.endpoint.poll_timeout()),
        (0, None)
    );
    t.says_nothing()
        .hears(&[0x0E, 0x00, 0x09, 0x00, b'u'])
        .invoked(b"u");
    t.hears(&INVOKE).invoked(b"q");
}

#[test]
fn as_many_as_there_are_can_be_told_something_in_class_0() {
    let mut endpoint = Endpoint::new(Config::default(), 7, Instant::ZERO);
    let mut buf = Vec::new();
    for port in 0..40_000 {
        let data = Bytes::from_static(b"\x05\x01");
        let told = endpoint.invoke(ms(0), peer(port), Class::Zero, false, data);
        assert!(told.is_ok(), "{port}");
        buf.clear();
        assert!(endpoint.poll_transmit(&mut buf).is_some());
    }
}

#[test]
fn class_1_is_acknowledged_at_once_or_by_the_user() {
    let mut t = Transcript::new(Config::ip());
    t.hears(&[0x0A, 0x00, 0x05, 0x01, b'p']).invoked(b"p");
    t.says(&[0x18, 0x80, 0x05]);
    t.hears(&[0x0B, 0x00, 0x05, 0x01, b'p'])
        .says(&[0x19, 0x80, 0x05]);
    t.hears(&[0x0A, 0x00, 0x05, 0x01, b'p']).says_nothing();
    let handle = t.hears(&[0x0A, 0x00, 0x06, 0x11, b'p']).invoked(b"p");
    t.says_nothing();
    t.endpoint.accept(t.now, handle, b"ok");
    t.says(&[0x98, 0x80, 0x06, 0x0A, b'o', b'k']);
    t.at(40_000);
    assert_eq!(t.endpoint.transactions(), 0);
    // The user does not accept: seven times A, then NORESPONSE.
    t.hears(&[0x0A, 0x00, 0x07, 0x11, b'p']).invoked(b"p");
    t.at(46_999).says_nothing().indicates_nothing();
    t.at(47_000).says(&[0x20, 0x80, 0x07, 0x08]);
    assert!(matches!(t.indication(), Indication::Abort { .. }));
}

#[test]
fn errors_are_answered_as_in_table_37() {
    let mut t = Transcript::new(Config::ip());
    t.hears(&[0x0A, 0x00, 0x05, 0x42])
        .says(&[0x20, 0x80, 0x05, 0x06]);
    t.hears(&[0x0A, 0x00, 0x05, 0x03])
        .says(&[0x20, 0x80, 0x05, 0x01]);
    t.hears(&[0x1C, 0x80, 0x05]).says(&[0x20, 0x00, 0x05, 0x02]);
    for ignored in [
        &[0x18, 0x00, 0x05][..],
        &[0x12, 0x80, 0x05],
        &[0x38, 0x00, 0x05, 0x00],
        &[0x20, 0x00, 0x05, 0x01],
        &[0x23, 0x00, 0x05, 0x01],
        &[0x18, 0x00],
        &[],
    ] {
        t.hears(ignored).says_nothing().indicates_nothing();
    }
    t.hears(&INVOKE).invoked(b"q");
    t.hears(&[0x98, 0x00, 0x05, 0x1A])
        .says(&[0x20, 0x80, 0x05, 0x01]);
    let Indication::Abort { reason, .. } = t.indication() else {
        panic!()
    };
    assert_eq!(reason, AbortReason::Provider(ProviderAbort::PROTOERR));
}

#[test]
fn a_peer_without_sar_gets_one_datagram_whatever_its_size() {
    let mut t = Transcript::new(Config::ip());
    let handle = t.hears(&[0x0E, 0x00, 0x05, 0x02]).invoked(b"");
    assert!(!t.endpoint.can_segment(handle));
    t.endpoint
        .result(t.now, handle, Bytes::from(vec![7; 20_000]));
    let said = t.said();
    assert_eq!((said.len(), said[0].len(), said[0][0]), (1, 20_003, 0x12));
}

#[test]
fn what_waits_for_one_peer_shares_a_datagram() {
    let mut t = Transcript::new(Config::ip());
    let first = t.hears(&[0x0A, 0x00, 0x05, 0x02]).invoked(b"");
    let second = t.hears(&[0x0A, 0x00, 0x06, 0x02]).invoked(b"");
    t.endpoint.result(t.now, first, Bytes::from_static(b"1"));
    t.endpoint.result(t.now, second, Bytes::from_static(b"2"));
    t.says(&[0x00, 4, 0x12, 0x80, 0x05, b'1', 4, 0x12, 0x80, 0x06, b'2']);
    t.hears(&[0x00, 3, 0x18, 0x00, 0x05, 3, 0x18, 0x00, 0x06]);
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn a_segmented_invoke_of_10_6_is_put_together() {
    let mut t = Transcript::new(Config {
        receive_group: None,
        ..Config::ip()
    });
    t.hears(&[0x08, 0x00, 0x05, 0x02, b'a']).says_nothing();
    t.hears(&[0x28, 0x00, 0x05, 1, b'b']).says_nothing();
    t.hears(&[0x2C, 0x00, 0x05, 2, b'c'])
        .says(&[0x98, 0x80, 0x05, 0x19, 2]);
    // Packet 3 is lost, asked for, and comes.
    t.hears(&[0x2A, 0x00, 0x05, 4, b'e']).says_nothing();
    t.at(300).says(&[0x38, 0x80, 0x05, 1, 3]);
    let handle = t.hears(&[0x29, 0x00, 0x05, 3, b'd']).invoked(b"abcde");
    t.says_nothing();
    t.endpoint.result(t.now, handle, Bytes::from_static(b"r"));
    t.says(&[0x12, 0x80, 0x05, b'r']);
    assert_eq!(t.endpoint.held_octets(), 0);
}

#[test]
fn a_push_is_confirmed_verified_or_repeated() {
    let mut t = Transcript::new(Config::ip());
    let data = Bytes::from_static(b"p");
    let handle = t
        .endpoint
        .invoke(t.now, peer(49_152), Class::One, false, data)
        .unwrap();
    let said = t.said().remove(0);
    let [tid @ .., 0x01, b'p'] = &said[1..] else {
        panic!("{said:?}")
    };
    let (high, low) = (tid[0], tid[1]);
    assert_eq!((said[0], high & 0x80), (0x0A, 0));
    t.at(3000).says(&[0x0B, high, low, 0x01, b'p']);
    t.hears(&[0x1C, high | 0x80, low]).says(&[0x1C, high, low]);
    // From then on it is the answer that is repeated.
    t.at(6000).says(&[0x1D, high, low]);
    t.hears(&[0x98, high | 0x80, low, 0x09, b'i']);
    match t.indication() {
        Indication::InvokeConfirmed {
            handle: confirmed,
            exit_info,
            ..
        } => {
            assert_eq!((confirmed, &exit_info[..]), (handle, &b"i"[..]));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn two_endpoints_carry_a_large_result_over_a_network_that_loses_every_fifth_datagram() {
    let config = Config::ip();
    let mut handset = Endpoint::new(config.clone(), 1, Instant::ZERO);
    let mut gateway = Endpoint::new(config, 2, Instant::ZERO);
    let (phone, server) = (
        SocketAddr::from(([192, 0, 2, 7], 49_152)),
        SocketAddr::from(([198, 51, 100, 1], 9201)),
    );
    let body: Vec<u8> = (0..100_000u32)
        .map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
        .collect();
    let mut now = Instant::ZERO;
    let request = Bytes::from(body[..20_000].to_vec());
    let sent = handset.invoke(
        now,
        Peer::new(server, phone),
        Class::Two,
        true,
        request.clone(),
    );
    let mut count = 0;
    let mut done = false;
    for _ in 0..10_000 {
        let mut buf = Vec::new();
        while handset.poll_transmit(&mut buf).is_some() {
            count += 1;
            if count % 5 != 0 {
                gateway.handle_datagram(now, Peer::new(phone, server), &buf);
            }
            buf.clear();
        }
        while gateway.poll_transmit(&mut buf).is_some() {
            count += 1;
            if count % 5 != 0 {
                handset.handle_datagram(now, Peer::new(server, phone), &buf);
            }
            buf.clear();
        }
        while let Some(indication) = gateway.poll_indication() {
            match indication {
                Indication::Invoke { handle, data, .. } => {
                    assert_eq!(data, request);
                    gateway.result(now, handle, Bytes::from(body.clone()));
                }
                Indication::ResultConfirmed { exit_info, .. } => {
                    assert_eq!(&exit_info[..], b"bye");
                    done = true;
                }
                other => panic!("{other:?}"),
            }
        }
        while let Some(indication) = handset.poll_indication() {
            match indication {
                Indication::InvokeConfirmed { .. } => {}
                Indication::Result { handle, data, .. } => {
                    assert_eq!((Ok(handle), &data[..]), (sent, &body[..]));
                    handset.acknowledge(now, handle, b"bye");
                }
                other => panic!("{other:?}"),
            }
        }
        now = now.max(
            handset
                .poll_timeout()
                .into_iter()
                .chain(gateway.poll_timeout())
                .min()
                .unwrap_or(now),
        );
        handset.handle_timeout(now);
        gateway.handle_timeout(now);
        if done && handset.transactions() + gateway.transactions() == 0 {
            return;
        }
    }
    panic!("not finished by {now:?}");
}

#[test]
fn when_there_is_no_room_the_body_is_dropped_and_taken_from_the_repeated_invoke() {
    let mut t = Transcript::new(Config {
        verify_new_peers: true,
        max_unverified_per_address: 0,
        ..Config::ip()
    });
    t.hears(&INVOKE).says(&[0x1C, 0x80, 0x05]);
    assert_eq!(
        (
            t.endpoint.held_octets(),
            t.endpoint.stats().refused_unverified
        ),
        (0, 1)
    );
    // Vouched for, and able to re-assemble: it can be asked for the message.
    t.hears(&[0x1C, 0x00, 0x05])
        .says(&[0x38, 0x80, 0x05, 0])
        .indicates_nothing();
    t.hears(&INVOKE).indicates_nothing();
    t.hears(&INVOKE_AGAIN).invoked(b"q");
    // One that cannot re-assemble may repeat its Invoke before it is asked.
    t.hears(&[0x0E, 0x00, 0x04, 0x02, b'q'])
        .says(&[0x1C, 0x80, 0x04]);
    t.hears(&[0x0F, 0x00, 0x04, 0x02, b'q'])
        .says(&[0x1D, 0x80, 0x04]);
    t.hears(&[0x1C, 0x00, 0x04])
        .says_nothing()
        .hears(&[0x0F, 0x00, 0x04, 0x02, b'q'])
        .invoked(b"q");
}

#[test]
fn unverified_octets_are_bounded_per_address_and_in_all() {
    let mut t = Transcript::new(Config {
        verify_new_peers: true,
        max_unverified_per_address: 10,
        max_unverified: 15,
        ..Config::ip()
    });
    let invoke = |tid: u8| [&[0x0A, 0x00, tid, 0x02][..], &[7; 8]].concat();
    t.hears(&invoke(1)).hears(&invoke(2));
    let elsewhere = Peer::new(
        SocketAddr::from(([192, 0, 2, 8], 1)),
        SocketAddr::from(([198, 51, 100, 1], 9201)),
    );
    t.endpoint.handle_datagram(t.now, elsewhere, &invoke(1));
    assert_eq!(
        (
            t.endpoint.held_octets(),
            t.endpoint.stats().refused_unverified
        ),
        (8, 2)
    );
    t.said();
    // Answered, and the room is free again.
    t.hears(&[0x1C, 0x00, 0x01]).invoked(&[7; 8]);
    assert_eq!(t.endpoint.held_octets(), 0);
    t.endpoint.handle_datagram(
        t.now,
        elsewhere,
        &[&[0x0B, 0x00, 0x01, 0x02][..], &[7; 8]].concat(),
    );
    assert_eq!(t.endpoint.held_octets(), 8);
}

#[test]
fn answers_without_a_transaction_are_bounded() {
    let mut t = Transcript::new(Config {
        max_unowned: 2,
        ..Config::ip()
    });
    for tid in 1..=3 {
        t.hears(&[0x1C, 0x80, tid]);
    }
    t.says(&[0x00, 4, 0x20, 0x00, 2, 2, 4, 0x20, 0x00, 3, 2]);
    assert_eq!(t.endpoint.stats().dropped_unowned, 1);
}

#[test]
fn the_limit_of_a_peer_does_not_limit_our_transactions_with_it() {
    let mut t = Transcript::new(Config {
        max_transactions_per_peer: 2,
        max_transactions: 6,
        ..Config::ip()
    });
    let invoke = |t: &mut Transcript| {
        let (now, to) = (t.now, peer(49_152));
        t.endpoint.invoke(now, to, Class::One, false, Bytes::new())
    };
    for _ in 0..3 {
        invoke(&mut t).unwrap();
    }
    for tid in 1..=3 {
        t.hears(&[0x0A, 0x00, tid, 0x02]);
    }
    assert_eq!(
        (t.endpoint.transactions(), t.endpoint.stats().refused_peer),
        (5, 1)
    );
    invoke(&mut t).unwrap();
    assert_eq!(invoke(&mut t), Err(Refused::TooManyTransactions));
    // No peer answers; in the end there is room again.
    t.at(600_000);
    t.hears(&[0x20, 0x00, 1, 0]).hears(&[0x20, 0x00, 2, 0]);
    assert_eq!(t.endpoint.transactions(), 0);
    t.hears(&[0x0A, 0x00, 4, 0x02]);
    assert_eq!(t.endpoint.transactions(), 1);
}

#[test]
fn two_late_copies_do_not_pass_the_handshake_again() {
    let mut t = Transcript::new(Config {
        verify_new_peers: true,
        ..Config::ip()
    });
    t.hears(&INVOKE).says(&[0x1C, 0x80, 0x05]);
    let handle = t.hears(&[0x1C, 0x00, 0x05]).invoked(b"q");
    t.endpoint.result(t.now, handle, Bytes::new());
    t.says(&[0x12, 0x80, 0x05])
        .hears(&[0x18, 0x00, 0x05])
        .indication();
    // Both PDUs came twice; only memory tells them apart.
    t.hears(&INVOKE).says(&[0x1C, 0x80, 0x05]);
    t.hears(&[0x1C, 0x00, 0x05])
        .indicates_nothing()
        .says_nothing();
    assert_eq!(t.endpoint.transactions(), 0);
}

#[test]
fn a_late_copy_of_tidnew_does_not_let_other_late_copies_in() {
    let mut t = Transcript::new(Config::ip());
    t.hears(&[0x0A, 0x00, 0x50, 0x02]).invoked(b"");
    t.hears(&[0x20, 0x00, 0x50, 0x00]).indication();
    t.hears(&[0x0A, 0x00, 0x01, 0x22]).says(&[0x1C, 0x80, 0x01]);
    // Denied: the last TID is still 50.
    t.hears(&[0x20, 0x00, 0x01, 0x02]);
    t.hears(&[0x0A, 0x00, 0x50, 0x02])
        .says(&[0x1C, 0x80, 0x50])
        .indicates_nothing();
}

#[test]
fn a_burst_leaves_no_wake_ups_behind() {
    let mut t = Transcript::new(Config::ip());
    for round in 0..40u8 {
        t.at(u64::from(round));
        for tid in 0..250 {
            t.hears(&[0x0A, round, tid, 0x02]).indication();
            t.hears(&[0x20, round, tid, 0x00]).indication();
        }
    }
    assert_eq!(t.endpoint.transactions(), 0);
    // Ten thousand transactions came and went. Without care there were forty wake-ups without work.
    let mut wake_ups = 0;
    while let Some(due) = t.endpoint.poll_timeout() {
        t.endpoint.handle_timeout(due);
        wake_ups += 1;
    }
    assert!(wake_ups <= 5, "{wake_ups}");
}

#[test]
fn the_same_history_is_the_same_octets() {
    let run = || {
        let mut t = Transcript::new(Config::ip());
        let mut all = Vec::new();
        for port in 1..200 {
            t.endpoint.handle_datagram(t.now, peer(port), &INVOKE);
        }
        while let Some(Indication::Invoke { handle, .. }) = t.endpoint.poll_indication() {
            t.endpoint.accept(t.now, handle, b"");
        }
        t.at(2000);
        all.extend(t.said());
        all
    };
    let first = run();
    assert_eq!(first.len(), 199);
    assert_eq!(first, run());
}

/// The first packet of a segmented Invoke with `octets` of data.
fn first_packet(tid: u8, octets: usize) -> Vec<u8> {
    [&[0x08, 0x00, tid, 0x02][..], &vec![b'x'; octets]].concat()
}

fn at_address(address: [u8; 4], port: u16) -> Peer {
    let remote = SocketAddr::from((address, port));
    Peer::new(remote, SocketAddr::from(([198, 51, 100, 1], 9201)))
}

#[test]
fn one_address_takes_its_share_of_transactions_whatever_its_ports() {
    let mut t = Transcript::new(Config {
        max_transactions: 1_000,
        ..Config::ip()
    });
    for port in 0..3_800 {
        for tid in 0..2 {
            let flood = at_address([203, 0, 113, 1], 10_000 + port);
            let packet = first_packet(tid, 2);
            t.endpoint.handle_datagram(t.now, flood, &packet);
        }
    }
    assert_eq!(t.endpoint.transactions(), 250);
    assert_eq!(t.endpoint.stats().refused_address, 7_600 - 250);
    // Other addresses are served. This address is served again once its own transactions are over.
    t.hears(&[0x0A, 0x00, 0x01, 0x02]);
    assert!(matches!(
        t.endpoint.poll_indication(),
        Some(Indication::Invoke { .. })
    ));
    t.at(41_000);
    let flood = at_address([203, 0, 113, 1], 9);
    t.endpoint.handle_datagram(t.now, flood, &[0x0A, 0, 1, 2]);
    assert!(matches!(
        t.endpoint.poll_indication(),
        Some(Indication::Invoke { .. })
    ));
}

#[test]
fn a_whole_network_of_ipv6_is_one_source() {
    let mut t = Transcript::new(Config {
        max_transactions_per_address: 3,
        ..Config::ip()
    });
    for host in 1..=5 {
        let from = |network| SocketAddr::from(([0x2001, 0xdb8, 0, network, 0, 0, 0, host], 4_000));
        for network in [1, 2] {
            let local = SocketAddr::from(([0x2001, 0xdb8, 9, 9, 0, 0, 0, 1], 9201));
            let packet = first_packet(1, 2);
            t.endpoint
                .handle_datagram(t.now, Peer::new(from(network), local), &packet);
        }
    }
    assert_eq!(t.endpoint.transactions(), 6);
}

#[test]
fn a_flood_of_first_packets_from_everywhere_does_not_keep_a_handset_out() {
    let mut t = Transcript::new(Config {
        max_transactions: 400,
        max_reassembly: 400 << 10,
        max_message: 64 << 10,
        ..Config::ip()
    });
    let flood = |t: &mut Transcript, from: u16| {
        for number in from..from + 2_000 {
            let [high, low] = number.to_be_bytes();
            let stranger = at_address([203, 0, high, low], 4_000);
            let packet = first_packet(1, 1_400);
            t.endpoint.handle_datagram(t.now, stranger, &packet);
        }
    };
    flood(&mut t, 0);
    assert!(t.endpoint.transactions() <= 400 && t.endpoint.held_octets() <= 400 << 10);
    // A handset that answers keeps its place, while the flood goes on and gives way to itself.
    t.hears(&[0x0C, 0x00, 0x01, 0x02, b'a']);
    t.hears(&[0x2C, 0x00, 0x01, 1, b'b']);
    flood(&mut t, 2_000);
    t.hears(&[0x2A, 0x00, 0x01, 2, b'c']);
    match t.endpoint.poll_indication() {
        Some(Indication::Invoke { data, .. }) => assert_eq!(data, b"abc"[..]),
        other => panic!("{other:?}"),
    }
    assert!(t.endpoint.stats().evicted_incomplete > 1_000);
}

/// Two groups each, so that they seem to have heard the acknowledgement of the first.
#[test]
fn messages_begun_from_a_few_networks_do_not_keep_a_handset_out() {
    let mut t = Transcript::new(Config {
        max_reassembly: 400 << 10,
        max_message: 64 << 10,
        ..Config::ip()
    });
    for tid in 1..=20 {
        for network in 0..8 {
            let hoarder = at_address([203, 0, network, 1], 4_000);
            let first = [&[0x0C, 0x00, tid, 0x02][..], &[b'x'; 10_000]].concat();
            let second = [&[0x2C, 0x00, tid, 1][..], &[b'x'; 10_000]].concat();
            t.endpoint.handle_datagram(t.now, hoarder, &first);
            t.endpoint.handle_datagram(t.now, hoarder, &second);
        }
    }
    assert!(t.endpoint.held_octets() > 350 << 10);
    assert!(t.endpoint.held_octets() <= 400 << 10);
    let before = t.endpoint.stats().evicted_incomplete;
    for port in 0..4 {
        let handset = at_address([192, 0, 2, 1], port);
        for packet in [
            [&[0x0C, 0x00, 1, 0x02][..], &[b'a'; 7_000]].concat(),
            [&[0x2C, 0x00, 1, 1][..], &[b'b'; 7_000]].concat(),
            [&[0x2A, 0x00, 1, 2][..], &[b'c'; 7_000]].concat(),
        ] {
            t.endpoint.handle_datagram(t.now, handset, &packet);
        }
        match t.indication() {
            Indication::Invoke { data, .. } => assert_eq!(data.len(), 21_000),
            other => panic!("{other:?}"),
        }
    }
    let evicted = t.endpoint.stats().evicted_incomplete - before;
    assert!((1..=8).contains(&evicted), "{evicted}");
}

/// Fills the memory for re-assembly, two groups of each address.
fn hoard(t: &mut Transcript, addresses: impl Iterator<Item = [u8; 4]>) {
    for address in addresses {
        let hoarder = at_address(address, 4_000);
        let first = [&[0x0C, 0x00, 1, 0x02][..], &[b'x'; 10_000]].concat();
        let second = [&[0x2C, 0x00, 1, 1][..], &[b'x'; 10_000]].concat();
        t.endpoint.handle_datagram(t.now, hoarder, &first);
        t.endpoint.handle_datagram(t.now, hoarder, &second);
    }
    assert!(t.endpoint.held_octets() > 370 << 10);
}

/// Whether a message of three groups comes through.
fn is_served(t: &mut Transcript, port: u16) -> bool {
    let handset = at_address([192, 0, 2, 1], port);
    for packet in [
        [&[0x0C, 0x00, 1, 0x02][..], &[b'a'; 7_000]].concat(),
        [&[0x2C, 0x00, 1, 1][..], &[b'b'; 7_000]].concat(),
        [&[0x2A, 0x00, 1, 2][..], &[b'c'; 7_000]].concat(),
    ] {
        t.endpoint.handle_datagram(t.now, handset, &packet);
    }
    std::iter::from_fn(|| t.endpoint.poll_indication())
        .any(|heard| matches!(heard, Indication::Invoke { data, .. } if data.len() == 21_000))
}

#[test]
fn messages_begun_from_many_networks_of_a_few_regions_do_not_keep_a_handset_out() {
    let mut t = Transcript::new(Config {
        max_reassembly: 400 << 10,
        max_message: 64 << 10,
        ..Config::ip()
    });
    let addresses = (0..4).flat_map(|network| (0..8).map(move |region| [100, region, network, 1]));
    hoard(&mut t, addresses);
    assert!(is_served(&mut t, 1));
}

#[test]
fn a_message_that_stands_still_gives_way() {
    let mut t = Transcript::new(Config {
        max_reassembly: 400 << 10,
        max_message: 64 << 10,
        ..Config::ip()
    });
    hoard(&mut t, (0..32).map(|region| [100, region, 0, 1]));
    assert!(!is_served(&mut t, 1));
    t.now += Duration::from_secs(11);
    assert!(is_served(&mut t, 2));
}

#[test]
fn neither_copies_nor_crumbs_keep_a_message_for_ever() {
    let mut copies = Transcript::new(Config::ip());
    let mut crumbs = Transcript::new(Config::ip());
    copies.hears(&first_packet(1, 1_400));
    crumbs.hears(&first_packet(1, 1_400));
    for turn in 1..=60u8 {
        let millis = u64::from(turn) * 25_000;
        copies.at(millis);
        if millis <= 120_000 {
            copies.hears(&[0x29, 0x00, 0x01, 0, b'x']);
        } else {
            assert_eq!(copies.endpoint.transactions(), 0);
        }
        crumbs.at(millis).hears(&[0x28, 0x00, 0x01, turn, b'x']);
        let is_kept = millis < 1_200_000;
        assert_eq!(crumbs.endpoint.transactions(), usize::from(is_kept));
    }
}
