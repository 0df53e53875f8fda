//! Users and their secrets: passwords, tokens, keys. What both the command line and HTTP do with them.

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use sha2::{Digest, Sha256};
use sotto_store::{ApiKeyRow, Role, Store, StoreError, TokenHash, UserChange, UserRow};
use uuid::Uuid;

/// What every API key begins with, so that a leaked one is recognised.
pub const KEY_PREFIX: &str = "sotto_";
/// Characters a password must have at least.
pub const SHORTEST_PASSWORD: usize = 10;
/// Bytes a password may have: hashing a long one is work that anyone could ask for.
pub const LONGEST_PASSWORD: usize = 256;

/// Why a user or key cannot be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The name is none.
    #[error("a name has 1 to 64 letters, digits, or any of . _ - @ +")]
    Name,
    /// The password is none.
    #[error("a password has at least {SHORTEST_PASSWORD} characters and at most {LONGEST_PASSWORD} bytes")]
    Password,
    /// The team is none.
    #[error("a team has a name of at most 64 characters, none of which is a control character or a comma")]
    Team,
    /// A scope is not known.
    #[error(
        "`{0}` is no scope; there are calls:read, calls:publish, calls:listen, recordings:read, knowledge:read, \
         crm:read, crm:propose, crm:write, metrics:read and admin"
    )]
    Scope(String),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hashing failed, which it does not.
    #[error("passwords cannot be hashed: {0}")]
    Hash(String),
}

/// A user or key that has been made, with the secret that is shown once and never again.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued<T> {
    /// What has been made.
    pub made: T,
    /// The password or key, when it was made up here.
    pub secret: Option<String>,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Issued<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("made", &self.made).finish_non_exhaustive()
    }
}

/// What an API key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Lists of calls, their words, live and afterwards.
    CallsRead,
    /// Bringing audio into calls (WHIP).
    CallsPublish,
    /// Hearing calls as they go on (WHEP).
    CallsListen,
    /// Recordings.
    RecordingsRead,
    /// Recordings that were made elsewhere: seeing and adding them.
    RecordingsWrite,
    /// What is written down.
    KnowledgeRead,
    /// Contacts, their timelines and tasks.
    CrmRead,
    /// Adding to timelines, and proposing tasks, for people to accept.
    CrmPropose,
    /// Adding and changing contacts, their timelines and tasks.
    CrmWrite,
    /// `/metrics`, where that is not open.
    MetricsRead,
    /// Everything an admin may do.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::CallsRead,
        Self::CallsPublish,
        Self::CallsListen,
        Self::RecordingsRead,
        Self::RecordingsWrite,
        Self::KnowledgeRead,
        Self::CrmRead,
        Self::CrmPropose,
        Self::CrmWrite,
        Self::MetricsRead,
        Self::Admin,
    ];

    /// The name it is stored and shown by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallsRead => "calls:read",
            Self::CallsPublish => "calls:publish",
            Self::CallsListen => "calls:listen",
            Self::RecordingsRead => "recordings:read",
            Self::RecordingsWrite => "recordings:write",
            Self::KnowledgeRead => "knowledge:read",
            Self::CrmRead => "crm:read",
            Self::CrmPropose => "crm:propose",
            Self::CrmWrite => "crm:write",
            Self::MetricsRead => "metrics:read",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with the scope of this name may do what needs this one.
    #[must_use]
    pub fn is_granted_by(self, scope: &str) -> bool {
        let includes = matches!(self, Self::CrmRead | Self::CrmPropose) && scope == Self::CrmWrite.as_str();
        scope == self.as_str() || scope == Self::Admin.as_str() || includes
    }
}

/// The form in which names are stored and compared: two names that look the same to a person are the same.
///
/// # Errors
/// [`PeopleError::Name`].
pub fn name(name: &str) -> Result<String, PeopleError> {
    let name = name.trim().to_lowercase();
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+' | '\u{200c}');
    if (1..=64).contains(&name.chars().count()) && name.chars().all(allowed) {
        Ok(name)
    } else {
        Err(PeopleError::Name)
    }
}

/// The form in which teams are stored and compared with those that documents name; none where nothing is said.
///
/// # Errors
/// [`PeopleError::Team`].
pub fn team(team: &str) -> Result<Option<String>, PeopleError> {
    let team = team.trim();
    // Commas stand between the teams that an upload is for.
    if team.chars().count() > 64 || team.chars().any(|c| c.is_control() || c == ',') {
        return Err(PeopleError::Team);
    }
    Ok((!team.is_empty()).then(|| team.to_owned()))
}

