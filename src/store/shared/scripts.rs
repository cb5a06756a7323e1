//! The atomic steps in the store, as scripts.
//!
//! A session is a hash: `o` its owner (a process of a node), `e` its epoch, `p` its peer, `m`
//! whether its client may resume it, `r` its record. Each claim raises the epoch. A write with an
//! older epoch changes nothing, so that an owner that was paused cannot undo a claim.
//!
//! A script that a server does not know is loaded again by the client.

use std::sync::LazyLock;

use redis::Script;

/// Saves a session. ARGV: owner, epoch, peer, may resume, record, lifetime in milliseconds. Returns
/// 1, or 0 if another owner has it.
pub(super) static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('HMGET', KEYS[1], 'o', 'e')
if held[2] then
  local ahead = tonumber(held[2]) - tonumber(ARGV[2])
  if ahead > 0 or (ahead == 0 and held[1] ~= ARGV[1]) then return 0 end
end
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', ARGV[2], 'p', ARGV[3], 'm', ARGV[4], 'r', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1",
    )
});

/// Forgets a session that has ended. ARGV: owner, epoch, milliseconds for which the epoch of a
/// session that moved is kept: a late write of an earlier owner must not bring the session back.
/// Returns the peer, or nothing if another owner has the session.
pub(super) static FORGET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('HMGET', KEYS[1], 'o', 'e', 'p')
if held[1] ~= ARGV[1] or tonumber(held[2]) > tonumber(ARGV[2]) then return false end
redis.call('DEL', KEYS[1])
if tonumber(held[2]) > 1 then
  redis.call('HSET', KEYS[1], 'o', '', 'e', held[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return held[3]",
    )
});

/// Claims a session. ARGV: the new owner, the peer that must have it or nothing, the beginning of
/// the channels, the id in hexadecimal. Tells the earlier owner. Returns epoch and record, or nothing
/// if there is no such session, or the claim may not have it.
pub(super) static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('HMGET', KEYS[1], 'o', 'e', 'p', 'm', 'r')
if not held[5] then return false end
if ARGV[2] == '' then
  if held[4] ~= '1' then return false end
elseif held[3] ~= ARGV[2] then return false end
local epoch = tonumber(held[2]) + 1
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', epoch)
if held[1] ~= ARGV[1] then redis.call('PUBLISH', ARGV[3] .. held[1], ARGV[4] .. ' ' .. epoch) end
return {epoch, held[5]}",
    )
});

/// Drops a session whose peer has a newer one. ARGV: the peer.
pub(super) static REPLACED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'p') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1",
    )
});

/// Ends the binding of a peer to a session. ARGV: the id in hexadecimal.
pub(super) static UNBIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1",
    )
});

/// Writes an entry of a table. KEYS: index, entry. ARGV: name, value, lifetime in milliseconds.
pub(super) static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1",
    )
});

/// Removes an entry of a table. KEYS: index, entry. ARGV: name.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[1], ARGV[1])
return 1",
    )
});

/// Takes the lease of a node's name. KEYS: lease, epoch. ARGV: the holder in words, milliseconds of
/// the lease, milliseconds for which the epoch is kept. Returns 1, the lease and the epoch; or 0,
/// the lease of the holder and the milliseconds it has left.
pub(super) static TAKE_LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
if held then return {0, held, redis.call('PTTL', KEYS[1])} end
local epoch = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local lease = epoch .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], lease, 'PX', ARGV[2])
return {1, lease, epoch}",
    )
});

/// Renews a lease, also one that lapsed. ARGV: the lease, milliseconds. Returns nothing, or the lease
/// of another holder.
pub(super) static RENEW_LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false",
    )
});
