//! A passage that is hidden from somebody reaches them by no way: by search, card, answer, draft, steps, list or a call's log.
//!
//! Every question has an answer for each audience, alike but for a word that nobody else has, so that for everybody the best
//! passage of another audience is as good as their own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sotto_tests::api::Api;
use sotto_tests::audio::Audio;
use sotto_tests::http::Client;
use sotto_tests::script::Script;
use sotto_tests::server::{Setup, Sotto};

use super::Figure;
use super::setup::{Bench, place};

const PASSWORD: &str = "a long enough password";
const PATIENCE: Duration = Duration::from_secs(600);
/// The least part of the questions to which whoever asks finds what is theirs: otherwise nothing was tried.
const FOUND: f64 = 0.95;

/// Whom documents are for: a folder, its roles and its teams, as the configuration has them.
static AUDIENCES: [(&str, &[&str], &[&str]); 5] = [
    ("for-all", &[], &[]),
    ("for-those-above", &["supervisor", "admin"], &[]),
    ("for-admins", &["admin"], &[]),
    ("for-cards", &[], &["cards"]),
    ("for-agents-of-loans", &["agent"], &["loans"]),
];

struct Person {
    name: &'static str,
    role: &'static str,
    team: &'static str,
}

static PEOPLE: [Person; 6] = [
    Person { name: "ada", role: "agent", team: "" },
    Person { name: "ben", role: "agent", team: "cards" },
    Person { name: "cleo", role: "agent", team: "loans" },
    Person { name: "dora", role: "supervisor", team: "" },
    Person { name: "emil", role: "supervisor", team: "cards" },
    Person { name: "fritz", role: "admin", team: "loans" },
];

impl Person {
    fn sees(&self, (_, roles, teams): &(&str, &[&str], &[&str])) -> bool {
        (roles.is_empty() || roles.contains(&self.role)) && (teams.is_empty() || teams.contains(&self.team))
    }

    /// How many audiences' words or names are in what they were given that they are not of.
    fn reached_by(&self, text: &str) -> u32 {
        let hidden = AUDIENCES.iter().filter(|audience| !self.sees(audience));
        hidden
            .filter(|(folder, ..)| text.contains(&word(folder)) || text.contains(&format!("{folder}/")))
            .count() as u32
    }
}

