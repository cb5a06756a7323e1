//! The files of the configuration, looked at regularly: a change of their text is a reason to reload.
//!
//! The text is compared and not the time of the file. So the kind of change does not matter: written
//! in place, renamed over the old file, or a symbolic link to another directory, as Kubernetes
//! exchanges a ConfigMap.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Texts;

/// A look at the files, every so often.
pub(super) struct Watch {
    path: PathBuf,
    every: Option<Duration>,
    next: Instant,
    /// The text that was loaded, or could not be.
    handled: Texts,
    /// Another text, seen once: its writer may not have finished.
    seen: Option<Texts>,
}

impl Watch {
    /// Watches the file at `path`, of which `loaded` is in force. Without `every` there is no look.
    pub(super) fn new(path: PathBuf, loaded: Texts, every: Option<Duration>) -> Self {
        let mut watch = Self {
            path,
            every: None,
            next: Instant::now(),
            handled: loaded,
            seen: None,
        };
        watch.set(every);
        watch
    }

    /// Looks as often from now on. Standard input is read once only.
    pub(super) fn set(&mut self, every: Option<Duration>) {
        self.every = every.filter(|_| self.path.as_os_str() != "-");
        self.next = Instant::now() + every.unwrap_or_default();
    }

    /// These texts are about to be loaded.
    pub(super) fn handle(&mut self, texts: Texts) {
        (self.handled, self.seen) = (texts, None);
    }

    /// Waits until the files have another text at two looks in a row. Each text is reported once. May
    /// be dropped and called again.
    pub(super) async fn changed(&mut self) {
        let Some(every) = self.every else {
            return pending().await;
        };
        loop {
            tokio::time::sleep_until(self.next).await;
            self.next = Instant::now() + every;
            let path = self.path.clone();
            // A disk may be slow; a thread of its own waits for it.
            let read = tokio::task::spawn_blocking(move || Texts::read(&path)).await;
            if read.is_ok_and(|texts| self.look(texts)) {
                return;
            }
        }
    }

    /// Whether the texts are a settled change.
    fn look(&mut self, texts: Texts) -> bool {
        if texts == self.handled {
            self.seen = None;
            return false;
        }
        if self.seen.as_ref() == Some(&texts) {
            self.handle(texts);
            return true;
        }
        self.seen = Some(texts);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// A watch of a file, and one look at it now.
    struct Looks(Watch);

    impl Looks {
        fn at(path: &Path) -> Self {
            let loaded = Texts::read(path);
            Self(Watch::new(path.to_owned(), loaded, None))
        }

        fn look(&mut self) -> bool {
            let texts = Texts::read(&self.0.path);
            self.0.look(texts)
        }
    }

    #[test]
    fn a_change_is_reported_once_and_after_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wapbridge.toml");
        fs::write(&path, "a").unwrap();
        let mut looks = Looks::at(&path);
        assert!(!looks.look());
        fs::write(&path, "half").unwrap();
        assert!(!looks.look(), "seen once");
        fs::write(&path, "half of it and the rest").unwrap();
        assert!(!looks.look(), "it is being written");
        assert!(looks.look());
        assert!(!looks.look(), "reported already");
        // There and back again between two looks.
        fs::write(&path, "x").unwrap();
        assert!(!looks.look());
        fs::write(&path, "half of it and the rest").unwrap();
        assert!(!looks.look() && !looks.look());
    }

    #[test]
    fn a_file_that_is_gone_is_a_change_and_so_is_its_return() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wapbridge.toml");
        fs::write(&path, "a").unwrap();
        let mut looks = Looks::at(&path);
        fs::remove_file(&path).unwrap();
        let told: Vec<bool> = (0..4).map(|_| looks.look()).collect();
        assert_eq!(told, [false, true, false, false]);
        fs::write(&path, "a").unwrap();
        assert!(!looks.look() && looks.look());
    }

    #[test]
    fn included_files_and_exchanged_links_count() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, text) in [("..1", "[log]\n"), ("..2", "[log]\nlevel = \"off\"\n")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("log.toml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/log.toml", at("log.toml")).unwrap();
        let path = at("main.conf");
        fs::write(&path, "include = [\"*.toml\"]\n").unwrap();
        let mut looks = Looks::at(&path);
        assert!(!looks.look());
        // As Kubernetes does it: a new link beside the old one, then a rename.
        symlink("..2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        assert!(!looks.look() && looks.look());
        fs::write(at("more.toml"), "[wsp]\n").unwrap();
        assert!(!looks.look() && looks.look(), "one file more");
        fs::write(at("new"), "[wsp]\nmax_methods = 1\n").unwrap();
        fs::rename(at("new"), at("more.toml")).unwrap();
        assert!(!looks.look() && looks.look(), "as editors write");
    }
}
