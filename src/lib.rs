//! wapbridge: a WAP gateway. Handsets speak WSP over WTP over UDP on one side, origin servers speak HTTPS on
//! the other, and SyncML passes between them.
//!
//! This is the design: how the code is laid out, where state lives and why. Where it and the code disagree,
//! one of them is wrong.
//!
//! # The idea in one paragraph
//!
//! Everything a handset can observe is decided by **one plain struct, [`gateway::Gateway`], that does no
//! I/O**. It is given datagrams, upstream replies, commands and the time; it gives back datagrams, events
//! ("fetch this", "cancel that", "this exchange is over") and the next moment it wants to be woken. Each
//! shard runs one such struct behind its own sockets. Around it stands a thin tokio shell that moves bytes
//! and keeps one timer. The simulator and the tests drive the very same struct with virtual time and a lossy
//! network; there is no second implementation to keep honest.
//!
//! # The contract of the core
//!
//! - **Inputs never fail.** `handle_datagram`, `handle_reply`, `handle_command`, `handle_timeout` say when
//!   they happened; time never runs backwards. A bad datagram is an ordinary event with an ordinary answer,
//!   or a counter.
//! - **Outputs are drained**, never pushed through callbacks: after any input `poll_transmit`, `poll_event`,
//!   `poll_timeout`. Polling decides nothing, so two runs with one seed are the same octet for octet.
//! - Inner layers use the same verbs plus the primitives of their specification as method names:
//!   [`wtp::Endpoint`] has `invoke`, `accept`, `result`, `abort` for TR-Invoke.req, TR-Invoke.res,
//!   TR-Result.req, TR-Abort.req. Between layers there are no traits, channels or threads: one visible loop
//!   pulls indications from `wtp` and gives them to `wsp`, lending it the layer below for the call.
//! - The core cannot read a clock, draw from the system's randomness or touch a socket:
//!   [`time::Instant`] is our own, [`random::Random`] comes from a seed, and `tests/layering.rs` fails when a
//!   module of ranks 0 to 5 names anything else, or imports upwards.
//!
//! # Modules, by rank
//!
//! A module imports only from lower ranks and from itself.
//!
//! | rank | module | what lives there |
//! | --- | --- | --- |
//! | 0 | [`time`], [`random`], [`codec`], [`wdp`], [`table`] | moments and wake-ups; the seed; shared parsers; peers and datagrams; tables that grow and shrink gradually |
//! | 1 | [`wtp`] | transactions: PDUs, TIDs, segmentation, responder, initiator, [`wtp::Endpoint`] |
//! | 1 | [`wbxml`] | the binary XML codec, its vocabularies, the bridge to text |
//! | 1 | [`radius`] | the packets of RADIUS accounting, and their signatures |
//! | 2 | [`wsp`] | sessions: PDUs, capabilities, header encoding, [`wsp::sessions::Sessions`] |
//! | 2 | [`syncml`] | what a gateway has to know of SyncML |
//! | 2 | [`identity`] | which subscriber has which address |
//! | 3 | [`route`] | from what a handset asks for to where it goes, or a refusal |
//! | 3 | [`explain`] | octets in words, layer by layer |
//! | 4 | [`gateway`] | the loop through the layers; exchanges; WSP to HTTP and back |
//! | 5 | [`handset`], [`sim`], [`trace`] | the client side of the same stack; virtual time, network and origin; one subscriber, for people to look at |
//! | 6 | [`upstream`], [`record`], [`store`] | one HTTPS request, one bounded reply; access log and charging records, each written by a thread of its own; the file that outlives the process, likewise |
//! | 7 | [`config`] | the file: read key by key, every mistake at once |
//! | 8 | [`server`] | sockets, shards, the clock; the handle by which a gateway is told what to be |
//! | 9 | [`admin`] | health, metrics, state, sessions; who may change them |
//! | 10 | [`cli`] | the commands |
//!
//! # One datagram, there and back
//!
//! Open these files in this order; each step is a function call, not a message:
//!
//! 1. `server/shard.rs`: a batch arrives; each datagram goes to `Gateway::handle_datagram`.
//! 2. `gateway/mod.rs`: the socket named the [`wdp::Service`]; connection mode goes to `wtp`.
//! 3. `wtp/endpoint/receive.rs`: decode (`pdu.rs`), find the transaction by peer and TID, or judge a new one
//!    (`tid.rs`); segments wait in `assembler.rs` until the message is whole.
//! 4. `wtp/responder/mod.rs`: the state machine steps; an Invoke indication comes out.
//! 5. `wsp/sessions.rs`: the peer's session is found, `wsp/method.rs` takes the method. (`setup.rs` connects,
//!    suspends and resumes, `push.rs` pushes, `early.rs` holds what came before its Connect, and
//!    `connectionless.rs` does without all of it: one datagram there, one back.)
//! 6. `gateway/mod.rs` with `request.rs` and `route/`: headers are decoded, a route is found, the exchange
//!    is admitted (`exchange.rs`), `Event::Fetch` goes out.
//! 7. `server/shard.rs` starts `Upstream::fetch`; its result returns through `Gateway::handle_reply`.
//! 8. Back: `gateway/reply.rs` (status, headers, body) → `wsp/sessions.rs` → `wtp/responder/mod.rs` keeps the
//!    result as `Bytes` → `poll_transmit` encodes the next PDU straight into the send buffer of
//!    `server/outbox.rs`, which gives the kernel what goes to one handset at a time.
//!
//! # State
//!
//! | state | owner | key | survives a restart |
//! | --- | --- | --- | --- |
//! | transactions, their deadlines and retained messages | [`wtp::Endpoint`] | peer and TID | no; handsets retransmit |
//! | last TID per peer, bounded, forgotten after `tid_lifetime` | [`wtp`] | peer | no; unknown peers are verified |
//! | sessions and methods | [`wsp::sessions::Sessions`] of one shard | peer, session id | the record only ([`wsp::saved`]), in the store; without one handsets connect anew |
//! | which sessions live elsewhere than their id says | [`gateway::directory::Directory`] | session id | no; then all come from the store |
//! | POSTs of connectionless mode, recognised for 10 s | [`wsp::connectionless::Connectionless`] | sender, TID and digest | no |
//! | cookies, if the gateway keeps them | [`gateway::Gateway`] | session id | no |
//! | who has which address | `identity::directory` on the control thread; a copy in each [`gateway::Gateway`] | prefix | what accounting told, in the store; without one access servers report anew |
//! | what each address has used | [`gateway::Gateway`] | address, /64 | no |
//! | exchanges in flight | [`gateway::Gateway`] | [`gateway::fetch::RequestId`] | no |
//! | charging records, and what was answered and is not over | [`record::charging::Clerk`] | sequence number, id | yes: files and journal |
//! | connections to origins | [`upstream::Upstream`] of one shard | origin | no |
//!
//! **Decoding borrows from the receive buffer; what must outlive the datagram is copied once into `Bytes`,
//! at the place that retains it.** Outgoing results are `Bytes`; segments are slices of them. Nothing waits
//! in an output queue but answers that belong to no transaction, in one bounded ring: a transaction holds
//! what it would say next, and `poll_transmit` encodes on demand. A blocked socket makes us stop polling.
//!
//! **A deadline is a field of the state it belongs to**, so leaving the state disarms it. [`time::Timers`] is
//! only an index, with one wake-up per slot that counts; each shard sleeps on exactly one tokio timer.
//!
//! # From start to end
//!
//! `cli/serve/parts.rs` starts what a gateway consists of, in order, and stops it in the reverse; `life.rs` beside
//! it obeys signals and whoever holds a [`server::Control`], one order after the other. All sockets are bound,
//! and it is known who has which address, before one is read; and no socket is ever read by two processes: the kernel
//! deals handsets out to the sockets of an address, so their number stays what it is for the life of a process, and,
//! when a service manager holds them, from one process to the next ([`server::Inherited`]). On the way out
//! ([`server::Departure`]) nothing that has begun is cut before its time; what has not begun is refused, or left
//! unanswered for the next process to hear again.
//!
//! **A million idle sessions are an ordinary day**, so what grows with them is small, grows by a page or a part at a
//! time ([`table`]), and is given back. A session is some hundred octets, its deadline a place in a queue in the
//! order of use, and what handsets of one model say when they connect is kept, and decoded, once
//! ([`wsp::profile`]). `tests/allocations.rs` holds us to it.
//!
//! # Shards
//!
//! A shard is one thread, one socket per address, one [`gateway::Gateway`], one mailbox; nothing on the way of a
//! datagram is shared, locked or atomic. The kernel keeps a quadruplet on one socket, which keeps its TIDs,
//! transactions and session on one shard. Only a Resume comes from a new address and may land anywhere, and only
//! its session's record has to move: what is outstanding is aborted by the specification.
//!
//! 1. Shard B does not know the id. The Resume waits, under WTP's hold-on acknowledgements, and [`gateway::Event::Claim`]
//!    goes out ([`wsp::claim`]).
//! 2. The directory, on a thread of its own (`server/claims.rs`), tells the shard that has the session to release it. An
//!    id tells the shard that made it, so nothing is kept of a session that never moved; of those that did, one entry. The
//!    directory takes one claim after the other, so that of two Resumes the later one gets the session.
//! 3. A gives it up and forgets it, [`gateway::Event::Released`]; B takes it in with [`gateway::Gateway::handle_claim`]
//!    and hears the Resume again, as if it came just now. A claim that is not answered in 2 s ends without; a
//!    session that comes later is taken in all the same, for nobody else has it.
//!
//! With a store, what changes in a session is saved: at Connect, Suspend, Resume and the end, and every quarter of
//! `idle_timeout` while it is used; never with a method. Whoever comes to a gateway that was started anew is looked for
//! there, by id or by peer, when no shard has him. Commits are synchronised: all but the last 200 ms survive a kill,
//! and a loss of power.
//!
//! # Limits
//!
//! UDP has no back-pressure, so every refusal is an answer the handset understands, given by the first layer
//! that knows, and each is counted.
//!
//! What operators set for all shards together is cut into equal shares once their number is known
//! ([`gateway::Config::share`]).
//!
//! | limit | when reached |
//! | --- | --- |
//! | transactions, in all and per peer | Invoke ignored (WTP 7.6) |
//! | size of one message; octets in reassembly | Abort MESSAGETOOLARGE; CAPTEMPEXCEEDED |
//! | complete request above the negotiated server SDU | Abort MRUEXCEEDED |
//! | unverified peers | TID verification before any work |
//! | sessions; octets of what their clients say of themselves, equal ones counted once | Abort CONGESTION |
//! | outstanding methods per session | Abort MOREXCEEDED |
//! | confirmed pushes outstanding | refused to who asked |
//! | methods ahead of their Connect | Abort DISCONNECT |
//! | sessions claimed at once, and of one peer; claims of an address for what nobody has | Abort DISCONNECT |
//! | what waits to be settled between shards, or to be stored | the claim ends at its deadline; what changed is not stored; counted |
//! | sessions in the store, and their age | not stored; forgotten |
//! | octets of requests in several SDUs | Abort MRUEXCEEDED, CONGESTION |
//! | handsets outside the networks allowed; octets per address | dropped unseen |
//! | requests per address, and in all | Abort CAPTEMPEXCEEDED to who has a session, else dropped |
//! | requests per subscriber | WSP reply 503 with Retry-After |
//! | octets to an address that has proved nothing, against those from it | not sent |
//! | sessions per address | Abort CONGESTION |
//! | addresses and subscribers watched | those who use nothing are forgotten; else strangers are dropped |
//! | accounting sessions, in all and per RADIUS client | not answered |
//! | rate per address, connectionless (nothing proves the address) | dropped |
//! | octets of a reply against those of its request, connectionless | WSP reply 502 |
//! | answers remembered, connectionless | the oldest is forgotten |
//! | log lines that wait to be written (8 MiB) | lost and counted; no shard waits |
//! | charging records that wait to be written (32 MiB) | lost and counted, and their numbers are missing |
//! | upstream requests in flight; octets of bodies under way | WSP reply 503 |
//! | reply larger than the client SDU or the route's limit | WSP reply 502; 413 only when the origin said so |
//! | time for one exchange | `Cancel`, WSP reply 504 |
//! | traces at once; octets, time and what may wait of each | refused; it ends; counted as lost |
//!
//! [`gateway::answer`] is the only place that turns a failure into a wire answer. A POST is never sent
//! upstream twice, except that hyper may resend one it got back unsent from a reused connection, and that a
//! translating route asks once more in the other notation after 415 or 406. An idempotent request is sent once
//! more when its connection ends before its reply.
//!
//! Abort, Disconnect, Suspend, Resume, a new Connect of the same peer and an expired deadline all end an
//! exchange the same way: it is removed and `Event::Cancel` is emitted once. A reply that was already under
//! way carries a stale name and finds nobody.

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
pub mod explain;
pub mod gateway;
pub mod handset;
pub mod identity;
pub mod radius;
pub mod random;
pub mod record;
pub mod route;
pub mod server;
pub mod sim;
pub mod store;
pub mod syncml;
pub mod table;
pub mod time;
pub mod trace;
pub mod upstream;
pub mod wbxml;
pub mod wdp;
pub mod wsp;
pub mod wtp;
