//! The kernel's filter of a live capture, in instructions of classic BPF: only packets that
//! `decode` may explain come to this process.
//!
//! Packets begin at their IP header (SOCK_DGRAM of packet(7)). Packets whose ports stand behind
//! IPv6 extension headers pass; [`Selection`](super::selection::Selection) and the dissector look
//! at them again.

use socket2::SockFilter;

/// One instruction (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    /// Instructions to skip if the comparison holds.
    then: u8,
    /// Instructions to skip if not.
    otherwise: u8,
    value: u32,
}

impl From<Instruction> for SockFilter {
    fn from(instruction: Instruction) -> Self {
        let Instruction {
            code,
            then,
            otherwise,
            value,
        } = instruction;
        Self::new(code, then, otherwise, value)
    }
}

/// Lets nothing pass.
pub(super) fn nothing() -> Vec<Instruction> {
    vec![plain(RETURN, 0)]
}

/// Lets UDP and TCP packets from and to these ports pass, of the interface with this index, or of
/// all. A packet of the loopback interface passes once, when it arrives.
///
/// The number of ports is at most [`MOST_PORTS`], so that every jump fits an octet.
pub(super) fn of_ports(interface: Option<u32>, ports: &[u16]) -> Vec<Instruction> {
    let mut program = Vec::new();
    if let Some(index) = interface {
        program.extend([
            plain(LOAD_WORD, ancillary(INTERFACE)),
            unless(index, 1, 0),
            plain(RETURN, 0),
        ]);
    }
    // Loopback shows each packet as sent and as received.
    program.extend([
        plain(LOAD_WORD, ancillary(PACKET_TYPE)),
        unless(OUTGOING, 0, 3),
        plain(LOAD_WORD, ancillary(HARDWARE)),
        unless(LOOPBACK, 0, 1),
        plain(RETURN, 0),
    ]);
    let ports: Vec<u32> = ports.iter().copied().map(u32::from).collect();
    let (v4, v6) = (of_ipv4(&ports), of_ipv6(&ports));
    let over_v4 = u32::try_from(v4.len()).unwrap_or(u32::MAX);
    program.extend([
        plain(LOAD_WORD, ancillary(PROTOCOL)),
        unless(IPV4, 0, 1),
        plain(JUMP, 3),
        unless(IPV6, 0, 1),
        plain(JUMP, 1 + over_v4),
        plain(RETURN, 0),
    ]);
    program.extend(v4);
    program.extend(v6);
    program
}

/// UDP or TCP, no later fragment, and one of the ports.
fn of_ipv4(ports: &[u32]) -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD_OCTET, 9),
        unless(UDP, 2, 0),
        unless(TCP, 1, 0),
        plain(RETURN, 0),
        plain(LOAD_HALF, 6),
        Instruction {
            code: JUMP_IF_SET,
            then: 0,
            otherwise: 1,
            value: 0x1FFF,
        },
        plain(RETURN, 0),
        // X is the length of the header.
        plain(LOAD_X_HEADER, 0),
    ];
    program.extend(one_of(ports, LOAD_HALF_X, 0));
    program
}

/// UDP or TCP at once and one of the ports, or an extension header.
fn of_ipv6(ports: &[u32]) -> Vec<Instruction> {
    // Hop-by-hop, routing, fragment, authentication, destination options.
    let extensions = [0, 43, 44, 51, 60];
    let over = 5 + 2;
    let mut program = vec![
        plain(LOAD_OCTET, 6),
        unless(UDP, 0, 1),
        plain(JUMP, 2 + over),
        unless(TCP, 0, 1),
        plain(JUMP, over),
    ];
    for (extension, left) in extensions.into_iter().zip([5, 4, 3, 2, 1]) {
        program.push(unless(extension, left, 0));
    }
    program.extend([plain(RETURN, 0), plain(RETURN, WHOLE)]);
    program.extend(one_of(ports, LOAD_HALF, 40));
    program
}

/// Passes if the half word at this offset, or the one behind it, is one of the ports.
fn one_of(ports: &[u32], load: u16, offset: u32) -> Vec<Instruction> {
    let mut program = Vec::new();
    let each = ports.len() + 1;
    let whole = 2 * each;
    for half in [0, 1] {
        program.push(plain(load, offset + 2 * half));
        for port in ports {
            // To the last instruction, over those between and the refusal before it.
            let over = whole - program.len();
            program.push(unless(*port, u8::try_from(over).unwrap_or(u8::MAX), 0));
        }
    }
    program.extend([plain(RETURN, 0), plain(RETURN, WHOLE)]);
    program
}

const fn plain(code: u16, value: u32) -> Instruction {
    Instruction {
        code,
        then: 0,
        otherwise: 0,
        value,
    }
}

/// Compares: skips so many instructions if equal, and so many if not.
const fn unless(value: u32, then: u8, otherwise: u8) -> Instruction {
    Instruction {
        code: JUMP_IF_EQUAL,
        then,
        otherwise,
        value,
    }
}

/// A value beside the packet (SKF_AD_OFF of linux/filter.h).
const fn ancillary(offset: u32) -> u32 {
    0xFFFF_F000 + offset
}

/// Ports of one filter.
pub(super) const MOST_PORTS: usize = 64;

// Instructions.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_OCTET: u16 = 0x30;
const LOAD_HALF_X: u16 = 0x48;
const LOAD_X_HEADER: u16 = 0xB1;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
/// Octets of a packet that passes: all.
const WHOLE: u32 = 0x4_0000;

