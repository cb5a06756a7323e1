//! Either kind of provider behind one face.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::{Class, Endpoint, Handle, Indication};

use super::plain::Plain;

/// A transaction, as its node numbers it.
pub(crate) type Id = u64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Invoke {
        id: Id,
        class: u8,
        uack: bool,
        data: Vec<u8>,
    },
    InvokeConfirmed {
        id: Id,
        info: Vec<u8>,
    },
    Result {
        id: Id,
        data: Vec<u8>,
    },
    ResultConfirmed {
        id: Id,
        info: Vec<u8>,
    },
    Abort {
        id: Id,
    },
}

pub(crate) enum Node {
    Plain(Plain),
    Ours(Box<Ours>),
}

pub(crate) struct Ours {
    pub(crate) endpoint: Endpoint,
    peer: Peer,
    ids: HashMap<Handle, Id>,
    handles: HashMap<Id, Handle>,
    next: Id,
}

impl Ours {
    pub(crate) fn new(endpoint: Endpoint, own_port: u16, other_port: u16) -> Self {
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        Self {
            endpoint,
            peer: Peer::new(at(other_port), at(own_port)),
            ids: HashMap::new(),
            handles: HashMap::new(),
            next: 0,
        }
    }

    fn id(&mut self, handle: Handle) -> Id {
        if let Some(&id) = self.ids.get(&handle).filter(|_| handle != Handle::OVER) {
            return id;
        }
        self.next += 1;
        self.ids.insert(handle, self.next);
        self.handles.insert(self.next, handle);
        self.next
    }
}

impl Node {
    pub(crate) fn hear(&mut self, now: Instant, datagram: &[u8]) {
        match self {
            Self::Plain(plain) => plain.hear(now, datagram),
            Self::Ours(ours) => ours.endpoint.handle_datagram(now, ours.peer, datagram),
        }
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        match self {
            Self::Plain(plain) => plain.timeout(now),
            Self::Ours(ours) => ours.endpoint.handle_timeout(now),
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        match self {
            Self::Plain(plain) => plain.next_timer(),
            Self::Ours(ours) => ours.endpoint.poll_timeout(),
        }
    }

    pub(crate) fn transmit(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(plain) => (!plain.out.is_empty()).then(|| plain.out.remove(0)),
            Self::Ours(ours) => {
                let mut buf = Vec::new();
                let transmit = ours.endpoint.poll_transmit(&mut buf)?;
                assert_eq!((transmit.peer, transmit.len), (ours.peer, buf.len()));
                Some(buf)
            }
        }
    }

    pub(crate) fn event(&mut self) -> Option<Event> {
        match self {
            Self::Plain(plain) => (!plain.events.is_empty()).then(|| plain.events.remove(0)),
            Self::Ours(ours) => Some(match ours.endpoint.poll_indication()? {
                Indication::Invoke {
                    handle,
                    class,
                    user_ack,
                    data,
                    ..
                } => Event::Invoke {
                    id: ours.id(handle),
                    class: class.to_wire(),
                    uack: user_ack,
                    data: data.to_vec(),
                },
                Indication::InvokeConfirmed {
                    handle, exit_info, ..
                } => Event::InvokeConfirmed {
                    id: ours.id(handle),
                    info: exit_info.to_vec(),
                },
                Indication::Result { handle, data, .. } => Event::Result {
                    id: ours.id(handle),
                    data: data.to_vec(),
                },
                Indication::ResultConfirmed {
                    handle, exit_info, ..
                } => Event::ResultConfirmed {
                    id: ours.id(handle),
                    info: exit_info.to_vec(),
                },
                Indication::Abort { handle, .. } => Event::Abort {
                    id: ours.id(handle),
                },
                other => panic!("nobody sends fragments here: {other:?}"),
            }),
        }
    }

    pub(crate) fn invoke(&mut self, now: Instant, class: u8, uack: bool, data: &[u8]) -> Id {
        match self {
            Self::Plain(plain) => plain.invoke(now, class, uack, data),
            Self::Ours(ours) => {
                let class = [Class::Zero, Class::One, Class::Two][usize::from(class)];
                let whole = Bytes::copy_from_slice(data);
                let begun = ours
                    .endpoint
                    .invoke(now, ours.peer, class, uack, whole.clone());
                // Without extended SAR there is an end to what can be sent.
                let begun = begun.or_else(|_| {
                    let part = whole.slice(..20_000);
                    ours.endpoint.invoke(now, ours.peer, class, uack, part)
                });
                let handle = begun.unwrap();
                ours.id(handle)
            }
        }
    }

    pub(crate) fn accept(&mut self, now: Instant, id: Id, info: &[u8]) {
        match self {
            Self::Plain(plain) => plain.accept(now, id, info),
            Self::Ours(ours) => ours.endpoint.accept(now, ours.handles[&id], info),
        }
    }

    pub(crate) fn result(&mut self, now: Instant, id: Id, data: &[u8]) {
        match self {
            Self::Plain(plain) => plain.result(now, id, data),
            Self::Ours(ours) => {
                let data = Bytes::copy_from_slice(data);
                ours.endpoint.result(now, ours.handles[&id], data);
            }
        }
    }

    pub(crate) fn acknowledge(&mut self, now: Instant, id: Id, info: &[u8]) {
        match self {
            Self::Plain(plain) => plain.acknowledge(now, id, info),
            Self::Ours(ours) => ours.endpoint.acknowledge(now, ours.handles[&id], info),
        }
    }

    pub(crate) fn abort(&mut self, now: Instant, id: Id, reason: u8) {
        match self {
            Self::Plain(plain) => plain.abort(id, reason),
            Self::Ours(ours) => ours.endpoint.abort(now, ours.handles[&id], reason),
        }
    }

    pub(crate) fn live(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.live(),
            Self::Ours(ours) => ours.endpoint.transactions(),
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}
