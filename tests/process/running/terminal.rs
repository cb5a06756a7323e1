//! A pseudo-terminal for commands with a screen.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A pseudo-terminal, and everything that was written to it.
pub(crate) struct Terminal {
    ours: File,
    theirs: File,
    output: mpsc::Receiver<String>,
    pub(crate) shown: String,
}

impl Terminal {
    pub(crate) fn open(rows: u16, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        let ours = File::from(ours);
        Self {
            output: output(ours.try_clone().unwrap()),
            ours,
            theirs,
            shown: String::new(),
        }
    }

    /// The program's end.
    pub(crate) fn end(&self) -> File {
        self.theirs.try_clone().unwrap()
    }

    /// Waits until the screen has shown these words.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) {
        while !self.shown.contains(words) {
            let more = self.output.recv_timeout(Duration::from_secs(30));
            self.shown += &more.unwrap_or_else(|_| panic!("no {words:?} in {:?}", self.shown));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether keys come without echo, one by one.
    pub(crate) fn is_raw(&self) -> bool {
        !self
            .modes()
            .intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    pub(crate) fn is_given_back(&self) -> bool {
        self.modes().contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.theirs).unwrap().local_modes
    }

    /// The lowest row that was written to. Cells are addressed as row;column.
    pub(crate) fn lowest_row(&self) -> u16 {
        let row = |command: &str| {
            let (row, column) = command.split_once('H')?.0.split_once(';')?;
            column.parse::<u16>().ok()?;
            row.parse::<u16>().ok()
        };
        self.shown.split("\x1b[").filter_map(row).max().unwrap()
    }
}

/// The output to a terminal.
fn output(mut terminal: File) -> mpsc::Receiver<String> {
    let (tell, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(len) = terminal.read(&mut some) {
            let _ = tell.send(String::from_utf8_lossy(&some[..len]).into_owned());
        }
    });
    output
}

pub(crate) fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    assert!(kill.status().unwrap().success());
}
