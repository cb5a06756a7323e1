//! Named tables of octets: committed values, overlaid by the changes that wait for a commit.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
    TableHandle,
};

use crate::store::change::{Change, Entries, Table};

/// The file with its uncommitted changes. Only the store's thread has one.
pub(super) struct Tables {
    database: Database,
    /// The last change of each changed key.
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
    pub(super) fn page(
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

    /// The database, for its replacement.
    pub(super) const fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    /// Whether every page of the file is as it was written.
    pub(super) fn is_whole(&mut self) -> bool {
        matches!(self.database.check_integrity(), Ok(true))
    }

    /// Copies everything committed into a new file, which takes the place of the old one.
    pub(super) fn copy_to(&mut self, database: Database) -> Result<(), redb::Error> {
        let read = self.database.begin_read()?;
        let write = database.begin_write()?;
        for table in read.list_tables()? {
            let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table.name());
            let mut copy = write.open_table(table)?;
            for entry in read.open_table(table)?.iter()? {
                let (key, value) = entry?;
                copy.insert(key.value(), value.value())?;
            }
        }
        write.commit()?;
        drop(read);
        self.database = database;
        Ok(())
    }

    /// Commits all waiting changes, or none. The commit survives the end of the process and a power
    /// failure: the file is synchronised before this returns, once per batch. The commit also saves
    /// the state of the allocator (quick repair), so that a start after a kill need not read the
    /// whole file to find free pages.
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