/// Adds a user; without a password one is made up. Takes tens of milliseconds of one core.
///
/// # Errors
/// [`PeopleError::Store`] with [`StoreError::NameTaken`], and the others.
pub async fn add_user(
    store: &Store,
    user: &str,
    role: Role,
    in_team: Option<&str>,
    password: Option<String>,
    now_unix_ms: u64,
) -> Result<Issued<UserRow>, PeopleError> {
    let (user_name, team) = (name(user)?, team(in_team.unwrap_or_default())?);
    let (password, secret) = match password {
        Some(password) => (password, None),
        None => {
            let made_up = random_password();
            (made_up.clone(), Some(made_up))
        }
    };
    let made = UserRow {
        id: Uuid::now_v7(),
        name: user_name,
        password_hash: hash_password(password).await?,
        role,
        team,
        created_at_unix_ms: now_unix_ms,
        disabled: false,
    };
    store.add_user(&made).await?;
    Ok(Issued { made, secret })
}

/// Makes the first admin, called `admin`, when there are no users yet. The caller shows the password.
///
/// # Errors
/// As [`add_user`].
pub async fn first_admin(
    store: &Store,
    password: Option<String>,
    now_unix_ms: u64,
) -> Result<Option<Issued<UserRow>>, PeopleError> {
    if !store.users().await?.is_empty() {
        return Ok(None);
    }
    add_user(store, "admin", Role::Admin, None, password, now_unix_ms).await.map(Some)
}

/// Gives a user another password, which ends all their sessions. Without one, one is made up. `None` when
/// there is no such user.
///
/// # Errors
/// As [`add_user`].
pub async fn set_password(
    store: &Store,
    user: &str,
    password: Option<String>,
) -> Result<Option<Issued<UserRow>>, PeopleError> {
    let Some(found) = store.user_by_name(&name(user)?).await? else { return Ok(None) };
    let secret = password.is_none().then(random_password);
    let password = password.or_else(|| secret.clone()).unwrap_or_default();
    let change = UserChange { password_hash: Some(hash_password(password).await?), ..UserChange::default() };
    Ok(store.change_user(found.id, &change).await?.map(|made| Issued { made, secret }))
}

/// Puts a user into a team, or into none where nothing is named. `None` when there is no such user.
///
/// # Errors
/// [`PeopleError::Team`], and when the store refuses.
pub async fn set_team(store: &Store, user: &str, to: &str) -> Result<Option<UserRow>, PeopleError> {
    let change = UserChange { team: Some(team(to)?), ..UserChange::default() };
    let Some(found) = store.user_by_name(&name(user)?).await? else { return Ok(None) };
    Ok(store.change_user(found.id, &change).await?)
}

/// Makes an API key.
///
/// # Errors
/// [`PeopleError::Scope`], [`PeopleError::Name`] when `purpose` is empty or too long, [`PeopleError::Store`].
pub async fn add_key(
    store: &Store,
    purpose: &str,
    scopes: Vec<String>,
    now_unix_ms: u64,
) -> Result<Issued<ApiKeyRow>, PeopleError> {
    let purpose = purpose.trim();
    if !(1..=100).contains(&purpose.chars().count()) {
        return Err(PeopleError::Name);
    }
    if let Some(unknown) = scopes.iter().find(|scope| Scope::ALL.iter().all(|known| known.as_str() != *scope))
    {
        return Err(PeopleError::Scope(unknown.clone()));
    }
    let key = format!("{KEY_PREFIX}{}", random_token());
    let made = ApiKeyRow {
        id: Uuid::now_v7(),
        name: purpose.to_owned(),
        key_hash: hash_token(&key),
        scopes,
        created_at_unix_ms: now_unix_ms,
        used_at_unix_ms: None,
        revoked_at_unix_ms: None,
    };
    store.add_key(&made).await?;
    Ok(Issued { made, secret: Some(key) })
}

/// 256 random bits in hexadecimal.
#[must_use]
pub fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A password that can be read aloud: 20 characters without look-alikes, about 98 bits.
#[must_use]
pub fn random_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
    let bytes: [u8; 20] = rand::random();
    // 32 divides 256: every character is as likely as any other.
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// The form in which tokens are stored. They are random, so that a fast hash is enough.
#[must_use]
pub fn hash_token(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

fn argon2() -> Argon2<'static> {
    // OWASP's recommendation: Argon2id, 19 MiB, two passes, one lane.
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::default())
}

