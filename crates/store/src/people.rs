//! Who may sign in: users, their sessions, and keys for programs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

use crate::store::{clean, from_json, from_name, name_of, read, signed, to_json, transaction, unsigned};
use crate::{Store, StoreError};

/// What a user is in the organisation. What each may do is for whoever lets them; none includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes calls.
    Agent,
    /// Judges how good calls were that are over.
    Reviewer,
    /// Looks after agents.
    Supervisor,
    /// Looks after Sotto.
    Admin,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Reviewer, Self::Supervisor, Self::Admin];
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its id.
    pub id: Uuid,
    /// The name to sign in with, unique.
    pub name: String,
    /// PHC string.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
    /// The team that they are in, if they are in one.
    pub team: Option<String>,
    /// Since when.
    pub created_at_unix_ms: u64,
    /// Whether they are kept out.
    pub disabled: bool,
}

/// What to change about a user; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// A new password's PHC string.
    pub password_hash: Option<String>,
    /// A new role.
    pub role: Option<Role>,
    /// Another team, or none.
    pub team: Option<Option<String>>,
    /// Keep out, or let in again.
    pub disabled: Option<bool>,
}

/// SHA-256 of a token or key. The token itself is never stored.
pub type TokenHash = [u8; 32];

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Hash of the cookie's token.
    pub token_hash: TokenHash,
    /// Whose.
    pub user: Uuid,
    /// Since when.
    pub created_at_unix_ms: u64,
    /// When it was last used, to the minute.
    pub seen_at_unix_ms: u64,
    /// When it is over at the latest.
    pub expires_at_unix_ms: u64,
}

