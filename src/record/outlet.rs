//! A place that lines go to, written by a thread of its own.
//!
//! Whoever has lines hands them over and goes on: a full disk, a stopped terminal or a reader that sleeps
//! holds up the thread and nobody else. What finds the queue full is counted and gone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread and what it writes to. Dropping it writes what is still queued.
#[derive(Debug)]
pub struct Outlet {
    inlet: Inlet,
    /// Says that the thread has written everything.
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Where lines are handed over. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Inlet {
    queue: Sender<Parcel>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Octets handed over and not yet written.
    queued: AtomicUsize,
    lost: AtomicU64,
}

#[derive(Debug)]
enum Parcel {
    /// Whole lines, and how many.
    Lines(Vec<u8>, u64),
    Reopen,
    Stop,
}

impl Outlet {
    /// Standard error.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn stderr() -> io::Result<Self> {
        Self::to(Box::new(io::stderr()))
    }

    /// Anything that can be written to.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn to(writer: Box<dyn Write + Send>) -> io::Result<Self> {
        Self::spawn(Place { writer, path: None })
    }

    /// A file, which is appended to and made if it is not there, readable for its owner and group.
    ///
    /// # Errors
    /// When it cannot be opened, or the system refuses a thread.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::spawn(Place {
            writer: Box::new(open(path)?),
            path: Some(path.to_owned()),
        })
    }

    fn spawn(place: Place) -> io::Result<Self> {
        let (queue, parcels) = mpsc::channel();
        let (tell, done) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                place.write(&parcels, &theirs);
                let _ = tell.send(());
            })?;
        Ok(Self {
            inlet: Inlet { queue, shared },
            done,
            thread: Some(thread),
        })
    }

    /// Where to hand over lines.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let _ = self.inlet.queue.send(Parcel::Stop);
        // Who does not read by now will not; then the thread goes with the process.
        if self.done.recv_timeout(LAST_WORDS) != Err(RecvTimeoutError::Timeout)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl Inlet {
    /// Hands over whole lines, `count` of them, and never waits. `lines` is empty afterwards.
    pub fn offer(&self, lines: &mut Vec<u8>, count: u64) {
        let len = lines.len();
        let queued = self.shared.queued.fetch_add(len, Ordering::Relaxed);
        let parcel = Parcel::Lines(std::mem::take(lines), count);
        if queued + len > ROOM || self.queue.send(parcel).is_err() {
            self.shared.queued.fetch_sub(len, Ordering::Relaxed);
            self.shared.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Lines that found the queue full, or could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Opens the file anew by its name, after what was handed over before: somebody has moved the old one
    /// away. Nothing happens to what is no file.
    pub fn reopen(&self) {
        let _ = self.queue.send(Parcel::Reopen);
    }
}

struct Place {
    writer: Box<dyn Write + Send>,
    path: Option<PathBuf>,
}

impl Place {
    /// Writes until told to stop.
    fn write(mut self, parcels: &Receiver<Parcel>, shared: &Shared) {
        let mut well = true;
        while let Ok(parcel) = parcels.recv() {
            match parcel {
                Parcel::Lines(lines, count) => {
                    let written = self.writer.write_all(&lines);
                    shared.queued.fetch_sub(lines.len(), Ordering::Relaxed);
                    if let Err(error) = &written {
                        shared.lost.fetch_add(count, Ordering::Relaxed);
                        if well {
                            self.complain("lines of the access log are lost", error);
                        }
                    }
                    well = written.is_ok();
                }
                Parcel::Reopen => {
                    if let Some(path) = &self.path {
                        match open(path) {
                            Ok(file) => self.writer = Box::new(file),
                            Err(error) => self.complain("the old file is kept", &error),
                        }
                    }
                }
                Parcel::Stop => break,
            }
        }
        let _ = self.writer.flush();
    }

    /// What cannot be written to standard error cannot be complained of there.
    fn complain(&self, what: &'static str, error: &io::Error) {
        if let Some(path) = &self.path {
            tracing::error!(path = %path.display(), %error, "{what}");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

/// Octets that may wait: some tens of thousands of lines.
const ROOM: usize = 8 << 20;

/// How long the end waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_written_in_order_before_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let outlet = Outlet::file(&path).unwrap();
        let expected: String = (0..1_000).map(|line| format!("{line}\n")).collect();
        for line in 0..1_000 {
            outlet
                .inlet()
                .offer(&mut format!("{line}\n").into_bytes(), 1);
        }
        drop(outlet);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let moved = directory.path().join("access.log.1");
        let outlet = Outlet::file(&path).unwrap();
        let inlet = outlet.inlet();
        inlet.offer(&mut b"before\n".to_vec(), 1);
        std::fs::rename(&path, &moved).unwrap();
        inlet.offer(&mut b"between\n".to_vec(), 1);
        inlet.reopen();
        inlet.offer(&mut b"after\n".to_vec(), 1);
        drop(outlet);
        assert_eq!(std::fs::read(&moved).unwrap(), b"before\nbetween\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"after\n");
        assert_eq!(inlet.lost(), 0);
    }

    #[test]
    fn who_does_not_read_holds_up_nobody() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::to(Box::new(writer)).unwrap();
        let inlet = outlet.inlet();
        // The pipe takes some, the queue takes its share, the rest is counted.
        let lines = 64;
        for _ in 0..lines {
            inlet.offer(&mut vec![b'x'; ROOM / 32], 1);
        }
        assert!(inlet.lost() >= lines - 33, "{}", inlet.lost());
        drop(reader);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted() {
        let outlet = Outlet::file(Path::new("/dev/full")).unwrap();
        let inlet = outlet.inlet();
        inlet.offer(&mut b"one\ntwo\n".to_vec(), 2);
        drop(outlet);
        assert_eq!(inlet.lost(), 2);
    }
}
