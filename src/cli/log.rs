//! The outputs of log lines: standard error, which the service manager keeps, and an output of its
//! own for the access log.

use std::borrow::Cow;
use std::io;

use anyhow::Context;

use crate::cli::log_filter;
use crate::config::{AccessLog, LogSettings};
use crate::printable;
use crate::record::{AccessSink, Format, LogHandle, LogWriter};

/// The program's log. Dropping it writes the queued lines.
#[derive(Debug)]
pub struct Log {
    _stderr: LogWriter,
    /// The access log's own output, if it has one.
    _access: Option<LogWriter>,
    outputs: LogOutputs,
}

/// The outputs of lines. Clones share them.
#[derive(Clone, Debug)]
pub struct LogOutputs {
    access: Option<AccessSink>,
    all: Vec<LogHandle>,
}

impl Log {
    /// Starts logging. A second start in one process changes only the access log.
    ///
    /// # Errors
    /// The access log's output cannot be opened.
    pub fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let stderr = LogWriter::stderr()?;
        let handle = stderr.handle();
        let json = settings.format == Format::Json;
        let colours = log_filter::colours();
        log_filter::start(settings.level, json, colours, move || LineWriter {
            handle: handle.clone(),
            json,
            colours,
        });
        let mut all = vec![stderr.handle()];
        // The journal takes fields apart.
        let format = match settings.access {
            AccessLog::Journald => Format::Json,
            _ => settings.format,
        };
        let own = match &settings.access {
            AccessLog::File(path) => Some(LogWriter::file(path).with_context(|| {
                let path = path.display();
                format!("[log]: cannot write the access log to {path}: name a file in a directory that is there and ours")
            })?),
            AccessLog::Syslog(syslog) => Some(
                LogWriter::syslog(syslog.clone(), format)
                    .with_context(|| format!("[log]: no socket for {syslog}"))?,
            ),
            AccessLog::Journald => {
                Some(LogWriter::journald().context("[log]: no socket for the journal")?)
            }
            AccessLog::Stderr | AccessLog::Off => None,
        };
        let access = (settings.access != AccessLog::Off).then(|| AccessSink {
            format,
            handle: own.as_ref().unwrap_or(&stderr).handle(),
            sample: settings.access_sample,
        });
        all.extend(own.as_ref().map(LogWriter::handle));
        Ok(Self {
            _stderr: stderr,
            _access: own,
            outputs: LogOutputs { access, all },
        })
    }

    /// The outputs lines go to.
    #[must_use]
    pub fn outputs(&self) -> LogOutputs {
        self.outputs.clone()
    }
}

impl LogOutputs {
    /// The shards' output for the access log.
    #[must_use]
    pub fn access(&self) -> Option<AccessSink> {
        self.access.clone()
    }

    /// Reopens files after log rotation has moved the old ones.
    pub fn reopen(&self) {
        self.all.iter().for_each(LogHandle::reopen);
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.all.iter().map(LogHandle::lost).sum()
    }
}

/// Takes one event at a time and hands it over as one line.
struct LineWriter {
    handle: LogHandle,
    json: bool,
    /// Whether the colours of the formatter stay.
    colours: bool,
}

impl io::Write for LineWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = one_line(&text, self.json, self.colours);
        self.handle.offer(&mut line.into_owned().into_bytes(), 1);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An event as one line, with any content of its fields.
fn one_line(event: &str, json: bool, colours: bool) -> Cow<'_, str> {
    let body = event.strip_suffix('\n').unwrap_or(event);
    let line = match (json, colours) {
        (true, _) => printable::json(body),
        (false, false) => printable::line(body),
        (false, true) => {
            let mut parts = body.split("\x1b[");
            let first = parts.next().unwrap_or_default();
            let mut line = printable::line(first).into_owned();
            for part in parts {
                let digits = part
                    .bytes()
                    .take_while(|octet| octet.is_ascii_digit() || *octet == b';');
                let is_colour = part.as_bytes().get(digits.count()) == Some(&b'm');
                line.push_str(if is_colour { "\x1b[" } else { "\\u{1b}[" });
                line.push_str(&printable::line(part));
            }
            Cow::Owned(line)
        }
    };
    match line.len() == body.len() {
        // The event needed no escape and has its own end of line.
        true => Cow::Borrowed(event),
        false => Cow::Owned(line.into_owned() + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_escapes_but_colours() {
        for (event, json, colours, line) in [
            ("INFO a=1\n", false, false, "INFO a=1\n"),
            ("a=x\nERROR forged\n", false, false, "a=x\\nERROR forged\n"),
            (
                "a=\u{9b}31m\u{202e}\n",
                false,
                true,
                "a=\\u{9b}31m\\u{202e}\n",
            ),
            (
                "\x1b[32mINFO\x1b[0m a=\x1b[2J\x1b]0;t\x07\n",
                false,
                true,
                "\x1b[32mINFO\x1b[0m a=\\u{1b}[2J\\u{1b}]0;t\\u{7}\n",
            ),
            ("{\"a\":\"\u{9b}\"}\n", true, false, "{\"a\":\"\\u009b\"}\n"),
        ] {
            assert_eq!(one_line(event, json, colours), line);
        }
    }
}