// Values beside the packet.
const PROTOCOL: u32 = 0;
const PACKET_TYPE: u32 = 4;
const INTERFACE: u32 = 8;
const HARDWARE: u32 = 28;

/// PACKET_OUTGOING (linux/if_packet.h).
const OUTGOING: u32 = 4;
/// ARPHRD_LOOPBACK (linux/if_arp.h).
const LOOPBACK: u32 = 772;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86DD;
const UDP: u32 = 17;
const TCP: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet and the values beside it.
    #[derive(Clone)]
    struct Seen {
        protocol: u32,
        packet_type: u32,
        interface: u32,
        hardware: u32,
        octets: Vec<u8>,
    }

    /// The kernel's machine, as far as programs here need it. A load behind the packet's end
    /// refuses the packet.
    fn run(program: &[Instruction], seen: &Seen) -> u32 {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        let load = |offset: u32, len: usize| {
            let start = offset as usize;
            let octets = seen.octets.get(start..start + len)?;
            Some(
                octets
                    .iter()
                    .fold(0, |value, octet| value << 8 | u32::from(*octet)),
            )
        };
        loop {
            let Instruction {
                code,
                then,
                otherwise,
                value,
            } = program[at];
            at += 1;
            let loaded = match code {
                LOAD_WORD => Some(match value - 0xFFFF_F000 {
                    PROTOCOL => seen.protocol,
                    PACKET_TYPE => seen.packet_type,
                    INTERFACE => seen.interface,
                    HARDWARE => seen.hardware,
                    other => panic!("{other}"),
                }),
                LOAD_HALF => load(value, 2),
                LOAD_OCTET => load(value, 1),
                LOAD_HALF_X => load(x + value, 2),
                LOAD_X_HEADER => {
                    x = (load(value, 1).unwrap() & 0xF) * 4;
                    continue;
                }
                JUMP => {
                    at += value as usize;
                    continue;
                }
                JUMP_IF_EQUAL | JUMP_IF_SET => {
                    let holds = if code == JUMP_IF_EQUAL {
                        a == value
                    } else {
                        a & value != 0
                    };
                    at += usize::from(if holds { then } else { otherwise });
                    continue;
                }
                RETURN => return value,
                other => panic!("{other:#x}"),
            };
            match loaded {
                Some(value) => a = value,
                None => return 0,
            }
        }
    }

    fn passes(interface: Option<u32>, ports: &[u16], seen: &Seen) -> bool {
        run(&of_ports(interface, ports), seen) > 0
    }

    fn v4(protocol: u8, from: u16, to: u16) -> Seen {
        // A header of 24 octets: one word of options.
        let mut octets = vec![0x46, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol];
        octets.resize(24, 0);
        octets.extend(from.to_be_bytes());
        octets.extend(to.to_be_bytes());
        Seen {
            protocol: IPV4,
            packet_type: 0,
            interface: 2,
            hardware: 1,
            octets,
        }
    }

    fn v6(next: u8, from: u16, to: u16) -> Seen {
        let mut octets = vec![0x60, 0, 0, 0, 0, 0, next];
        octets.resize(40, 0);
        octets.extend(from.to_be_bytes());
        octets.extend(to.to_be_bytes());
        Seen {
            protocol: IPV6,
            octets,
            ..v4(17, 0, 0)
        }
    }

    #[test]
    fn the_ports_decide_on_either_end() {
        let ports = [9200, 9201, 650];
        for make in [v4, v6] {
            for port in ports {
                assert!(passes(None, &ports, &make(17, 40_000, port)), "to {port}");
                assert!(passes(None, &ports, &make(6, port, 40_000)), "from {port}");
            }
            assert!(!passes(None, &ports, &make(17, 40_000, 53)));
            assert!(!passes(None, &ports, &make(1, 9200, 9200)), "ICMP");
        }
        let many: Vec<u16> = (1..=u16::try_from(MOST_PORTS).unwrap()).collect();
        for make in [v4, v6] {
            assert!(
                passes(None, &many, &make(17, 1, 999)) && passes(None, &many, &make(17, 999, 64))
            );
            assert!(!passes(None, &many, &make(17, 999, 65)));
        }
    }

    #[test]
    fn later_fragments_do_not_pass_and_extension_headers_do() {
        let mut later = v4(17, 9201, 9201);
        later.octets[7] = 1;
        assert!(!passes(None, &[9201], &later));
        let mut first = v4(17, 9201, 9201);
        first.octets[6] = 0x20;
        assert!(passes(None, &[9201], &first));
        for extension in [0, 43, 44, 51, 60] {
            assert!(passes(None, &[9201], &v6(extension, 0, 0)), "{extension}");
        }
        assert!(!passes(None, &[9201], &v6(58, 9201, 9201)), "ICMPv6");
        let arp = Seen {
            protocol: 0x0806,
            ..v4(17, 9201, 9201)
        };
        assert!(!passes(None, &[9201], &arp));
    }

    #[test]
    fn one_interface_or_all_and_loopback_once() {
        let seen = v4(17, 1, 9201);
        assert!(passes(Some(2), &[9201], &seen) && !passes(Some(3), &[9201], &seen));
        let sent = Seen {
            packet_type: OUTGOING,
            ..seen
        };
        assert!(passes(None, &[9201], &sent), "what this host sends");
        let looped = Seen {
            hardware: LOOPBACK,
            ..sent.clone()
        };
        assert!(!passes(None, &[9201], &looped));
        assert!(passes(
            None,
            &[9201],
            &Seen {
                packet_type: 0,
                ..looped
            }
        ));
        assert_eq!(run(&nothing(), &sent), 0);
    }
}
