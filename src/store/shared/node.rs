//! This process as a node: it connects, takes the lease of its name, and hears of claims by others.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::time::timeout;

use super::exchange::Why;
use super::keys::Keys;
use super::lease::{Lease, NotTaken, in_words};
use super::link::{Link, OnPush};
use super::settings::Settings;
use crate::store;
use crate::wsp::log_id::KEY_LEN;

/// An event of the store, for the thread.
pub(in crate::store) enum Event {
    /// An attempt to join the other nodes is over.
    Joined(Box<Result<Joined, NotJoined>>),
    /// Another process claimed a session: its id, and the epoch of the claim.
    Claimed(u32, u64),
}

/// This process as a node of the cluster.
pub(in crate::store) struct Joined {
    pub(super) link: Link,
    pub(super) lease: Lease,
    /// The secret of session ids that the nodes share.
    pub(super) secret: [u8; KEY_LEN],
}

/// The reason why this process is no node now.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum NotJoined {
    #[error("{0}")]
    Why(#[from] Why),
    /// Another process has the name: the lease of that process.
    #[error("another gateway has the name of this node: {}", in_words(.0))]
    Taken(String),
}

/// Connects, takes or renews the lease, and listens to the channel of this process.
pub(super) async fn join(
    settings: Settings,
    keys: Keys,
    lease: Option<Lease>,
    secret: [u8; KEY_LEN],
    on_push: OnPush,
) -> Result<Joined, NotJoined> {
    let mut link = connect(&settings, on_push).await?;
    let rest = async {
        let lease = match lease {
            Some(lease) => match lease.renew(&mut link, &keys).await? {
                None => lease,
                Some(other) => return Err(NotTaken::Held(other)),
            },
            None => Lease::take(&mut link, &keys).await?,
        };
        let channel = keys.channels() + &owner(&settings.node, &lease);
        link.subscribe(&channel).await?;
        // The first node's secret is the secret of all. It is kept as long as the store is.
        let key = keys.secret();
        redis::cmd("SET")
            .arg(&key)
            .arg(&secret)
            .arg("NX")
            .query_async::<Value>(&mut link)
            .await?;
        let kept: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut link).await?;
        Ok((lease, kept.try_into().unwrap_or(secret)))
    };
    match timeout(JOIN, rest).await {
        Ok(Ok((lease, secret))) => Ok(Joined {
            link,
            lease,
            secret,
        }),
        Ok(Err(NotTaken::Held(other))) => Err(NotJoined::Taken(other)),
        Ok(Err(NotTaken::Error(error))) => Err(Why::Error(error).into()),
        Err(_) => Err(Why::Late.into()),
    }
}

async fn connect(settings: &Settings, on_push: OnPush) -> Result<Link, Why> {
    match timeout(CONNECT, Link::connect(settings, on_push)).await {
        Ok(link) => Ok(link?),
        Err(_) => Err(Why::Late),
    }
}

/// Connects for an operator's question. Returns what the store is, and how fast.
pub(super) async fn ping(settings: &Settings) -> Result<String, Why> {
    let mut link = connect(settings, Arc::new(|_: &PushInfo| {})).await?;
    let kind = match (&link, &settings.sentinel) {
        (Link::Cluster(_), _) => "a cluster",
        (Link::Server(_), Some(_)) => "the master of Sentinels",
        (Link::Server(_), None) => "one server",
    };
    let begun = store::clock();
    let pong = async {
        redis::cmd("PING")
            .query_async::<Value>(&mut link)
            .await
            .map_err(Why::Error)
    };
    match timeout(CONNECT, pong).await {
        Ok(pong) => pong?,
        Err(_) => return Err(Why::Late),
    };
    let took = begun.elapsed();
    Ok(format!(
        "{kind}, answered within {} ms",
        took.as_millis() + 1
    ))
}

/// A process as the owner of sessions.
pub(super) fn owner(node: &str, lease: &Lease) -> String {
    format!("{node}:{}", lease.epoch)
}

/// The event that a message of a channel means.
pub(super) fn event(info: &PushInfo, channels: &str) -> Option<Event> {
    let text = |value: &Value| match value {
        Value::BulkString(octets) => String::from_utf8(octets.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    if info.kind != PushKind::Message {
        return None;
    }
    let [channel, message] = info.data.as_slice() else {
        return None;
    };
    if !text(channel)?.starts_with(channels) {
        return None;
    }
    let message = text(message)?;
    let (id, epoch) = message.split_once(' ')?;
    let id = u32::from_str_radix(id, 16).ok()?;
    Some(Event::Claimed(id, epoch.parse().ok()?))
}

/// The time in which a connection must come up.
const CONNECT: Duration = Duration::from_secs(3);
/// The time to join, with the end of a dead process's lease.
const JOIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_by_another_node_is_heard_on_the_channel_of_the_owner() {
        let push = |kind, words: &[&str]| PushInfo {
            kind,
            data: words
                .iter()
                .map(|word| Value::BulkString(word.as_bytes().to_vec()))
                .collect(),
        };
        let heard = |info: &PushInfo| match event(info, "gw:1:c:") {
            Some(Event::Claimed(id, epoch)) => Some((id, epoch)),
            _ => None,
        };
        let message = push(PushKind::Message, &["gw:1:c:a:7", "0000002a 3"]);
        assert_eq!(heard(&message), Some((0x2A, 3)));
        for (kind, words) in [
            (PushKind::Subscribe, &["gw:1:c:a:7", "0000002a 3"][..]),
            (PushKind::Message, &["other:1:c:a:7", "0000002a 3"]),
            (PushKind::Message, &["gw:1:c:a:7", "0000002a"]),
            (PushKind::Message, &["gw:1:c:a:7", "x 3"]),
            (PushKind::Message, &["gw:1:c:a:7"]),
        ] {
            assert_eq!(heard(&push(kind, words)), None, "{words:?}");
        }
    }
}
