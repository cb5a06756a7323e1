//! The terminal: an alternate screen in raw mode, given back on every exit.

use std::io::{self, BufWriter, IsTerminal, Write, stderr, stdout};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::terminal::{
    self, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, style};
use ratatui::style::Style;
use ratatui::widgets::Widget;
use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The stream that frames go to. A command whose output is figures draws on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Stream {
    Output,
    Error,
}

impl Stream {
    fn writer(self) -> Box<dyn Write> {
        match self {
            Self::Output => Box::new(stdout()),
            // Standard error has no buffer, and a frame is many small pieces.
            Self::Error => Box::new(BufWriter::new(stderr())),
        }
    }

    /// Whether frames can be drawn over each other there.
    pub(in crate::cli) fn is_interactive(self) -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_terminal = match self {
            Self::Output => stdout().is_terminal(),
            Self::Error => stderr().is_terminal(),
        };
        is_terminal && !is_dumb
    }

    /// Whether this process may change the terminal's mode. A process in the background is stopped
    /// when it tries to.
    pub(in crate::cli) fn is_foreground(self) -> bool {
        let group = match self {
            Self::Output => tcgetpgrp(stdout()),
            Self::Error => tcgetpgrp(stderr()),
        };
        group.is_ok_and(|group| group == getpgrp())
    }

    /// Leaves raw mode and the alternate screen. An error means that the terminal is gone.
    fn restore(self) {
        let _ = disable_raw_mode();
        let _ = execute!(self.writer(), LeaveAlternateScreen, cursor::Show);
    }
}

/// The terminal in raw mode. Dropping restores the terminal; so does a panic.
pub(in crate::cli) struct Screen {
    terminal: Terminal<CrosstermBackend<Box<dyn Write>>>,
    stream: Stream,
}

impl Screen {
    /// Fails without a keyboard: standard input, or else `/dev/tty`.
    pub(in crate::cli) fn enter(stream: Stream) -> io::Result<Self> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            stream.restore();
            hook(panic);
        }));
        enable_raw_mode()?;
        execute!(stream.writer(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stream.writer())))
            .map(|terminal| Self { terminal, stream })
            .inspect_err(|_| stream.restore())
    }

    /// Draws a frame. Only cells that differ from the previous frame are written.
    pub(in crate::cli) fn draw(&mut self, widget: impl Widget) -> io::Result<()> {
        self.terminal.draw(|frame| {
            let area = frame.area();
            frame.render_widget(widget, area);
            if style::Colored::ansi_color_disabled() {
                frame.buffer_mut().set_style(area, Style::reset());
            }
        })?;
        Ok(())
    }

    /// Stops the process as Ctrl-Z does, with the terminal restored until the process continues.
    pub(in crate::cli) fn suspend(&mut self) -> io::Result<()> {
        self.stream.restore();
        kill_process(getpid(), Signal::STOP)?;
        enable_raw_mode()?;
        execute!(self.stream.writer(), EnterAlternateScreen)?;
        // Draws everything anew. `Terminal::clear` would ask the terminal for the cursor's
        // position, and the keyboard's thread would get the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stream.restore();
    }
}

/// An input that a command with a screen reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Input {
    Quit,
    Suspend,
    Resize,
}

/// The inputs: signals from other processes, and the keyboard of a screen.
///
/// # Errors
///
/// The system refuses a signal handler.
pub(in crate::cli) fn inputs(is_screen: bool) -> io::Result<mpsc::Receiver<Input>> {
    let (sender, inputs) = mpsc::channel(16);
    let ends = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ];
    let suspends = SignalKind::from_raw(Signal::TSTP.as_raw());
    let ends = ends.into_iter().map(|kind| (kind, Input::Quit));
    let suspends = is_screen.then_some((suspends, Input::Suspend));
    for (kind, input) in ends.chain(suspends) {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(input).await.is_ok() {}
        });
    }
    if is_screen {
        // The thread waits in a read without end, and ends with the process.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if input(&event).is_some_and(|input| sender.blocking_send(input).is_err()) {
                    break;
                }
            }
        });
    }
    Ok(inputs)
}

/// In raw mode the terminal turns no key into a signal, so Ctrl-C and Ctrl-Z arrive as keys.
fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resize),
        Event::Key(KeyEvent {
            code: KeyCode::Char(key),
            modifiers,
            ..
        }) => match (key, modifiers.contains(KeyModifiers::CONTROL)) {
            ('q' | 'Q', false) | ('c', true) => Some(Input::Quit),
            ('z', true) => Some(Input::Suspend),
            _ => None,
        },
        _ => None,
    }
}

/// Columns of a plain frame: the terminal's, or without a terminal those of COLUMNS.
pub(in crate::cli) fn columns() -> u16 {
    let size = stdout().is_terminal().then(terminal::size);
    let columns = match size {
        Some(Ok((columns, _))) => Some(columns),
        _ => std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok()),
    };
    columns.filter(|columns| *columns > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_quit_and_suspend() {
        let key = |key, modifiers| input(&Event::Key(KeyEvent::new(KeyCode::Char(key), modifiers)));
        assert_eq!(key('q', KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key('Q', KeyModifiers::SHIFT), Some(Input::Quit));
        assert_eq!(key('c', KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key('z', KeyModifiers::CONTROL), Some(Input::Suspend));
        for other in ['c', 'z', 'x'] {
            assert_eq!(key(other, KeyModifiers::NONE), None);
        }
        assert_eq!(input(&Event::Resize(80, 24)), Some(Input::Resize));
        assert_eq!(input(&Event::FocusGained), None);
    }
}
