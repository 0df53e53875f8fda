//! The test bench: the real `sotto` binary, and the peers that it meets in the world.
//!
//! End-to-end tests (`tests/`) and the evaluation (`cargo xtask eval`) need the same things: a server with a
//! fresh data folder, a SIP client that is not ours, a WebSocket, and a conversation whose words are known. They
//! are here once. Nothing of Sotto's own code is linked in: what is tested is what is shipped.

pub mod api;
pub mod audio;
pub mod baresip;
pub mod browser;
pub mod ears;
pub mod hostile;
pub mod http;
pub mod junk;
pub mod live;
pub mod llama;
pub mod network;
pub mod pcap;
pub mod pki;
#[path = "../../crates/store/src/testing/postgres.rs"]
pub mod postgres;
pub mod proxy;
pub mod script;
pub mod server;
pub mod sipp;
#[path = "../../crates/store/src/testing/skip.rs"]
pub mod skip;
pub mod turn;
