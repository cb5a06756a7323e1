//! wapbridge: a WAP gateway. Handsets speak WSP over WTP over UDP on one side, origin servers speak
//! HTTPS on the other, and SyncML passes between them.
//!
//! This is the design: the layout of the code, the place of every state, and the reasons. Where the
//! design and the code disagree, one of them is wrong.
//!
//! # Words
//!
//! - A **transaction** is one WTP exchange of PDUs: an Invoke, for class 2 a Result, and their
//!   acknowledgements.
//! - An **exchange** is one request of a handset, from its first packet to the last acknowledgement
//!   of its reply: one WSP method in one transaction (or one datagram each way in connectionless
//!   mode), and its upstream request.
//! - A **shard** is one thread with its own sockets, its own core and its own upstream client.
//! - A **claim** asks for a session that another shard or the store may have.
//! - A **node** is a process among others that share one store.
//! - A **push** is one submission of a push initiator. Each of its recipients has a **delivery**; a
//!   delivery makes **attempts**, one bearer after the other, and a **round** is one attempt by each
//!   bearer. A pause follows a round that failed.
//! - The **core** is ranks 0 to 5 of the modules: no I/O. The **shell** is the rest: sockets,
//!   clock, tasks.
//!
//! # The idea in one paragraph
//!
//! **One plain struct, [`gateway::Gateway`], decides everything that a handset can observe, without
//! I/O.** Its inputs are datagrams, upstream replies, commands and the time. Its outputs are
//! datagrams, events ("fetch this", "cancel that", "this exchange is over") and the time of its
//! next wake-up. Each shard has one such struct behind its own sockets. The tokio code around it
//! moves octets and keeps one timer. The simulator and the tests drive the same struct with virtual
//! time and a lossy network. There is no second implementation.
//!
//! # The contract of the core
//!
//! - **Inputs never fail.** `handle_datagram`, `handle_reply`, `handle_command`, `handle_timeout`
//!   are given the time, which never runs backwards. A malformed datagram is an ordinary event with
//!   an ordinary answer, or a counter.
//! - **Outputs are drained**, never pushed through callbacks: after any input `poll_transmit`,
//!   `poll_event`, `poll_timeout`. Polling makes no protocol decision. It only discards datagrams
//!   beyond the credit of an unproved address. Two runs with one seed are equal octet for octet.
//! - Inner layers use the same verbs, and the primitives of their specification as method names:
//!   [`wtp::Endpoint`] has `invoke`, `accept`, `result`, `abort` for TR-Invoke.req, TR-Invoke.res,
//!   TR-Result.req, TR-Abort.req. Between layers there are no traits, channels or threads. One
//!   visible loop takes indications from `wtp` and gives them to `wsp`, and lends `wsp` the layer
//!   below for the call.
//! - The core cannot read a clock, use the system's randomness or touch a socket: [`time::Instant`]
//!   is our own type, and [`random::Random`] comes from a seed. `tests/layering.rs` fails when a
//!   module of ranks 0 to 5 names another source, or imports upwards.
//!
//! # Modules, by rank
//!
//! A module imports only from lower ranks and from itself.
//!
//! | rank | module | contents |
//! | --- | --- | --- |
//! | 0 | [`time`], [`random`], [`codec`], [`wdp`], [`table`], [`printable`], `defect` | instants and wake-ups; the seed; shared parsers; peers and datagrams; tables that grow and shrink gradually; text that is safe to print; mistakes that tests plant |
//! | 1 | [`limit`] | rates and growing pauses per source, in tables that forget idle sources |
//! | 1 | [`wtp`] | transactions: PDUs, TIDs, segmentation, responder, initiator, [`wtp::Endpoint`] |
//! | 1 | [`trace_context`] | the ids of a trace, and the header field that carries them |
//! | 1 | `wtls` (feature `wtls`) | records, handshakes, connections by quadruplet: the secure ports, and the client of the tools |
//! | 1 | [`wbxml`] | the binary XML codec, its vocabularies, the bridge to text |
//! | 1 | [`sms`] | the header of user data by which datagrams travel in short messages |
//! | 1 | [`obex`] | packets and sessions of OBEX, for SyncML and IrMC |
//! | 1 | [`radius`] | packets of RADIUS accounting, and their signatures |
//! | 2 | [`wsp`] | sessions: PDUs, capabilities, header encoding, [`wsp::sessions::Sessions`] |
//! | 2 | [`syncml`] | SyncML as far as a gateway needs it |
//! | 2 | [`smpp`] | one session with an SMS centre |
//! | 2 | [`identity`] | subscribers by address |
//! | 3 | [`route`] | a request to its upstream, or to a refusal |
//! | 3 | [`explain`] | octets in words, layer by layer |
//! | 3 | [`push`] | from a push initiator's document to what is delivered to a client |
//! | 4 | [`gateway`] | the loop through the layers; exchanges; WSP to HTTP and back |
//! | 5 | [`handset`], [`sim`], [`trace`] | the client side of the same stack; virtual time, network and origin; one subscriber's datagrams for operators |
//! | 6 | [`server_tls`] | certificate and key of a TCP listener of the gateway |
//! | 6 | [`worker`] | a thread with a bounded queue of messages |
//! | 7 | [`smsc`] | connections to SMS centres; the centre of each number |
//! | 7 | [`upstream`], [`record`], [`store`] | one HTTPS request, one bounded reply; access log and charging records; what survives the process: a file, or Redis for several nodes. `record` and `store` write on a [`worker`] |
//! | 7 | [`initiator`] | push initiators: their credentials, their limits, their targets; terminals that get pushes over HTTP |
//! | 8 | [`config`] | the configuration file, read key by key, with every error at once |
//! | 9 | [`server`] | sockets, shards, the clock; the handle by which operators change the gateway's state |
//! | 10 | [`admin`] | health, metrics, state, sessions; their access rules |
//! | 11 | [`cli`] | the commands |
//!
//! # Where to change what
//!
//! Paths are relative to `src` unless they name another folder. Compiler errors name the struct
//! literals of tests and benches that a new field needs.
//!
//! | change | files |
//! | --- | --- |
//! | a WSP header field | a row in `wsp/header/table.rs` (code, version, name, form, `.list` where the value is one) and the length of `ROWS`; rows stand at the place of their code; a second code of a known name also in `has_twin`; a `field` row in `fixtures/wsp/numbers.tsv`; in `fixtures/wsp/fields.tsv` one example for each form of the value. Codes above 0x47 are read and never written: their examples begin with `<`. A new form also in `wsp/header/value.rs` and `wsp/header/form.rs`. Other assigned numbers: `wsp/header/charset.rs`, `wsp/header/media_types.rs`, `wsp/header/language.rs`, with `fixtures/wsp/numbers.tsv`. Fields that tshark reads otherwise: `tests/peers/wsp_headers`. A field that must not reach origins: `THIS_HOP_NAMES` in `gateway/request.rs`; one that must not reach handsets, or its rank where the reply is too large: `gateway/reply.rs` |
//! | a WSP or WTP state, event or row | `wsp/session.rs`, `wsp/method.rs`, `wsp/push.rs`, `wtp/responder/mod.rs`, `wtp/initiator.rs`: one arm per row; the specification's rows are in `fixtures/wsp` and `fixtures/wtp` |
//! | a setting | the field with its meaning and default in the layer's own settings (`wtp/config.rs`, `wsp/config.rs`, `wsp/connectionless.rs`, `gateway/settings.rs`, `gateway/protection.rs`, `route/mod.rs`, `wtls/config.rs`); a limit of all shards together also in `share` of `gateway/settings.rs` or `wtls/config.rs`; one line where its section is read (`config/core.rs` for `[wtp]`, `[wsp]`, `[connectionless]`, `[headers]`, `[limits]` and the limits per address of `[protection]`, else the file of that name in `config`); the line in `deploy/wapbridge.toml`. Contradictions with other settings: `config/advice/limits.rs`. A setting that a reload cannot change: `ROWS` in `config/restart.rs`. `WAPBRIDGE_DOCUMENTS=write cargo test --test house` writes the row in `deploy/OPERATIONS.md`. Example: `idle_timeout`, after which any session ends, suspended or not: field in `wsp/config.rs`, used in `wsp/sessions/mod.rs`, read in `read_wsp` of `config/core.rs`, followed by the age of stored sessions in `config/store.rs` and by the contradiction with the timeouts of routes in `config/advice/limits.rs`, tested in `tests/sim/scenarios/single.rs`. Tests of reading: `tests/house/config` |
//! | a counter of the core | a field in the `Stats` of its layer (`wtp/report.rs`, `wsp/stats.rs`, `wsp/connectionless.rs`, `gateway/protection.rs`, or `gateway/stats.rs`, which contains all of them), and a row in `admin/metrics/table.rs`. A counter of a socket: `server/socket_stats.rs`; of secure ports: `wtls/stats.rs`; of another component: a field in `admin/snapshot.rs`. A reason for a drop is a label's value in the row of its family. A new family also in `fixtures/metrics.txt`, and in `cli/top/errors.rs` if it counts errors. `WAPBRIDGE_DOCUMENTS=write cargo test --test house` writes the list in `deploy/OPERATIONS.md`; the reasons under "Protection" there are written by hand |
//! | an answer to a failure | `gateway/answer.rs`: status, label, text, remedy; `PROBLEMS` in `gateway/stats.rs`. A failure of the origin: `Failure` in `gateway/fetch.rs`, found in `upstream/mod.rs` or `upstream/error.rs`; its effect on the health of the host: `upstream/health.rs`, and on the order of hosts: `upstream/failover.rs`. A whole reply that cannot be used: `answer` in `gateway/lifecycle.rs`, `gateway/content.rs`, `gateway/coding.rs`. A status that is only replaced: `status` in `gateway/reply.rs`. The row under "What the handset sees" in `deploy/OPERATIONS.md`. Tests: `tests/process/end_to_end/failures.rs`, `tests/sim/scenarios/content.rs` |
//! | a limit | the setting and its counter as above; the check where the resource is taken: `wtp/pool.rs`, `wsp/sessions/setup.rs`, `gateway/usage.rs`, `gateway/protection.rs`, `wtls/endpoint/handshake.rs`. A refused Connect is counted in `wsp/sessions/setup.rs` (Abort) or `wsp/sessions/primitives.rs` (status, Redirect). Tests: `tests/sim/scenarios/limits.rs`, `tests/sim/protection.rs`, `tests/protocol/wtls/limits.rs` |
//! | a field of the access log or a column of charging records | `gateway/record.rs`; its value in `gateway/lifecycle.rs` (`new_record`) or `gateway/admission.rs`, from the transaction through `wtp/report.rs`; written in `record/access.rs` or `record/charging/encode.rs`; the example in `record/sample.rs`; the row in `deploy/OPERATIONS.md` |
//! | an attribute or a phase of spans | `record/spans/span.rs`; a fact that the record lacks as for the access log. The table under "Tracing" in `deploy/OPERATIONS.md`. The ids themselves: `trace_context.rs`; exemplars: `admin/metrics/open_metrics.rs`. Tests: `tests/process/running/otlp.rs` |
//! | a condition of routes | there are: URI, port, `secured`, binding, OBEX target, method, media type, User-Agent and SyncML version, in any combination. Another one: `route/condition.rs`; the fact in `RequestView` of `route/mod.rs`, known in `gateway/admission.rs` and by an option in `cli/route.rs`; the key in `config/routes.rs` and its `CONDITIONS` |
//! | the treatment of a route's hosts (balance, affinity, ejection, checks, requests at a time, retries) | `route/host_policy.rs`; the keys in `config/host_policy.rs`, weights in `config/destination.rs`; the state of a host in `upstream/host_state.rs` and `upstream/ejection.rs`, of a route's hosts together in `upstream/host_group.rs`, the order of hosts in `upstream/failover.rs`, the choice of the first one in `upstream/balance.rs`, sessions that stay in `upstream/affinity.rs`, the retry budget in `upstream/retry_budget.rs`, a check in `upstream/check.rs`, the task of the checks in `server/health_checks.rs`. Tests: `tests/upstream/hosts.rs`, `tests/process/cli/hosts.rs` |
//! | an action of routes on headers | `route/headers.rs`; the keys in `config/routes.rs` |
//! | a final state of pushes | `push/pap/status.rs` (`MessageState`); the place that decides the state: `push/ppg/attempt.rs`, for a cancel `push/ppg/answer.rs`, for a refusal `push/ppg/submit.rs`. A bearer's result: `Outcome` in `push/mod.rs`, `server/push/bearer.rs`, `smsc/bearer.rs`. The log and the list of pushes follow `MessageState::ALL`, metrics `MessageState::FINAL`. Tests: `tests/protocol/push` |
//! | a WBXML vocabulary | a file in `wbxml/tables`, `fixtures/wbxml` |
//! | a scenario of the simulator | a file of `tests/sim/scenarios`, whose tests run in clear text and through the secure ports: `tests/sim/plain.rs`, `tests/sim/secured.rs`. What runs in clear text only stands in `tests/sim/plain_only.rs` with the reason |
//! | a message, a limit or an answer of WTLS handshakes | `wtls/message.rs`; `wtls/endpoint/handshake.rs` for ClientHellos, `wtls/endpoint/client_flight.rs` for what the client answers, `wtls/endpoint/limits.rs` for what strangers may cost; the rows of the state tables are in `fixtures/wtls/server.states` and `fixtures/wtls/client.states` |
//! | a step in the shared store | the script in `store/shared/scripts.rs`, its keys in `store/shared/keys.rs`, its use in `store/shared/exchange.rs`; checked by `tests/peers/store` |
//! | a bearer of pushes | [`push::Bearer`]; its place in the order of bearers, `push/ppg/plan.rs`; the attempt itself, `server/push/bearer.rs`, and by a shard `gateway/delivery.rs`; its name in the store, `push/ppg/saved.rs`; its label in `admin/metrics/table.rs` |
//! | a command, or an option of one | `cli/mod.rs`, and the command's own file in `cli` |
//! | a figure that the page remembers | a row in `admin/history/series.rs`, for one of each route `admin/history/routes.rs`; its use in `admin/page/page.js`, its name under "The admin port" in `deploy/OPERATIONS.md` |
//! | a request of the admin port | `admin/mod.rs`; its access rule in `admin/access.rs` |
//!
//! # One datagram, there and back
//!
//! Open these files in this order; each step is a function call, not a message:
//!
//! 1. `server/shard/mod.rs`: a batch arrives; each datagram goes to `Gateway::handle_datagram`.
//! 2. `gateway/mod.rs`: the socket gives the [`wdp::Service`]; connection mode goes to `wtp`.
//! 3. `wtp/endpoint/receive.rs`: decodes (`wtp/pdu.rs`), finds the transaction by peer and TID, or
//!    checks the TID of a new one (`wtp/tid.rs`); segments wait in `wtp/assembler.rs` until the
//!    message is complete.
//! 4. `wtp/responder/mod.rs`: the state machine steps and returns an Invoke indication.
//! 5. `wsp/sessions/mod.rs`: decodes the PDU and finds the peer's session. The rows of the state
//!    tables are the arms of `step` in `wsp/session.rs`, `wsp/method.rs` and `wsp/push.rs`.
//!    (`wsp/pending.rs` holds methods that came before their Connect; `wsp/connectionless.rs` needs
//!    no session: one datagram each way.)
//! 6. `gateway/lifecycle.rs` begins the exchange: `gateway/admission.rs` decodes the headers
//!    (`gateway/request.rs`), finds the route (`route/mod.rs`) and checks the limits
//!    (`gateway/usage.rs`); `gateway/exchange.rs` keeps it; `Event::Fetch` goes out.
//! 7. `server/shard/upstream_tasks.rs` runs `Upstream::fetch`; its result returns through
//!    `Gateway::handle_reply`.
//! 8. Back: `gateway/reply.rs` (status, headers, body), then `wsp/method.rs`, then
//!    `wtp/responder/mod.rs`, which keeps the Result as `Bytes`. `poll_transmit` encodes the next
//!    PDU straight into the send buffer of `server/transmitter.rs`, which gives the kernel all
//!    datagrams for one handset at a time.
//!
//! Requests over HTTP and OBEX come another way to step 6: `server/http/mod.rs` and
//! `server/obex/mod.rs` name its files, and `gateway/http_exchange.rs` begins the exchanges.
//!
//! # State
//!
//! | state | owner | key | survives a restart |
//! | --- | --- | --- | --- |
//! | transactions, their deadlines and retained messages | [`wtp::Endpoint`] | peer and TID | no; handsets retransmit |
//! | last TID per peer, bounded, dropped after `tid_lifetime` | [`wtp`] | peer | no; unknown peers are verified |
//! | sessions and methods | [`wsp::sessions::Sessions`] of one shard | peer, session id | the record only ([`wsp::saved`]), in the store; without a store handsets connect again |
//! | sessions outside the shard that their id names | [`gateway::directory::SessionDirectory`] | session id | no; all sessions then come from the store |
//! | POSTs of connectionless mode, recognised for 10 s | [`wsp::connectionless::Connectionless`] | sender, TID and digest | no |
//! | cookies, if the gateway keeps them | [`gateway::Gateway`] | session id | no |
//! | subscribers by address | `identity::directory` on the control thread; a copy in each [`gateway::Gateway`] | prefix | accounting sessions, in the store; without a store access servers report again |
//! | use of allowances by address | [`gateway::Gateway`] | address, /64 | no |
//! | pushes, and their results for a while | [`push::ppg::Ppg`], on a task of `server/push/keeper.rs` | initiator and push-id | yes, in the store; without a store they end with the process |
//! | exchanges under way | [`gateway::Gateway`] | [`gateway::fetch::RequestId`] | no |
//! | pushes, with deadlines, attempts and result notifications | `push::ppg` on the thread of `server/push/keeper.rs` | push-id, recipient | yes, in the store; `check` warns without one |
//! | charging records, and answered transactions that are not over | [`record::charging::CdrWriter`] | sequence number, id | yes: files and journal |
//! | hosts of routes: ejections, checks, requests under way, the hosts of sessions | [`upstream::Hosts`], which all shards share; a request touches it when it begins and when it ends | route, host and port | no; a reload keeps it |
//! | figures of the last two hours | `admin/history`, by the thread of the metrics | time | no |
//! | connections to origins | [`upstream::Upstream`] of one shard | origin, and the route's way to its hosts | no |
//!
//! **Decoding borrows from the receive buffer. Data that must outlive the datagram is copied once
//! into `Bytes`, at the place that retains it.** Outgoing Results are `Bytes`, and segments are
//! slices of them. The only output queue is one bounded ring for PDUs without a transaction: a
//! transaction knows its next PDU, and `poll_transmit` encodes it on demand. While a socket is
//! blocked, the shard does not poll.
//!
//! **A deadline is a field of the state it belongs to**, so leaving the state disarms it.
//! [`time::Timers`] is only an index, with one valid wake-up per slot. Each shard sleeps on exactly
//! one tokio timer.
//!
//! # From start to end
//!
//! `cli/serve/components.rs` starts the parts of a gateway in order and stops them in reverse
//! order. `cli/serve/supervisor.rs` carries out signals and the commands of every
//! [`server::Control`], one after the other. All sockets are bound, and all configured subscribers
//! are known, before the first socket is read. Two processes never read one socket. The kernel
//! distributes handsets over the sockets of an address, so the number of sockets is fixed for the
//! life of a process and, when a service manager holds the sockets, from one process to the next
//! ([`server::Inherited`]). A shutdown ([`server::Shutdown`]) lets every running exchange finish in
//! its time. New requests are refused, or left unanswered, so that the next process gets their
//! repetitions.
//!
//! **A gateway holds a million idle sessions on an ordinary day.** So their state is small, grows
//! by a page or a part at a time ([`table`]), and shrinks again. A session has some hundred octets,
//! and its deadline is a place in a queue in the order of use. The headers of handsets of one model
//! are stored, and decoded, once ([`wsp::profile`]). `tests/allocations.rs` checks the numbers.
//!
//! # Shards
//!
//! A shard is one thread, one socket per address, one [`gateway::Gateway`], one mailbox. A
//! datagram's path touches nothing that is shared, locked or atomic. The kernel keeps a quadruplet
//! on one socket, which keeps its TIDs, transactions and session on one shard. Only a Resume comes
//! from a new address and may arrive at any shard. The specification aborts the outstanding
//! transactions of a resumed session, so only the session's record has to move:
//!
//! 1. Shard B does not have the session. The Resume waits, under WTP's hold-on acknowledgements,
//!    and [`gateway::Event::Claim`] goes out ([`wsp::claim`]).
//! 2. The directory, on a thread of its own (`server/claims.rs`), tells the shard with the session
//!    to release it. An id and a secret give the shard that made the session ([`wsp::id_key`]), so
//!    the directory has an entry only for a session that moved. The directory handles one claim
//!    after the other, so that of two Resumes the later one gets the session.
//! 3. Shard A removes the session and emits [`gateway::Event::Released`]. Shard B takes it in with
//!    [`gateway::Gateway::handle_claim`] and handles the Resume as if it came just then. A claim
//!    without an answer ends after 2 s. A session that comes later is taken in all the same, since
//!    no other shard has it.
//!
//! With a store, every change of a session is saved: at Connect, Suspend, Resume and the end, and
//! every quarter of `idle_timeout` while the session is used; never with a method. After a restart,
//! a session that no shard has is looked up in the store, by its id or by its peer. Commits are
//! synchronised: all changes but those of the last 200 ms survive a kill, and a loss of power.
//!
//! # Nodes
//!
//! Several processes with one shared store ([`store::shared`]) are nodes of a cluster. A node is to
//! the store what a shard is to the directory: a session that no shard of the node has is looked up
//! in the store. That look-up is a claim. It makes this node the owner of the record and raises the
//! record's epoch in one step. The earlier owner hears of it, or finds its epoch outdated at its
//! next write; its shard ends the session without a word ([`gateway::Command::Taken`]). No shard
//! waits for the store: its thread gives up after a bound, and the node goes on alone.
//!
//! # Limits
//!
//! UDP has no back-pressure. So every refusal is an answer that the handset understands. The first
//! layer that can decide gives it, and a counter counts it.
//!
//! Limits that operators set for all shards together are divided into equal shares once the number
//! of shards is known ([`gateway::Config::share`]).
//!
//! | limit | when reached |
//! | --- | --- |
//! | transactions, in all and per peer | Invoke ignored (WTP 7.6) |
//! | size of one message; octets in re-assembly | Abort MESSAGETOOLARGE; CAPTEMPEXCEEDED |
//! | complete request above the negotiated server SDU | Abort MRUEXCEEDED |
//! | unverified peers | TID verification before any work |
//! | sessions; octets of headers of Connects, equal ones counted once | the oldest session that was never used ends; else Abort CONGESTION |
//! | sessions, and octets of headers, of one source prefix (IPv4 address, IPv6 /64) | Abort CONGESTION |
//! | Resumes of a source prefix that name no session of its own | Abort DISCONNECT without a look-up, in pauses that grow to five minutes |
//! | outstanding methods per session | Abort MOREXCEEDED |
//! | outstanding confirmed pushes | the push is refused to its sender |
//! | methods ahead of their Connect | Abort DISCONNECT |
//! | open claims, of one peer and of one source prefix; claims by peer without a session | Abort DISCONNECT |
//! | queue of claims between shards; queue of changes for the store | the claim ends at its deadline; the change is not stored; counted |
//! | time of a look-up in a shared store | the claim ends without a session |
//! | sessions in the store, and their age | not stored; dropped |
//! | octets of requests in several SDUs | Abort MRUEXCEEDED, CONGESTION |
//! | handsets outside the allowed networks; octets per address | the datagram is dropped |
//! | requests per address, and in all | Abort CAPTEMPEXCEEDED to a handset with a session, else dropped |
//! | requests per subscriber | WSP reply 503 with Retry-After |
//! | octets to an unproved address, against those from it (a handshake of WTLS proves an address) | not sent |
//! | sessions per address | Abort CONGESTION |
//! | addresses and subscribers with recorded use | idle entries are dropped; else datagrams of unknown addresses are dropped |
//! | accounting sessions, in all and per RADIUS client | no response |
//! | rate per address, connectionless (the address has no proof) | dropped |
//! | octets of a reply without a session: one packet; outside of trusted networks also against those of its request | WSP reply 502 |
//! | remembered replies, connectionless | the oldest is dropped |
//! | queued log lines (8 MiB) | lost and counted; no shard waits |
//! | sampled exchanges that wait for a collector of spans | without spans, counted |
//! | queued charging records (32 MiB) | lost and counted; their numbers are missing |
//! | upstream requests under way; octets of their bodies; a source's and an origin's share of both | WSP reply 503; 502 once the origin has replied |
//! | requests under way to one host of a route, of all shards together | the next host; else WSP reply 503 |
//! | requests of a route at another host than the first (`retry_budget`) | WSP reply 502: the failure of the first |
//! | sessions whose host is known, of each route | the oldest is forgotten, and its next request chooses anew |
//! | connections to origins, and an origin's share of them | the request waits; at its deadline WSP reply 503 |
//! | packets of a Result to an address without proofs | small groups, few repetitions; a guessed Ack ends the transaction |
//! | reply larger than the client SDU, its transaction or the route's limit | WSP reply 502; 413 only when the origin sent it |
//! | time for one exchange | `Cancel`, WSP reply 504 |
//! | pushes, in all, of one initiator and for one recipient; their octets | PAP 4001; 3005 for too many recipients |
//! | connections of push initiators, and one source's quarter of them | closed |
//! | submissions queued for an SMS centre; those that wait for receipts | tried again later; the oldest is no longer confirmed |
//! | traces at once; octets, time and queue of each | refused; the trace ends; lost events are counted |
//!
//! [`gateway::answer`] is the only place that turns a failure into a wire answer. A POST that its
//! origin may have processed is never sent again, except that a translating route asks once more in
//! the other notation after 415 or 406. A request that the origin provably has not processed is
//! sent again, whatever its method ([`upstream::Unprocessed`]). An idempotent request is sent once
//! more when its connection ends before its reply, or a kept connection brings 408.
//!
//! Abort, Disconnect, Suspend, Resume, a new Connect of the same peer and an expired deadline all
//! end an exchange in the same way: the gateway removes it and emits `Event::Cancel` once. A reply
//! that comes later carries a stale id and is dropped.

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
mod defect;
pub mod explain;
pub mod gateway;
pub mod handset;
pub mod identity;
pub mod initiator;
pub mod limit;
pub mod obex;
pub mod printable;
pub mod push;
pub mod radius;
pub mod random;
pub mod record;
pub mod route;
pub mod server;
pub mod server_tls;
pub mod sim;
pub mod smpp;
pub mod sms;
pub mod smsc;
pub mod store;
pub mod syncml;
pub mod table;
pub mod time;
pub mod trace;
pub mod trace_context;
pub mod upstream;
pub mod wbxml;
pub mod wdp;
pub mod worker;
pub mod wsp;
#[cfg(feature = "wtls")]
pub mod wtls;
pub mod wtp;
