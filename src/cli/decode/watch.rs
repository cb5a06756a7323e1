//! Packets of a file, a pipe or an interface, explained as they come.

use std::io::{Read, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::json;
use super::live::{LINK, LONGEST, Live};
use super::selection::Selection;
use crate::explain::{CaptureError, CaptureStream, CapturedDatagram, Dissector, Packet};
use crate::printable;
use crate::server::clock::Clock;

/// Where packets come from.
pub(super) enum Source {
    /// A capture, whose first octets were read before.
    Stream {
        input: Box<dyn Read + Send>,
        first: Vec<u8>,
    },
    /// An interface.
    Live(Live),
}

/// How they are shown.
pub(super) struct Watch {
    pub(super) dissector: Dissector,
    pub(super) selection: Selection,
    /// The most datagrams.
    pub(super) count: Option<u64>,
    pub(super) json: bool,
}

/// What was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) packets: usize,
    pub(super) datagrams: u64,
    /// Datagrams with a fault.
    pub(super) faults: u64,
    /// Packets that came faster than they could be shown.
    pub(super) lost: u64,
}

/// A packet on its way from the thread that reads to the one that shows.
struct Received {
    time: Duration,
    link: u32,
    data: Vec<u8>,
}

type Sender = mpsc::Sender<anyhow::Result<Received>>;

impl Watch {
    /// Shows packets until the source ends, the number is reached, the reader of the output has
    /// gone away, or a signal comes.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or the output cannot be written.
    pub(super) fn run(mut self, source: Source) -> anyhow::Result<(Shown, Selection)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shown = runtime.block_on(self.show(source))?;
        Ok((shown, self.selection))
    }

    async fn show(&mut self, source: Source) -> anyhow::Result<Shown> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let lost = Arc::new(AtomicU64::new(0));
        let is_live = matches!(source, Source::Live(_));
        let mut output = Output::new(self.json, is_live);
        let mut packets = start(source, Arc::clone(&lost))?;
        let mut shown = Shown::default();
        output.begin()?;
        'packets: while self.count.is_none_or(|most| shown.datagrams < most) {
            let packet = tokio::select! {
                packet = packets.recv() => packet,
                _ = interrupts.recv() => break,
                _ = terminations.recv() => break,
            };
            let Some(packet) = packet else { break };
            let packet = packet?;
            shown.packets += 1;
            let packet = Packet {
                time: packet.time,
                link: packet.link,
                data: &packet.data,
            };
            if !self.selection.takes(&packet) {
                continue;
            }
            for datagram in self.dissector.explain(shown.packets, &packet) {
                if self.count.is_some_and(|most| shown.datagrams >= most) {
                    break;
                }
                shown.datagrams += 1;
                shown.faults += u64::from(datagram.fault().is_some());
                if !output.datagram(&datagram)? {
                    break 'packets;
                }
            }
        }
        output.end()?;
        shown.lost = lost.load(Ordering::Relaxed);
        Ok(shown)
    }
}

/// Starts the thread that reads. It ends with the source, with the receiver, or with the process.
fn start(
    source: Source,
    lost: Arc<AtomicU64>,
) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Received>>> {
    let (sender, packets) = mpsc::channel(WAITING);
    let thread = std::thread::Builder::new().name("capture".to_owned());
    thread.spawn(move || match source {
        Source::Stream { input, first } => read(input, &first, &sender),
        Source::Live(live) => listen(&live, &lost, &sender),
    })?;
    Ok(packets)
}

/// Reads a capture to its end. A reader that is slow is waited for.
fn read(mut input: Box<dyn Read + Send>, first: &[u8], sender: &Sender) {
    let mut stream = CaptureStream::default();
    stream.push(first);
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        loop {
            let packet = match stream.next_packet() {
                Ok(None) => break,
                Ok(Some(packet)) => Ok(Received {
                    time: packet.time,
                    link: packet.link,
                    data: packet.data.to_vec(),
                }),
                Err(error) => Err(error.into()),
            };
            let is_error = packet.is_err();
            if sender.blocking_send(packet).is_err() || is_error {
                return;
            }
        }
        let octets = match input.read(&mut buffer) {
            Ok(0) if stream.has_begun() => return,
            Ok(0) => Err(CaptureError::Short.into()),
            Ok(len) => Ok(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(anyhow::Error::from(error)),
        };
        match octets {
            Ok(octets) => stream.push(octets),
            Err(error) => return drop(sender.blocking_send(Err(error))),
        }
    }
}

/// Listens at an interface. Packets that find the queue full are counted: the kernel would drop
/// later ones in silence.
fn listen(live: &Live, lost: &AtomicU64, sender: &Sender) {
    let clock = Clock::start();
    let mut buffer = vec![0; LONGEST];
    loop {
        let packet = live.receive(&mut buffer).map(|data| Received {
            time: Duration::from_micros(clock.wall()),
            link: LINK,
            data: data.to_vec(),
        });
        let is_error = packet.is_err();
        match sender.try_send(packet.context("the packet socket")) {
            Err(mpsc::error::TrySendError::Closed(_)) => return,
            Err(mpsc::error::TrySendError::Full(_)) => {
                lost.fetch_add(1, Ordering::Relaxed);
            }
            Ok(()) => {}
        }
        if is_error {
            return;
        }
    }
}

/// Standard output: text; an array of JSON for a capture that ends; an object on each line for one
/// that does not.
struct Output {
    form: Form,
    is_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Array,
    Lines,
}

impl Output {
    const fn new(json: bool, is_live: bool) -> Self {
        let form = match (json, is_live) {
            (false, _) => Form::Text,
            (true, false) => Form::Array,
            (true, true) => Form::Lines,
        };
        Self {
            form,
            is_first: true,
        }
    }

    fn begin(&self) -> anyhow::Result<bool> {
        match self.form {
            Form::Array => put("["),
            Form::Text | Form::Lines => Ok(true),
        }
    }

    /// Returns false if the reader has closed the pipe.
    fn datagram(&mut self, datagram: &CapturedDatagram) -> anyhow::Result<bool> {
        let separator = if self.is_first { "\n" } else { ",\n" };
        self.is_first = false;
        put(&match self.form {
            Form::Text => format!("{datagram}\n"),
            Form::Array => separator.to_owned() + json(datagram)?.trim_end(),
            Form::Lines => {
                let line = serde_json::to_string(datagram)?;
                printable::json(&line).into_owned() + "\n"
            }
        })
    }

    fn end(&self) -> anyhow::Result<bool> {
        match (self.form, self.is_first) {
            (Form::Array, true) => put("]\n"),
            (Form::Array, false) => put("\n]\n"),
            (Form::Text | Form::Lines, _) => Ok(true),
        }
    }
}

/// Writes at once: somebody may be looking on. Returns false if the reader has closed the pipe.
fn put(text: &str) -> anyhow::Result<bool> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}

/// Packets that wait to be shown.
const WAITING: usize = 8_192;
const READ_AT_ONCE: usize = 64 << 10;
