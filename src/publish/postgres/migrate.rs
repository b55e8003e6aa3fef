//! The schema of the database. All DDL lies in `publish/migrations`.

use super::{Database, failed};
use crate::error::Result;
use sqlx::Row;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};
use std::collections::BTreeSet;

/// Kept beside the tables, so that it never meets the migrations of an application in the same database.
const MIGRATIONS_TABLE: &str = "paceline._migrations";

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether it is applied.
    pub applied: bool,
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("src/publish/migrations");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator.create_schema("paceline");
    migrator
}

fn not_migrated(error: MigrateError) -> crate::error::Error {
    failed("migrating")(sqlx::Error::from(error))
}

impl Database {
    /// Applies all migrations that are not applied yet.
    ///
    /// # Errors
    /// [`crate::error::Error::Database`] when it can't be reached or refuses.
    pub async fn migrate_up(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        migrator().run(&mut connection).await.map_err(not_migrated)
    }

    /// Takes all migrations back: the tables and their rows are gone, and the next run after
    /// [`Database::migrate_up`] fills them again from the published files.
    ///
    /// # Errors
    /// [`crate::error::Error::Database`] when it can't be reached or refuses.
    pub async fn migrate_down(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        let migrator = migrator();
        // Undoing needs the table of migrations, which a fresh database does not have.
        sqlx::query("CREATE SCHEMA IF NOT EXISTS paceline")
            .execute(&mut connection)
            .await
            .map_err(failed("migrating"))?;
        migrator.undo(&mut connection, 0).await.map_err(not_migrated)
    }

    /// Every migration, oldest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Database`] when it can't be reached.
    pub async fn migration_status(&self) -> Result<Vec<MigrationStatus>> {
        let mut connection = self.connect().await?;
        let exists: bool = sqlx::query("SELECT to_regclass($1) IS NOT NULL")
            .bind(MIGRATIONS_TABLE)
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed("reading"))?;
        let applied = if exists { applied_migrations(&mut connection).await? } else { BTreeSet::new() };
        let ups = |kind: MigrationType| !kind.is_down_migration();
        Ok(migrator()
            .iter()
            .filter(|migration| ups(migration.migration_type))
            .map(|migration| MigrationStatus {
                version: migration.version,
                name: migration.description.to_string(),
                applied: applied.contains(&migration.version),
            })
            .collect())
    }
}

async fn applied_migrations(connection: &mut sqlx::PgConnection) -> Result<BTreeSet<i64>> {
    let rows = sqlx::query("SELECT version FROM paceline._migrations WHERE success")
        .fetch_all(connection)
        .await
        .map_err(failed("reading"))?;
    rows.iter().map(|row| row.try_get(0).map_err(failed("reading"))).collect()
}
