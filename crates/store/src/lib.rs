//! Calls and their events on disk: SQLite and PostgreSQL, one behaviour.
//!
//! [`Store`] is the one way to a database, whichever it is. What a call says goes through [`EventWriter`],
//! which a call never waits for: it gathers what all calls have to say and commits it in one transaction, at
//! most a quarter of a second later, and holds on to it while the database is away. [`recover`] closes at
//! start the calls that a crash left open.

mod audit;
mod calls;
mod companies;
mod contacts;
mod dashboard;
mod deliveries;
mod documents;
mod error;
mod follow_ups;
mod forget;
mod gaps;
mod imports;
mod intents;
mod jobs;
mod meaning;
mod missed;
mod payments;
mod people;
mod preparations;
mod recovery;
mod reviews;
mod search;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tickets;
mod timeline;
mod tokens;
mod writer;

pub use audit::AuditRow;
pub use calls::{CallFilter, CallRow, CallRowState, Closing, LastWords, Outcome, spoken};
pub use companies::{CompanyFilter, CompanyRow};
pub use contacts::{ContactFilter, ContactRow};
pub use dashboard::{Dashboard, DayRow, IntentCount};
pub use deliveries::{Attempt, DeliveryRow, DeliveryState, EventKind, Listener};
pub use documents::{DocumentRow, EmbeddingRow};
pub use error::StoreError;
pub use follow_ups::{Claim, Draft, FollowUpFilter, FollowUpRow, OptOuts, SendOutcome};
pub use gaps::{CallKnowledge, CardUses, FindsRow, GapRow, GapState, QuestionRow};
pub use imports::{ImportRow, NewImport};
pub use intents::{ExampleRow, IntentEdits, IntentRow, PlaybookRow};
pub use jobs::{INTERRUPTED, JobRow, JobState, ReviewRow, Step};
pub use meaning::{PassageRow, UnembeddedCall};
pub use missed::MissedCall;
pub use payments::{PaymentFilter, PaymentRow};
pub use people::{ApiKeyRow, Role, SessionRow, TokenHash, UserChange, UserRow};
pub use preparations::PreparationRow;
pub use recovery::{Recovered, close_by_log, recover};
pub use reviews::{QualityReviewRow, ReplyRow, ScoreRow, Verdict};
pub use search::{CallFacts, CallSearch, CallSentiment, FoundCall, Reach, SaidRow, SearchFilter};
pub use store::{InstanceLock, Store, make_private_folder};
pub use tickets::{TicketFilter, TicketRow};
pub use timeline::{CallEntry, CommunicationRow, TaskFilter, TaskRow, UnjoinedCall};
pub use writer::{EventWriter, Full, NotStored, WriterFigures, WriterLimits};
