//! One call too many is refused, and costs the others nothing.

use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::{Sipp, Transport};

use crate::support::{PATIENCE, assert_ordered, assert_understood, excerpt};

#[test]
fn a_call_over_the_limit_is_answered_with_503() {
    let sotto = Sotto::start_with(&Setup { max_calls: Some(1), ..Setup::default() }).unwrap();
    let (_, audio) = excerpt();
    let first = Sipp::siprec(sotto.sip).call(&audio).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    for transport in [Transport::Udp, Transport::Tcp] {
        let refused = Sipp { transport, ..Sipp::siprec(sotto.sip) }.call(&audio.cut(0, 1000)).unwrap();
        let log = refused.finish().unwrap_err().to_string();
        assert!(log.contains("SIP/2.0 503") && log.contains("Retry-After"), "{log}");
    }
    first.finish().unwrap();
    let events = sotto.api.ended(&id, PATIENCE).unwrap();
    assert_ordered(&events);
    assert_understood(&events);
    // There is room again.
    let next = Sipp::siprec(sotto.sip).call(&audio.cut(0, 1000)).unwrap();
    next.finish().unwrap();
    assert_eq!(sotto.api.calls("ended").unwrap().len() + sotto.api.calls("live").unwrap().len(), 2);
}