/// The word that stands in an audience's documents alone.
fn word(folder: &str) -> String {
    format!("zq{}", folder.replace('-', ""))
}

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let topics = if bench.quick { 5 } else { 40 };
    let folder = tempfile::tempdir()?;
    let server = bench.server_with(&setup(folder.path(), topics)?)?;
    for person in &PEOPLE {
        server.add_user((person.name, PASSWORD), person.role)?;
        let path = format!("/api/users/{}", person.name);
        let change = serde_json::to_vec(&json!({ "team": person.team }))?;
        let json = [("Content-Type", "application/json")];
        let moved = server.api.client.request("PATCH", &path, &json, &change)?;
        ensure!(moved.status == 200, "{} is in no team: {}", person.name, moved.text());
    }
    embedded(&server, AUDIENCES.len() * (topics + 1))?;
    server.understands(PATIENCE)?;
    let (id, cards) = call(&server)?;

    let (mut asked, mut reached, mut found) = (0, 0, 0);
    let tried: Vec<Result<Tried>> = std::thread::scope(|scope| {
        let threads: Vec<_> = PEOPLE
            .iter()
            .map(|person| {
                let (address, id) = (server.http, id.as_str());
                scope.spawn(move || {
                    try_all(person, &Client::signed_in(address, person.name, PASSWORD)?, topics, id)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
            .collect()
    });
    for tried in tried {
        let tried = tried?;
        asked += tried.asked;
        reached += tried.reached;
        found += tried.found;
    }
    sink(Figure::reported("access.asked", f64::from(asked), "answers"));
    sink(Figure::at_most("access.reached", f64::from(reached), "passages", 0.0));
    let questions = (PEOPLE.len() * topics) as f64;
    sink(Figure::at_least("access.found_what_is_theirs", f64::from(found) / questions, "rate", FOUND));
    sink(Figure::at_least("access.cards_of_the_call", f64::from(cards), "cards", 1.0));
    Ok(())
}

/// Writes the documents, and names their folders.
fn setup(folder: &Path, topics: usize) -> Result<Setup> {
    let mut folders = Vec::new();
    for (name, roles, teams) in AUDIENCES {
        let path = folder.join(name);
        std::fs::create_dir(&path)?;
        let word = word(name);
        for n in 0..topics {
            let text = format!("# Tariff {n}\n\nThe tariff {n} costs what {word} says.\n");
            std::fs::write(path.join(format!("tariff-{n}.md")), text)?;
        }
        let orders = format!(
            "# Orders\n\n## When will my order be delivered?\n\nAn order is delivered by {word} on Friday.\n\n\
             ## Can you refund the delivery fee?\n\nThe delivery fee is refunded by {word} in three days.\n"
        );
        std::fs::write(path.join("orders.md"), orders)?;
        let path = path.display().to_string();
        folders.push(format!("{{ path = {path:?}, roles = {roles:?}, teams = {teams:?} }}"));
    }
    let more = vec![("knowledge".to_owned(), format!("folders = [{}]", folders.join(", ")))];
    Ok(Setup { language: Some("en".into()), more, ..Setup::default() })
}

/// Waits until so many documents can be found by their meaning.
fn embedded(server: &Sotto, documents: usize) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let figure = |name: &str| server.api.metric(&format!("sotto_knowledge_{name}"));
    while figure("documents")? < documents as f64 || figure("passages_without_vector")? > 0.0 {
        ensure!(Instant::now() < until, "the documents are not embedded\n{}", server.log());
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

/// Plays the demo's questions on a call: its id, and how many cards it had.
fn call(server: &Sotto) -> Result<(String, u32)> {
    let audio = Audio::read(&Script::support()?.audio)?.cut(58_000, 75_000);
    let placed = place(server, &audio, "40000001")?;
    placed.sipp.finish()?;
    let events = server.api.ended(&placed.id, PATIENCE)?;
    let cards = events.iter().filter(|event| event["kind"] == "card").count();
    Ok((placed.id, u32::try_from(cards)?))
}

#[derive(Default)]
struct Tried {
    asked: u32,
    reached: u32,
    found: u32,
}

/// Every way to a passage, as this person.
fn try_all(person: &Person, client: &Client, topics: usize, call: &str) -> Result<Tried> {
    let mut tried = Tried::default();
    let look = |tried: &mut Tried, text: &str| {
        tried.asked += 1;
        tried.reached += person.reached_by(text);
    };
    for n in 0..topics {
        let query = format!("What does the tariff {n} cost?");
        let found = ask(client, "/api/ai/assist/search", &json!({ "query": query }))?;
        look(&mut tried, &found);
        tried.found +=
            u32::from(AUDIENCES.iter().any(|one| person.sees(one) && found.contains(&word(one.0))));
        look(&mut tried, &ask(client, "/api/ai/assist/answer", &json!({ "question": query }))?);
        let wish = json!({
            "callId": call, "about": query, "tone": "formal", "language": "en", "channel": "email",
        });
        look(&mut tried, &ask(client, "/api/ai/assist/draft", &wish)?);
    }
    let api = Api { client: client.clone() };
    for (by, more) in [("documents", ""), ("pathways", "?passage=0")] {
        let at = |name: &str| api.client.get(&format!("/api/knowledge/{by}/{name}{more}"));
        let unknown = at("nothing.md")?.text();
        for (folder, ..) in AUDIENCES.iter().filter(|audience| !person.sees(audience)) {
            let hidden = at(&format!("{folder}/tariff-0.md"))?.text();
            tried.asked += 1;
            tried.reached += u32::from(hidden != unknown);
        }
    }
    let of_call = ["", "/events?from=0"].map(|path| format!("/api/calls/{call}{path}"));
    let lists = ["documents", "health", "gaps"].map(|name| format!("/api/knowledge/{name}"));
    for path in of_call.iter().chain(&lists) {
        look(&mut tried, &api.client.get(path)?.text());
    }
    // Who decides which team sees what is told what documents are called, and nothing that stands in them.
    let teams = api.client.get("/api/teams")?.text();
    let hidden =
        AUDIENCES.iter().filter(|audience| !person.sees(audience) && teams.contains(&word(audience.0)));
    tried.asked += 1;
    tried.reached += u32::try_from(hidden.count())?;
    let mut live = api.live(call, Some(0))?;
    let told = live.until(PATIENCE, |told| told["type"] == "end")?;
    look(&mut tried, &told.iter().map(Value::to_string).collect::<String>());
    Ok(tried)
}

/// Asks, again where somebody who asks so often is to wait.
fn ask(client: &Client, path: &str, body: &Value) -> Result<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = client.post(path, body)?;
        match answer.status {
            200 => return Ok(answer.text()),
            429 if Instant::now() < until => {
                let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
                std::thread::sleep(Duration::from_secs(seconds.context("no Retry-After")?));
            }
            status => anyhow::bail!("{path}: status {status}: {}", answer.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_somebody_is_counted_by_whom_it_is_for() {
        let [ada, ben, .., fritz] = &PEOPLE;
        let text = AUDIENCES.map(|(folder, ..)| word(folder)).join(" ");
        assert_eq!([ada, ben, fritz].map(|person| person.reached_by(&text)), [4, 3, 2]);
        assert_eq!(ada.reached_by("for-cards/tariff-1.md"), 1);
        assert_eq!(ada.reached_by(&word("for-all")), 0);
    }
}
