//! The terminal: ratatui's alternate screen in raw mode, given back on every exit.

use std::io::{self, IsTerminal, stdout};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, enable_raw_mode};
use ratatui::crossterm::{execute, style};
use ratatui::style::Style;
use ratatui::widgets::Widget;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// The terminal in raw mode. Dropping restores the terminal; so does ratatui's panic hook.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Fails without a keyboard: standard input, or else `/dev/tty`.
    pub(super) fn enter() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| restore())
    }

    /// Draws a frame. Only cells that differ from the previous frame are written.
    pub(super) fn draw(&mut self, widget: impl Widget) -> io::Result<()> {
        self.0.draw(|frame| {
            let area = frame.area();
            frame.render_widget(widget, area);
            if style::Colored::ansi_color_disabled() {
                frame.buffer_mut().set_style(area, Style::reset());
            }
        })?;
        Ok(())
    }

    /// Stops the process as Ctrl-Z does, with the terminal restored until the process continues.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.0.show_cursor()?;
        ratatui::try_restore()?;
        kill_process(getpid(), Signal::STOP)?;
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        // Draws everything anew. `Terminal::clear` would ask the terminal for the cursor's
        // position, and the keyboard's thread would get the answer.
        let size = self.0.size()?;
        self.0.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An error means that the terminal is gone; then there is no terminal to restore.
        let _ = self.0.show_cursor();
        restore();
    }
}

fn restore() {
    let _ = ratatui::try_restore();
}

/// An input that `top` reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    Suspend,
    Resize,
}

/// The inputs of the keyboard, and signals from other processes.
///
/// # Errors
///
/// The system refuses a signal handler.
pub(super) fn inputs() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, inputs) = mpsc::channel(16);
    for (kind, input) in [
        (SignalKind::interrupt(), Input::Quit),
        (SignalKind::terminate(), Input::Quit),
        (SignalKind::hangup(), Input::Quit),
        (SignalKind::quit(), Input::Quit),
        (SignalKind::from_raw(Signal::TSTP.as_raw()), Input::Suspend),
    ] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(input).await.is_ok() {}
        });
    }
    // The thread waits in a read without end, and ends with the process.
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if input(&event).is_some_and(|input| sender.blocking_send(input).is_err()) {
                break;
            }
        }
    });
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

/// Whether frames can be drawn over each other.
pub(super) fn is_interactive() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stdout().is_terminal() && !is_dumb
}

/// Columns of a plain frame: the terminal's, or without a terminal those of COLUMNS.
pub(super) fn columns() -> u16 {
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
