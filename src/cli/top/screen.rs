//! The terminal: a screen of our own that is drawn over in place, and given back whatever happens.

use std::io::{self, IsTerminal, Read, Write, stdin, stdout};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::frame::Size;
use super::line::Line;

/// The terminal while it is ours; dropping gives it back.
pub(super) struct Screen {
    /// How its keyboard was, if that is one.
    before: Option<Termios>,
    colours: bool,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let before = stdin().is_terminal().then(|| tcgetattr(stdin()));
        let screen = Self {
            before: before.transpose()?,
            colours: !is_set("NO_COLOR"),
        };
        screen.take()?;
        Ok(screen)
    }

    /// Takes it, also when it was lent.
    pub(super) fn take(&self) -> io::Result<()> {
        if let Some(before) = &self.before {
            let mut modes = before.clone();
            // Keys come one by one and are not shown; Ctrl-C and Ctrl-Z are still signals.
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        }
        write(ENTER)
    }

    /// Lends it to whoever comes next.
    pub(super) fn lend(&self) -> io::Result<()> {
        let written = write(LEAVE);
        if let Some(before) = &self.before {
            tcsetattr(stdin(), OptionalActions::Now, before)?;
        }
        written
    }

    /// Draws over what was there.
    pub(super) fn show(&self, lines: &[Line], size: Size) -> io::Result<()> {
        let mut out = String::from(HOME);
        for (row, line) in lines.iter().take(size.height).enumerate() {
            if row > 0 {
                out.push_str("\r\n");
            }
            out.push_str(&line.render(size.width, self.colours));
            out.push_str(CLEAR_LINE);
        }
        out.push_str(CLEAR_BELOW);
        write(&out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.lend();
    }
}

/// What fits on the terminal, or, where there is none, on what COLUMNS says; rows then are no matter.
pub(super) fn size() -> Size {
    let from = |name: &str| {
        std::env::var(name)
            .ok()?
            .parse()
            .ok()
            .filter(|size| *size > 0)
    };
    match terminal_size::terminal_size_of(stdout()) {
        Some((width, height)) => Size {
            width: width.0.into(),
            height: height.0.into(),
        },
        None => Size {
            width: from("COLUMNS").unwrap_or(100),
            height: usize::MAX,
        },
    }
}

/// Whether frames can be drawn over each other.
pub(super) fn is_interactive() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stdout().is_terminal() && !is_dumb
}

/// The keys that somebody presses.
pub(super) fn keys() -> mpsc::UnboundedReceiver<u8> {
    let (tell, keys) = mpsc::unbounded_channel();
    // It waits in a read that nothing interrupts, and ends with the process.
    std::thread::spawn(move || {
        for key in stdin().lock().bytes() {
            if key.map(|key| tell.send(key).is_err()).unwrap_or(true) {
                break;
            }
        }
    });
    keys
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The alternate screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
