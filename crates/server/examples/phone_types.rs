//! Prints the TypeScript types of what agents' pages and the desk say to each other, so that the web page never types them
//! twice:
//!
//! ```text
//! cargo run -p sotto-server --features ts --example phone_types > web/src/lib/generated/phone.ts
//! ```

use sotto_server::desk::{
    AgentState, CallFailure, Caller, FromPage, InLine, MediaState, Ongoing, ToPage, Who,
};
use sotto_webrtc::{Candidate, IceServer};
use ts_rs::{Config, TS};

macro_rules! declare {
    ($($type:ty),* $(,)?) => {{
        let config = Config::default().with_large_int("number");
        $(println!("\nexport {}", <$type>::decl(&config));)*
    }};
}

fn main() {
    println!("// Generated from crates/server by its example `phone_types`. Do not edit.");
    println!("\nimport type {{ Attention, CallId }} from './call';");
    declare!(
        AgentState,
        Who,
        Caller,
        InLine,
        Ongoing,
        Candidate,
        IceServer,
        MediaState,
        CallFailure,
        ToPage,
        FromPage,
    );
}
