//! One exchange with the store: a batch of changes and look-ups, all under way at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{RedisError, RedisResult};
use tokio::time::{Instant, timeout_at};

use super::changes::{Change, Target};
use super::keys::{BUCKETS, Keys, peer_text};
use super::link::Link;
use super::scripts;
use crate::store::change::{Entries, Table};
use crate::wsp::claim::ClaimKey;
use crate::wsp::saved::SessionRecord;

/// What each operation needs to know.
pub(super) struct Context<'a> {
    pub(super) link: &'a Link,
    pub(super) keys: &'a Keys,
    /// This process, as the owner of sessions.
    pub(super) owner: &'a str,
    /// The time a session is kept after it was saved.
    pub(super) max_age: Duration,
    pub(super) deadline: Instant,
}

/// A change of a session goes with the epoch that this process has for it.
pub(super) struct Write {
    pub(super) target: Target,
    pub(super) change: Change,
    pub(super) epoch: u64,
}

/// The result of a write.
#[derive(Debug)]
pub(super) enum Written {
    Yes,
    /// Another owner has the session.
    Stale,
    /// The store does not answer, or refuses every write for now. The change has to wait.
    Not(Why),
    /// The store refuses this change for good.
    Never(RedisError),
}

/// The reason why the store cannot be used now.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::store) enum Why {
    #[error("no answer in time")]
    Late,
    #[error("{0}")]
    Error(#[from] RedisError),
}

/// A session that was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) epoch: u64,
    pub(super) session: SessionRecord,
}

