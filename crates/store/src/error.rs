use sotto_call::CallId;

/// What can go wrong between a call and its database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address names no database that Sotto knows.
    #[error("`{0}` is no database: write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url(String),
    /// The folder or the lock file beside an SQLite database cannot be made.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another Sotto works on this database.
    #[error("another Sotto is running on this database")]
    InUse,
    /// The database refused or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the database's tables could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// An event with this number is in the log already, and says something else.
    #[error("call {call}: event {seq} is in the log already and says something else")]
    Conflict {
        /// Whose log.
        call: CallId,
        /// Which event.
        seq: u64,
    },
    /// Events for a call that was never created.
    #[error("there is no call {0}")]
    UnknownCall(CallId),
    /// New events for a call that has ended.
    #[error("call {0} has ended")]
    Ended(CallId),
    /// A value does not fit its column, or a row does not say what it should.
    #[error("{0}")]
    Invalid(String),
    /// A user, or a team, of this name exists.
    #[error("there is somebody, or a team, called {0} already")]
    NameTaken(String),
    /// Another contact, or another company, has this number.
    #[error("somebody else has the number {0}")]
    NumberTaken(String),
    /// Another payment is known by this reference.
    #[error("another payment has the reference {0}")]
    ReferenceTaken(String),
    /// A contact is to belong to a company that there is not.
    #[error("there is no such company")]
    NoCompany,
    /// Somebody else has changed it since it was read.
    #[error("somebody else has changed it meanwhile")]
    Stale,
    /// The change would leave nobody who may administer.
    #[error("the last admin cannot be disabled or given another role")]
    LastAdmin,
}

impl StoreError {
    /// Whether the same write would be refused for ever, however often it is tried.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::UnknownCall(_) | Self::Ended(_) | Self::Invalid(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                use sqlx::error::ErrorKind;
                let integrity = !matches!(error.kind(), ErrorKind::Other);
                // PostgreSQL class 22: the value itself is at fault.
                integrity || error.code().is_some_and(|code| code.len() == 5 && code.starts_with("22"))
            }
            Self::Database(
                sqlx::Error::Encode(_)
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::InvalidArgument(_),
            ) => true,
            _ => false,
        }
    }
}
