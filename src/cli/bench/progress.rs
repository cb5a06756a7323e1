//! How far a run is, on standard error: a screen, a line now and then, or nothing; and the inputs
//! that end a run before its time.

use std::io::{self, IsTerminal, stderr};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::cli::bench::view::View;
use crate::cli::screen::terminal::{Input, Screen, Stream, inputs};
use crate::time::Instant;

/// The progress of a run, and its ends.
pub(super) struct Progress {
    output: Output,
    next: Instant,
    inputs: mpsc::Receiver<Input>,
    interrupts: u32,
    /// Waits for signals, on a thread of its own.
    _runtime: Runtime,
}

enum Output {
    Nothing,
    Lines,
    Screen(Box<Screen>),
}

impl Progress {
    /// A screen where standard error is a terminal and this process is in its foreground, else
    /// lines. Nothing if `quiet`.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or a signal handler.
    pub(super) fn start(quiet: bool) -> io::Result<Self> {
        let stream = Stream::Error;
        let is_screen = !quiet && stream.is_interactive() && stream.is_foreground();
        let output = match (quiet, is_screen.then(|| Screen::enter(stream))) {
            (true, _) => Output::Nothing,
            (false, Some(Ok(screen))) => Output::Screen(Box::new(screen)),
            (false, _) => Output::Lines,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let inputs = {
            let _guard = runtime.enter();
            inputs(matches!(output, Output::Screen(_)))?
        };
        Ok(Self {
            output,
            next: Instant::ZERO,
            inputs,
            interrupts: 0,
            _runtime: runtime,
        })
    }

    /// How often the run was interrupted, by a key or by a signal.
    pub(super) fn interrupts(&mut self) -> u32 {
        while let Ok(input) = self.inputs.try_recv() {
            match (input, &mut self.output) {
                (Input::Quit, _) => self.interrupts += 1,
                (Input::Suspend, Output::Screen(screen)) => {
                    if screen.suspend().is_err() {
                        self.output = Output::Lines;
                    }
                    self.next = Instant::ZERO;
                }
                (Input::Resize, Output::Screen(_)) => self.next = Instant::ZERO,
                (Input::Suspend | Input::Resize, _) => {}
            }
        }
        self.interrupts
    }

    /// Shows what is under way, if it is time to.
    pub(super) fn show<'a>(&mut self, now: Instant, view: impl FnOnce() -> View<'a>) {
        if now < self.next {
            return;
        }
        let pause = match &mut self.output {
            Output::Nothing => Duration::from_secs(3600),
            Output::Lines => {
                // The first line would have nothing to tell.
                if self.next > Instant::ZERO {
                    let seconds = now.as_micros() as f64 / 1e6;
                    eprintln!("{seconds:>6.1} s: {}", view().words);
                }
                match stderr().is_terminal() {
                    true => Duration::from_secs(1),
                    false => Duration::from_secs(5),
                }
            }
            Output::Screen(screen) => {
                if screen.draw(view()).is_err() {
                    self.output = Output::Lines;
                }
                FRAME
            }
        };
        self.next = now + pause;
    }
}

/// The pause between two frames.
const FRAME: Duration = Duration::from_millis(250);
