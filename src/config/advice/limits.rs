//! Warnings of limits and timers that contradict each other, or exceed the limits of the process.

use std::net::SocketAddr;

use rustix::process::{Resource, getrlimit};

use super::{Advice, Note};
use crate::config::{Settings, value};
use crate::upstream::RESERVED_DESCRIPTORS;

impl Advice<'_> {
    /// Sizes of messages that exceed the sizes of their transport.
    pub(super) fn sizes(&mut self) {
        let wtp = &self.settings.wtp;
        let segment = usize::from(wtp.segment_size);
        let carried = segment * MOST_PACKETS;
        let max_message = wtp.max_message;
        let replies: Vec<(usize, String, usize)> = self
            .routes()
            .map(|(nth, route)| (nth, route.name.to_string(), route.limits.max_reply))
            .collect();
        for (nth, name, max_reply) in replies {
            let is_chosen = self.is_set("[[route]]", Some(nth), "max_reply")
                || self.is_set("[wtp]", None, "segment_size");
            if max_reply > max_message {
                self.add(Note {
                    section: "[[route]]",
                    nth: Some(nth),
                    key: "max_reply",
                    title: format!("route {name}: replies above max_message are never delivered"),
                    label: format!(
                        "{max_reply} octets, but max_message in [limits] is {max_message}"
                    ),
                    help: format!(
                        "set max_reply to {max_message} at most, or raise max_message in [limits]"
                    ),
                });
            } else if max_reply > carried && is_chosen {
                self.add(Note {
                    section: "[[route]]",
                    nth: Some(nth),
                    key: "max_reply",
                    title: format!(
                        "route {name}: replies above {carried} octets reach handsets with extended segmentation only"
                    ),
                    label: format!(
                        "{max_reply} octets, but {MOST_PACKETS} packets of {segment} octets are {carried}"
                    ),
                    help: format!(
                        "set max_reply to {carried} at most, or raise segment_size in [wtp]"
                    ),
                });
            }
        }
        for (key, group) in [
            ("send_group", wtp.send_group),
            ("unannounced_group", wtp.unannounced_group),
        ] {
            if (group as usize) < segment {
                self.add(Note {
                    section: "[wtp]",
                    nth: None,
                    key,
                    title: format!("{key} is smaller than one packet"),
                    label: format!("{group} octets, but segment_size is {segment}"),
                    help: format!("set {key} to {segment} or more: one packet is sent in any case"),
                });
            }
        }
        let max_reply = self.settings.connectionless.max_reply;
        if max_reply > LARGEST_UNFRAGMENTED && !self.settings.listen.connectionless.is_empty() {
            self.add(Note {
                section: "[connectionless]",
                nth: None,
                key: "max_reply",
                title: "connectionless replies may be larger than a packet of the network"
                    .to_owned(),
                label: format!(
                    "{max_reply} octets; above {LARGEST_UNFRAGMENTED} they are sent in fragments"
                ),
                help: "many networks drop fragments: set max_reply to 1452".to_owned(),
            });
        }
    }

    /// Timers without effect, because another one always expires first.
    pub(super) fn times(&mut self) {
        let longest = self
            .routes()
            .map(|(_, route)| route.limits.timeout)
            .max()
            .unwrap_or_default();
        let limits: Vec<_> = self
            .routes()
            .map(|(nth, route)| (nth, route.name.to_string(), route.limits))
            .collect();
        for (nth, name, limits) in limits {
            for (key, time) in [
                ("connect_timeout", limits.connect_timeout),
                ("first_byte_timeout", limits.first_byte_timeout),
            ] {
                if time > limits.timeout && self.is_set("[[route]]", Some(nth), key) {
                    self.add(Note {
                        section: "[[route]]",
                        nth: Some(nth),
                        key,
                        title: format!("route {name}: {key} is longer than timeout"),
                        label: format!("{time:?}, but the whole request has {:?}", limits.timeout),
                        help: format!("set {key} below timeout, or remove it"),
                    });
                }
            }
        }
        let wtp = &self.settings.wtp;
        let patience = wtp.base_retry;
        if wtp.base_ack >= patience {
            let label = format!(
                "{:?}; handsets repeat a request after about {patience:?}",
                wtp.base_ack
            );
            self.add(Note {
                section: "[wtp]",
                nth: None,
                key: "base_ack",
                title: "handsets repeat every request that takes long".to_owned(),
                label,
                help: "set base_ack well below base_retry, so that the hold-on acknowledgement comes first"
                    .to_owned(),
            });
        }
        if longest > self.settings.wsp.idle_timeout {
            let label = format!(
                "{:?}, but a route's timeout is {longest:?}",
                self.settings.wsp.idle_timeout
            );
            self.add(Note {
                section: "[wsp]",
                nth: None,
                key: "idle_timeout",
                title: "a session may be forgotten while its request is under way".to_owned(),
                label,
                help: "set idle_timeout above the longest timeout of the routes".to_owned(),
            });
        }
        if let Some(drain) = self.settings.server.drain_timeout
            && drain < longest
        {
            self.add(Note {
                section: "[server]",
                nth: None,
                key: "drain_timeout",
                title: "a stop may cut requests that their route still gives time".to_owned(),
                label: format!("{drain:?}, but a route's timeout is {longest:?}"),
                help: "set drain_timeout above the longest timeout, or remove it".to_owned(),
            });
        }
    }

    /// Limits that exceed the resources that they need.
    pub(super) fn counts(&mut self) {
        let Settings {
            wtp, wsp, limits, ..
        } = self.settings;
        let memory = self.memory();
        let (max_octets, max_reassembly) = (limits.max_octets, wtp.max_reassembly);
        let (max_exchanges, max_transactions) = (limits.max_exchanges, wtp.max_transactions);
        let max_connections = limits.max_connections;
        let sessions = wsp.max_sessions;
        let session_octets = sessions.saturating_mul(crate::wsp::session::OCTETS_PER_SESSION);
        for (key, octets, what) in [
            ("max_octets", max_octets, "bodies"),
            ("max_reassembly", max_reassembly, "messages on their way in"),
            ("max_sessions", session_octets, "sessions"),
        ] {
            if octets > memory / 2 {
                self.add(Note {
                    section: "[limits]",
                    nth: None,
                    key,
                    title: format!("{what} alone may take more than half of memory"),
                    label: format!("{} MiB of {} MiB", octets >> 20, memory >> 20),
                    help: format!(
                        "lower {key}, raise memory, or remove {key}: it follows from memory"
                    ),
                });
            }
        }
        if max_exchanges > max_transactions {
            self.add(Note {
                section: "[limits]",
                nth: None,
                key: "max_exchanges",
                title: "max_exchanges is never reached".to_owned(),
                label: format!(
                    "{max_exchanges}, but there are only {max_transactions} transactions"
                ),
                help: "set max_transactions above max_exchanges".to_owned(),
            });
        }
        // The hard limit: a service manager may give less at first.
        let descriptors = getrlimit(Resource::Nofile).maximum;
        let listen = &self.settings.listen;
        let listening = listen.connection_mode.len()
            + listen.connectionless.len()
            + listen.secure_connection_mode.len()
            + listen.secure_connectionless.len();
        let own = (self.settings.listen.shards * listening + RESERVED_DESCRIPTORS) as u64;
        if let Some(descriptors) = descriptors
            && descriptors < max_connections as u64 + own
        {
            self.add(Note {
                section: "[limits]",
                nth: None,
                key: "max_connections",
                title: format!("there are descriptors for fewer than {max_connections} connections to origins"),
                label: format!("this process may have {descriptors} descriptors"),
                help: format!(
                    "raise the limit to {} (LimitNOFILE= of the unit, ulimit -n), or lower max_connections",
                    max_connections as u64 + own
                ),
            });
        }
    }

    /// `memory` of `[limits]`, from which defaults of other settings follow.
    fn memory(&self) -> usize {
        let memory = self.settings.document.get("limits");
        let memory = memory.and_then(|limits| limits.get("memory"));
        let octets = match memory {
            Some(toml::Value::Integer(octets)) => usize::try_from(*octets).ok(),
            Some(toml::Value::String(text)) => value::octets(text),
            _ => None,
        };
        octets.unwrap_or(usize::MAX)
    }

    /// Octets that a forger may direct to an address.
    pub(super) fn amplification(&mut self) {
        let is_open = self.settings.protection.allow.is_empty();
        let is_public =
            |addresses: &[SocketAddr]| addresses.iter().any(|address| !address.ip().is_loopback());
        if !is_open {
            return;
        }
        let factor = self.settings.connectionless.amplification;
        let reply = (factor * SMALLEST_REQUEST).min(self.settings.connectionless.max_reply);
        if factor > MOST_AMPLIFICATION && is_public(&self.settings.listen.connectionless) {
            self.add(Note {
                section: "[connectionless]",
                nth: None,
                key: "amplification",
                title: "anybody on the Internet may have replies sent to forged addresses".to_owned(),
                label: format!("{SMALLEST_REQUEST} octets bring {reply}, and [protection] allows every address"),
                help: "name the handsets' networks in `allow` of [protection], or lower amplification to 3"
                    .to_owned(),
            });
        }
        let factor = self.settings.protection.amplification;
        if factor as usize > MOST_AMPLIFICATION && is_public(&self.settings.listen.connection_mode)
        {
            self.add(Note {
                section: "[protection]",
                nth: None,
                key: "amplification",
                title: "anybody on the Internet may have packets sent to forged addresses".to_owned(),
                label: format!("{factor} octets for each one, and `allow` is not set"),
                help: "name the handsets' networks in `allow` of [protection], or lower amplification to 3"
                    .to_owned(),
            });
        }
    }
}

/// Packets of a message without extended segmentation and re-assembly (WTP 8.3: a packet sequence
/// number has 8 bits).
const MOST_PACKETS: usize = 256;
/// The largest payload of a UDP datagram on IPv4 that Ethernet carries in one frame.
const LARGEST_UNFRAGMENTED: usize = 1_472;
/// Octets of a Get without headers.
const SMALLEST_REQUEST: usize = 32;
/// Octets for each octet of a forged request, above which an attack becomes attractive.
const MOST_AMPLIFICATION: usize = 10;
