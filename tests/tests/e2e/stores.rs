//! The same call on the other database.

use sotto_tests::postgres::Postgres;
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{EXCERPT_MS, assert_ordered, assert_private, assert_recorded, assert_understood, call};

#[test]
fn a_call_on_postgresql() {
    let (url, server) = match std::env::var("SOTTO_TEST_POSTGRES") {
        Ok(url) if !url.is_empty() => (url, None),
        _ => {
            let Some(server) = Postgres::start_or_skip() else { return };
            (server.url("postgres"), Some(server))
        }
    };
    let mut sotto = Sotto::start_with(&Setup { database: Some(url), ..Setup::default() }).unwrap();
    let (id, events) = call(&sotto, &Sipp::siprec(sotto.sip));
    assert_ordered(&events);
    assert_understood(&events);
    sotto.kill().unwrap();
    sotto.resume().unwrap();
    assert_eq!(sotto.api.events(&id).unwrap(), events, "an ended call survives kill -9 as it was");
    assert_recorded(&sotto, &id, EXCERPT_MS);
    assert_private(&sotto.data());
    drop(sotto);
    drop(server);
}