impl Context<'_> {
    pub(super) async fn write_all(&self, writes: &[Write]) -> Vec<Written> {
        join_all(writes.iter().map(|write| self.write(write))).await
    }

    pub(super) async fn look_all(&self, keys: &[ClaimKey]) -> Vec<Result<Option<Claimed>, Why>> {
        let look = |key| async move {
            match timeout_at(self.deadline, self.look(key)).await {
                Ok(found) => found.map_err(Why::Error),
                Err(_) => Err(Why::Late),
            }
        };
        join_all(keys.iter().copied().map(look)).await
    }

    async fn write(&self, write: &Write) -> Written {
        match timeout_at(self.deadline, self.write_now(write)).await {
            Ok(Ok(true)) => Written::Yes,
            Ok(Ok(false)) => Written::Stale,
            Ok(Err(error)) if is_for_good(&error) => Written::Never(error),
            Ok(Err(error)) => Written::Not(Why::Error(error)),
            Err(_) => Written::Not(Why::Late),
        }
    }

    async fn write_now(&self, write: &Write) -> RedisResult<bool> {
        let mut link = self.link.clone();
        match (&write.target, &write.change) {
            (Target::Session(_), Change::Save(session)) => self.save(session, write.epoch).await,
            (Target::Session(id), Change::Forget(epoch)) => self.forget(*id, *epoch).await,
            (Target::Entry(table, key), Change::Put(value)) => {
                let keys = self.keys.entry(*table, key);
                let put = scripts::PUT
                    .key(&keys.index)
                    .key(&keys.entry)
                    .arg(key)
                    .arg(value)
                    .arg(millis(ENTRY_AGE))
                    .invoke_async::<i64>(&mut link)
                    .await;
                put.map(|_| true)
            }
            (Target::Entry(table, key), _) => {
                let keys = self.keys.entry(*table, key);
                let deleted = scripts::DELETE
                    .key(&keys.index)
                    .key(&keys.entry)
                    .arg(key)
                    .invoke_async::<i64>(&mut link)
                    .await;
                deleted.map(|_| true)
            }
            // No such change is made.
            (Target::Session(_), Change::Put(_) | Change::Delete) => Ok(true),
        }
    }

    async fn save(&self, session: &SessionRecord, epoch: u64) -> RedisResult<bool> {
        let mut link = self.link.clone();
        let mut record = Vec::new();
        session.encode(&mut record);
        let max_age = millis(self.max_age);
        let peer = peer_text(session.peer);
        let is_saved: i64 = scripts::SAVE
            .key(self.keys.session(session.id))
            .arg(self.owner)
            .arg(epoch)
            .arg(&peer)
            .arg(u8::from(session.may_resume()))
            .arg(record)
            .arg(max_age)
            .invoke_async(&mut link)
            .await?;
        if is_saved == 0 {
            return Ok(false);
        }
        let name = hexadecimal(session.id);
        let before: Option<String> = redis::cmd("SET")
            .arg(self.keys.peer(session.peer))
            .arg(&name)
            .arg("PX")
            .arg(max_age)
            .arg("GET")
            .query_async(&mut link)
            .await?;
        // The rule of S-Connect.res: a peer has one session, and this one is newer.
        if let Some(other) = before.filter(|before| *before != name)
            && let Ok(other) = u32::from_str_radix(&other, 16)
        {
            scripts::REPLACED
                .key(self.keys.session(other))
                .arg(&peer)
                .invoke_async::<i64>(&mut link)
                .await?;
        }
        Ok(true)
    }

    async fn forget(&self, id: u32, epoch: u64) -> RedisResult<bool> {
        let mut link = self.link.clone();
        let peer: Option<String> = scripts::FORGET
            .key(self.keys.session(id))
            .arg(self.owner)
            .arg(epoch)
            .arg(millis(TOMBSTONE))
            .invoke_async(&mut link)
            .await?;
        // A session of another owner is that one's to end.
        if let Some(peer) = peer {
            scripts::UNBIND
                .key(self.keys.peer_of_text(&peer))
                .arg(hexadecimal(id))
                .invoke_async::<i64>(&mut link)
                .await?;
        }
        Ok(true)
    }

    async fn look(&self, key: ClaimKey) -> RedisResult<Option<Claimed>> {
        let mut link = self.link.clone();
        let (id, peer) = match key {
            ClaimKey::Id(id) => (id, String::new()),
            ClaimKey::Peer(peer) => {
                let key = self.keys.peer(peer);
                let bound: Option<String> =
                    redis::cmd("GET").arg(key).query_async(&mut link).await?;
                let id = bound.and_then(|id| u32::from_str_radix(&id, 16).ok());
                let Some(id) = id else { return Ok(None) };
                (id, peer_text(peer))
            }
        };
        let claimed: Option<(u64, Vec<u8>)> = scripts::CLAIM
            .key(self.keys.session(id))
            .arg(self.owner)
            .arg(peer)
            .arg(self.keys.channels())
            .arg(hexadecimal(id))
            .invoke_async(&mut link)
            .await?;
        let claimed = claimed.and_then(|(epoch, record)| {
            let mut session = SessionRecord::decode(&record).ok()?;
            if let ClaimKey::Peer(peer) = key {
                // The gateway's own address may be another one at this node.
                session.peer = peer;
            }
            Some(Claimed { epoch, session })
        });
        Ok(claimed)
    }

    /// All entries of a table, in the order of their keys.
    pub(super) async fn entries(&self, table: Table) -> RedisResult<Entries> {
        let mut link = self.link.clone();
        let mut entries = Entries::new();
        for bucket in 0..BUCKETS {
            let index = self.keys.index(table, bucket);
            let names: Vec<Vec<u8>> = redis::cmd("SMEMBERS")
                .arg(&index)
                .query_async(&mut link)
                .await?;
            for names in names.chunks(AT_ONCE) {
                let keys: Vec<Vec<u8>> = names
                    .iter()
                    .map(|name| self.keys.entry(table, name).entry)
                    .collect();
                let values: Vec<Option<Vec<u8>>> =
                    redis::cmd("MGET").arg(keys).query_async(&mut link).await?;
                // An entry whose lifetime is over is missing.
                let found = names.iter().zip(values);
                entries.extend(found.filter_map(|(name, value)| Some((name.clone(), value?))));
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }
}

/// Whether an error is about this change alone: it would be the same at every repetition.
fn is_for_good(error: &RedisError) -> bool {
    matches!(error.code(), Some("WRONGTYPE" | "CROSSSLOT"))
}

pub(super) fn hexadecimal(id: u32) -> String {
    format!("{id:08x}")
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time an entry of a table is kept after its last change. Entries have deadlines of their own
/// and are deleted after them; this is for those of a node that never comes back.
const ENTRY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The time for which the epoch of an ended session is known, if the session moved.
const TOMBSTONE: Duration = Duration::from_secs(600);
/// Entries read with one command.
const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_change_is_told_from_those_of_the_store() {
        let error = |code: &str| redis::make_extension_error(code.to_owned(), None);
        for code in ["WRONGTYPE", "CROSSSLOT"] {
            assert!(is_for_good(&error(code)), "{code}");
        }
        for code in [
            "READONLY",
            "LOADING",
            "OOM",
            "NOAUTH",
            "NOPERM",
            "CLUSTERDOWN",
            "ERR",
        ] {
            assert!(!is_for_good(&error(code)), "{code}");
        }
    }
}
