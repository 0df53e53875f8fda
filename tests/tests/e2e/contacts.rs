//! Whoever calls is known by their number while they talk, and the call lands on their timeline when it is over.

use serde_json::{Value, json};
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, excerpt, until};

fn get(sotto: &Sotto, path: &str) -> Value {
    sotto.api.client.json(path).unwrap()
}

/// A contact's timeline.
fn timeline(sotto: &Sotto, contact: &Value) -> Vec<Value> {
    let path = format!("/api/leads/{}/communication", contact["id"].as_str().unwrap());
    get(sotto, &path)["communication"].as_array().unwrap().clone()
}

#[test]
fn a_call_lands_on_the_timeline_of_whoever_it_was_with() {
    let more = vec![("crm".to_owned(), "country = \"GB\"".to_owned())];
    // Without words as well: that somebody called is worth knowing.
    let setup = Setup { model: "/no/such/model.bin".into(), more, ..Setup::default() };
    let mut sotto = Sotto::start_with(&setup).unwrap();
    let new = json!({ "name": "Joe Miller", "phones": ["+44 20 7946 0018"] });
    let answer = sotto.api.client.post("/api/leads", &new).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let joe = answer.json().unwrap();

    // As it is dialled within the country.
    let sipp = Sipp { customer: "02079460018".into(), ..Sipp::siprec(sotto.sip) };
    let running = sipp.call(&excerpt().1).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let contact = format!("/api/calls/{id}/contact");
    until("whoever calls is known while they talk", || get(&sotto, &contact)["contact"]["id"] == joe["id"]);
    running.finish().unwrap();
    sotto.api.ended(&id, PATIENCE).unwrap();
    until("the call is on the timeline", || !timeline(&sotto, &joe).is_empty());
    let noted = timeline(&sotto, &joe).remove(0);
    assert_eq!((&noted["type"], &noted["source"]), (&json!("call_summary"), &json!("ai")));
    assert_eq!(noted["call_id"], id.as_str());
    assert_eq!(get(&sotto, &contact)["phone"], "+442079460018");
    assert_eq!(get(&sotto, "/api/voip/test-connection")["ok"], true);

    // It is there once, also after the program was killed and began again.
    sotto.kill().unwrap();
    sotto.resume().unwrap();
    assert_eq!(timeline(&sotto, &joe).len(), 1);
}
