//! Named tables of octets: what is committed, and on top of it what waits to be.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, TableError};

/// Names a table. Everybody who stores something has one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub &'static str);

/// Keys with their values, in the order of the keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// A key gets a value, or loses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// Which.
    pub key: Vec<u8>,
    /// The value from now on; `None` removes the key.
    pub value: Option<Vec<u8>>,
}

impl Change {
    /// The key has this value from now on.
    #[must_use]
    pub fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            table,
            key: key.into(),
            value: Some(value.into()),
        }
    }

    /// The key is no more.
    #[must_use]
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self {
            table,
            key: key.into(),
            value: None,
        }
    }
}

/// The file with what is not yet in it. Only the store's thread has one.
pub(super) struct Tables {
    database: Database,
    /// Of each key that changed the last change.
    pending: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Tables {
    pub(super) const fn new(database: Database) -> Self {
        Self {
            database,
            pending: BTreeMap::new(),
        }
    }

    /// Changes that wait.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn change(&mut self, change: Change) {
        self.pending
            .insert((change.table, change.key), change.value);
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        if let Some(value) = self.pending.get(&(table, key.to_vec())) {
            return Ok(value.clone());
        }
        let read = self.database.begin_read()?;
        let committed = match read.open_table(definition(table)) {
            Ok(committed) => committed,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(committed.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Up to `limit` committed entries behind a key, in the order of their keys.
    pub(super) fn stretch(
        &self,
        table: Table,
        after: &[u8],
        limit: usize,
    ) -> Result<Entries, redb::Error> {
        let read = self.database.begin_read()?;
        let committed = match read.open_table(definition(table)) {
            Ok(committed) => committed,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        // No key is empty, so an empty one stands before the first.
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        for entry in committed.range::<&[u8]>(behind)?.take(limit) {
            let (key, value) = entry?;
            found.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(found)
    }

    /// How many entries are committed.
    pub(super) fn len(&self, table: Table) -> Result<u64, redb::Error> {
        let read = self.database.begin_read()?;
        match read.open_table(definition(table)) {
            Ok(committed) => Ok(committed.len()?),
            Err(TableError::TableDoesNotExist(_)) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what waits, all of it or nothing. It survives the end of the process and of the power: the file is
    /// synchronised before this returns, which a batch pays for once. The state of the allocator goes with it
    /// (quick repair), so that a start after a kill need not read the whole file to find the free pages.
    pub(super) fn commit(&mut self) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        write.set_quick_repair(true);
        let mut changes = self.pending.iter().peekable();
        while let Some(&((table, _), _)) = changes.peek() {
            let mut open = write.open_table(definition(*table))?;
            while let Some(((_, key), value)) = changes.next_if(|((other, _), _)| other == table) {
                match value {
                    Some(value) => open.insert(key.as_slice(), value.as_slice())?,
                    None => open.remove(key.as_slice())?,
                };
            }
        }
        write.commit()?;
        self.pending.clear();
        Ok(())
    }
}

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.0)
}