/// A key for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: Uuid,
    /// What it is for, in its maker's words.
    pub name: String,
    /// Hash of the key.
    pub key_hash: TokenHash,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Since when.
    pub created_at_unix_ms: u64,
    /// When it was last used, to the minute.
    pub used_at_unix_ms: Option<u64>,
    /// Since when it is of no use any more.
    pub revoked_at_unix_ms: Option<u64>,
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when the name is taken.
    pub async fn add_user(&self, user: &UserRow) -> Result<(), StoreError> {
        let added = self.insert_user(user).await;
        match added {
            Err(StoreError::Database(sqlx::Error::Database(error))) if error.is_unique_violation() => {
                Err(StoreError::NameTaken(user.name.clone()))
            }
            other => other,
        }
    }

    async fn insert_user(&self, user: &UserRow) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO users (id, name, password_hash, role, created_at, disabled, team) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(user.id)
            .bind(clean(&user.name))
            .bind(&user.password_hash)
            .bind(name_of(&user.role)?)
            .bind(signed(user.created_at_unix_ms, "time")?)
            .bind(user.disabled)
            .bind(user.team.as_deref().map(clean))
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// The user of this name, disabled or not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        let row: Option<RawUser> = read!(self, db => {
            sqlx::query_as("SELECT * FROM users WHERE name = $1").bind(clean(name)).fetch_optional(db).await?
        });
        row.map(UserRow::try_from).transpose()
    }

    /// All users by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let rows: Vec<RawUser> =
            read!(self, db => sqlx::query_as("SELECT * FROM users ORDER BY name").fetch_all(db).await?);
        rows.into_iter().map(UserRow::try_from).collect()
    }

    /// Calls a team otherwise, for the people in it and for the documents that name it. False if there are none of either.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when there is a team of the new name.
    pub async fn rename_team(&self, from: &str, to: &str) -> Result<bool, StoreError> {
        let (from, to) = (clean(from), clean(to));
        let found = transaction!(self, tx => {
            let rows: Vec<(String, String)> =
                sqlx::query_as("SELECT name, teams FROM documents").fetch_all(&mut **tx).await?;
            let mut documents: Vec<(String, BTreeSet<String>)> = Vec::new();
            for (name, teams) in rows {
                documents.push((name, from_json(&teams, "teams")?));
            }
            let peoples: Vec<String> =
                sqlx::query_scalar("SELECT DISTINCT team FROM users WHERE team IS NOT NULL")
                    .fetch_all(&mut **tx)
                    .await?;
            let is_there =
                |team: &String| peoples.contains(team) || documents.iter().any(|(_, teams)| teams.contains(team));
            if is_there(&to) {
                return Err(StoreError::NameTaken(to));
            }
            let found = is_there(&from);
            sqlx::query("UPDATE users SET team = $2 WHERE team = $1")
                .bind(&from)
                .bind(&to)
                .execute(&mut **tx)
                .await?;
            for (name, mut teams) in documents {
                if teams.remove(&from) {
                    teams.insert(to.clone());
                    sqlx::query("UPDATE documents SET teams = $1 WHERE name = $2")
                        .bind(to_json(&teams)?)
                        .bind(name)
                        .execute(&mut **tx)
                        .await?;
                }
            }
            found
        });
        Ok(found)
    }

    /// Changes a user and says what they are now, `None` when there is no such user. A new password, and
    /// being kept out, end all their sessions.
    ///
    /// # Errors
    /// [`StoreError::LastAdmin`] when nobody would be left who may administer.
    pub async fn change_user(&self, id: Uuid, change: &UserChange) -> Result<Option<UserRow>, StoreError> {
        let changed = transaction!(self, tx => {
            // Whoever changes this user or an admin just now is waited for, so that what they come to is known below.
            sqlx::query("UPDATE users SET disabled = disabled WHERE id = $1 OR role = 'admin'")
                .bind(id)
                .execute(&mut **tx)
                .await?;
            let found: Option<RawUser> = sqlx::query_as("SELECT * FROM users WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?;
            let Some(found) = found else { return Ok(None) };
            let before = UserRow::try_from(found)?;
            let after = UserRow {
                password_hash: change.password_hash.clone().unwrap_or_else(|| before.password_hash.clone()),
                role: change.role.unwrap_or(before.role),
                team: change.team.clone().unwrap_or_else(|| before.team.clone()),
                disabled: change.disabled.unwrap_or(before.disabled),
                ..before.clone()
            };
            sqlx::query(
                "UPDATE users SET password_hash = $2, role = $3, disabled = $4, team = $5 WHERE id = $1",
            )
            .bind(id)
            .bind(&after.password_hash)
            .bind(name_of(&after.role)?)
            .bind(after.disabled)
            .bind(after.team.as_deref().map(clean))
            .execute(&mut **tx)
            .await?;
            let admins: i64 =
                sqlx::query_scalar("SELECT count(*) FROM users WHERE role = 'admin' AND disabled = $1")
                    .bind(false)
                    .fetch_one(&mut **tx)
                    .await?;
            let was_admin = before.role == Role::Admin && !before.disabled;
            if admins == 0 && was_admin {
                return Err(StoreError::LastAdmin);
            }
            if change.password_hash.is_some() || after.disabled {
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(id).execute(&mut **tx).await?;
            }
            after
        });
        Ok(Some(changed))
    }

    /// Adds a session and forgets those that are over.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
                .bind(signed(session.created_at_unix_ms, "time")?)
                .execute(&mut **tx)
                .await?;
            sqlx::query(
                "INSERT INTO sessions (token_hash, user_id, created_at, seen_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(session.token_hash.as_slice())
            .bind(session.user)
            .bind(signed(session.created_at_unix_ms, "time")?)
            .bind(signed(session.seen_at_unix_ms, "time")?)
            .bind(signed(session.expires_at_unix_ms, "time")?)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// The session of this token with its user, whether it is over or not and whether they are kept out or
    /// not: the caller knows the time and the rules.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn session(&self, token: &TokenHash) -> Result<Option<(SessionRow, UserRow)>, StoreError> {
        let row: Option<RawSession> = read!(self, db => {
            sqlx::query_as(
                "SELECT sessions.created_at AS session_created_at, seen_at, expires_at, users.* \
                 FROM sessions JOIN users ON users.id = user_id WHERE token_hash = $1",
            )
            .bind(token.as_slice())
            .fetch_optional(db)
            .await?
        });
        let Some(row) = row else { return Ok(None) };
        let session = SessionRow {
            token_hash: *token,
            user: row.user.id,
            created_at_unix_ms: unsigned(row.session_created_at, "time")?,
            seen_at_unix_ms: unsigned(row.seen_at, "time")?,
            expires_at_unix_ms: unsigned(row.expires_at, "time")?,
        };
        Ok(Some((session, UserRow::try_from(row.user)?)))
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn touch_session(&self, token: &TokenHash, now_unix_ms: u64) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("UPDATE sessions SET seen_at = $2 WHERE token_hash = $1 AND seen_at < $2")
                .bind(token.as_slice())
                .bind(signed(now_unix_ms, "time")?)
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_session(&self, token: &TokenHash) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
                .bind(token.as_slice())
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Adds a key.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn add_key(&self, key: &ApiKeyRow) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query(
                "INSERT INTO api_keys (id, name, key_hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(key.id)
            .bind(clean(&key.name))
            .bind(key.key_hash.as_slice())
            .bind(to_json(&key.scopes)?)
            .bind(signed(key.created_at_unix_ms, "time")?)
            .execute(&mut **tx)
            .await?;
        });
        Ok(())
    }

    /// The key with this hash, revoked or not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKeyRow>, StoreError> {
        let row: Option<RawKey> = read!(self, db => {
            sqlx::query_as("SELECT * FROM api_keys WHERE key_hash = $1")
                .bind(hash.as_slice())
                .fetch_optional(db)
                .await?
        });
        row.map(ApiKeyRow::try_from).transpose()
    }

    /// All keys, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        let rows: Vec<RawKey> = read!(self, db => {
            sqlx::query_as("SELECT * FROM api_keys ORDER BY created_at DESC, id").fetch_all(db).await?
        });
        rows.into_iter().map(ApiKeyRow::try_from).collect()
    }

    /// Notes that a key is in use.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn touch_key(&self, id: Uuid, now_unix_ms: u64) -> Result<(), StoreError> {
        transaction!(self, tx => {
            sqlx::query("UPDATE api_keys SET used_at = $2 WHERE id = $1")
                .bind(id)
                .bind(signed(now_unix_ms, "time")?)
                .execute(&mut **tx)
                .await?;
        });
        Ok(())
    }

    /// Makes a key useless. Says whether there was such a key.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke_key(&self, id: Uuid, now_unix_ms: u64) -> Result<bool, StoreError> {
        let found = transaction!(self, tx => {
            sqlx::query("UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1")
                .bind(id)
                .bind(signed(now_unix_ms, "time")?)
                .execute(&mut **tx)
                .await?
                .rows_affected()
        });
        Ok(found > 0)
    }
}