async fn hash_password(password: String) -> Result<String, PeopleError> {
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Err(PeopleError::Password);
    }
    tokio::task::spawn_blocking(move || hash(&password))
        .await
        .map_err(|error| PeopleError::Hash(error.to_string()))?
}

fn hash(password: &str) -> Result<String, PeopleError> {
    let failed = |error: argon2::password_hash::Error| PeopleError::Hash(error.to_string());
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(failed)?;
    Ok(argon2().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

/// Whether `password` is the one behind `hash`. Without a hash, for a user who does not exist, it takes as
/// long and is wrong. Blocks for tens of milliseconds.
#[must_use]
pub fn password_is_right(password: &str, password_hash: Option<&str>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = NOBODY.get_or_init(|| hash(&random_password()).unwrap_or_default());
    let Ok(parsed) = PasswordHash::new(password_hash.unwrap_or(nobody)) else { return false };
    let right = argon2().verify_password(password.as_bytes(), &parsed).is_ok();
    right && password_hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_the_same() {
        assert_eq!(name("  Ada.Lovelace@example ").unwrap(), "ada.lovelace@example");
        assert_eq!(name("مینا").unwrap(), "مینا");
        for none in ["", "  ", "a b", "a\0", "x'; --", "\u{202e}ada", &"a".repeat(65)] {
            assert!(matches!(name(none), Err(PeopleError::Name)), "{none:?}");
        }
    }

    #[test]
    fn passwords_are_salted_and_checked() {
        let (one, two) = (hash("correct horse").unwrap(), hash("correct horse").unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(password_is_right("correct horse", Some(&one)));
        assert!(!password_is_right("correct hors", Some(&one)));
        assert!(!password_is_right("correct horse", None));
        assert!(!password_is_right("", Some("not a hash")));
    }

    #[test]
    fn secrets_do_not_repeat_and_do_not_show() {
        assert_ne!(random_token(), random_token());
        assert_eq!(random_token().len(), 64);
        let password = random_password();
        assert!(password.len() >= SHORTEST_PASSWORD);
        let issued = Issued { made: 1, secret: Some(password.clone()) };
        assert!(!format!("{issued:?}").contains(&password));
    }

    #[tokio::test]
    async fn people_are_in_a_team_or_in_none() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let issued = add_user(&store, "bob", Role::Agent, Some(" cards "), None, 1).await.unwrap();
        assert_eq!(issued.made.team.as_deref(), Some("cards"));
        assert_eq!(set_team(&store, "Bob", "کارت‌ها").await.unwrap().unwrap().team.as_deref(), Some("کارت‌ها"));
        assert_eq!(set_team(&store, "bob", " ").await.unwrap().unwrap().team, None);
        assert_eq!(set_team(&store, "nobody", "cards").await.unwrap(), None);
        for none in ["a,b", "a\0", &"a".repeat(65)] {
            assert!(matches!(team(none), Err(PeopleError::Team)), "{none:?}");
        }
    }

    #[tokio::test]
    async fn the_first_admin_is_made_once() {
        let (store, _folder) = sotto_store::testing::sqlite().await;
        let issued = first_admin(&store, None, 1).await.unwrap().unwrap();
        let password = issued.secret.unwrap();
        let admin = store.user_by_name("admin").await.unwrap().unwrap();
        assert_eq!(admin.role, Role::Admin);
        assert!(password_is_right(&password, Some(&admin.password_hash)));
        assert_eq!(first_admin(&store, None, 2).await.unwrap(), None);
        let short = add_user(&store, "bob", Role::Agent, None, Some("short".to_owned()), 1).await;
        assert!(matches!(short, Err(PeopleError::Password)));
        let issued = set_password(&store, "Admin", None).await.unwrap().unwrap();
        assert_ne!(issued.secret.unwrap(), password);
        assert!(set_password(&store, "nobody", None).await.unwrap().is_none());
        let unknown = add_key(&store, "x", vec!["calls:write".to_owned()], 1).await;
        assert!(matches!(unknown, Err(PeopleError::Scope(_))));
        let key = add_key(&store, "x", vec!["calls:read".to_owned()], 1).await.unwrap();
        let secret = key.secret.unwrap();
        assert!(secret.starts_with(KEY_PREFIX));
        assert_eq!(store.key(&hash_token(&secret)).await.unwrap().unwrap().id, key.made.id);
    }
}