#[derive(FromRow)]
struct RawUser {
    id: Uuid,
    name: String,
    password_hash: String,
    role: String,
    team: Option<String>,
    created_at: i64,
    disabled: bool,
}

#[derive(FromRow)]
struct RawSession {
    session_created_at: i64,
    seen_at: i64,
    expires_at: i64,
    #[sqlx(flatten)]
    user: RawUser,
}

#[derive(FromRow)]
struct RawKey {
    id: Uuid,
    name: String,
    key_hash: Vec<u8>,
    scopes: String,
    created_at: i64,
    used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<RawUser> for UserRow {
    type Error = StoreError;
    fn try_from(raw: RawUser) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            name: raw.name,
            password_hash: raw.password_hash,
            role: from_name(raw.role)?,
            team: raw.team,
            created_at_unix_ms: unsigned(raw.created_at, "time")?,
            disabled: raw.disabled,
        })
    }
}

impl TryFrom<RawKey> for ApiKeyRow {
    type Error = StoreError;
    fn try_from(raw: RawKey) -> Result<Self, StoreError> {
        Ok(Self {
            id: raw.id,
            name: raw.name,
            key_hash: raw
                .key_hash
                .try_into()
                .map_err(|_| StoreError::Invalid("a key's hash has not 32 bytes".to_owned()))?,
            scopes: from_json(&raw.scopes, "scopes")?,
            created_at_unix_ms: unsigned(raw.created_at, "time")?,
            used_at_unix_ms: raw.used_at.map(|at| unsigned(at, "time")).transpose()?,
            revoked_at_unix_ms: raw.revoked_at.map(|at| unsigned(at, "time")).transpose()?,
        })
    }
}
