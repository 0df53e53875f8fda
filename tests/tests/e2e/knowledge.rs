//! What is written down: looked up in a folder (`sotto kb`), and kept and searched by a server.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sotto_tests::api::Api;
use sotto_tests::audio::Audio;
use sotto_tests::script::{Script, root};
use sotto_tests::server::{Setup, Sotto, binary};
use sotto_tests::sipp::Sipp;

use crate::support::{PATIENCE, until};

/// By words alone, so that no model is needed.
fn search(folder: &Path, query: &str, more: &[&str]) -> (Output, String) {
    let mut command = Command::new(binary().unwrap());
    command.args(["kb", "search", "--words", "--folder"]).arg(folder).args(more).arg(query);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout.clone()).unwrap();
    (out, text)
}

#[test]
fn the_hubs_that_ship_answer_in_both_languages_and_say_why() {
    let cases = [
        ("marfanet/en", "How long does a refund take?", "(refunds.md)"),
        ("marfanet/fa", "بازگشت وجه چند روز طول می‌کشد؟", "(refunds.md)"),
        ("metalingua/en", "Is the placement test free?", "(placement-test.md)"),
        ("metalingua/fa", "آزمون تعیین سطح رایگان است؟", "(placement-test.md)"),
    ];
    for (hub, question, expected) in cases {
        let (_, text) = search(&root().join("knowledge").join(hub), question, &[]);
        let first = text.lines().find(|line| line.starts_with("1. ")).unwrap_or_default();
        assert!(first.ends_with(expected) && text.contains("BM25"), "{question}\n{text}");
    }
    let (_, text) = search(&root().join("knowledge/marfanet/en"), "zebra xylophone", &[]);
    assert_eq!(text, "Nothing here answers that.\n");
}

#[test]
fn a_pdf_is_read_and_what_is_hostile_is_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(root().join("crates/knowledge/tests/data/refunds.pdf"), path("refunds.pdf")).unwrap();
    fs::write(path("prices.md"), "# Prices\n\nA lesson costs ten pounds.").unwrap();
    // Deeper than any stack, larger than any page, and not what their names say.
    let deep = format!("%PDF-1.4\n1 0 obj\n{}\nendobj\nstartxref\n9\n%%EOF\n", "[".repeat(4 << 20));
    fs::write(path("deep.pdf"), deep).unwrap();
    File::create(path("large.txt")).unwrap().set_len(1 << 30).unwrap();
    fs::write(path("archive.docx"), "PK\u{3}\u{4} and no more").unwrap();
    let (out, text) = search(folder.path(), "How many days do refunds take?", &[]);
    assert!(text.contains("refunds.pdf") && text.contains("three days"), "{text}");
    let complaints = String::from_utf8_lossy(&out.stderr).into_owned();
    for name in ["deep.pdf", "large.txt", "archive.docx"] {
        assert!(
            complaints.lines().any(|line| line.starts_with(&format!("{name}: "))),
            "{name}: {complaints}"
        );
    }
}

#[test]
fn a_reader_has_its_limits_before_it_reads() {
    let mut reader = Command::new(binary().unwrap())
        .args(["read-document", "txt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    // More than a pipe holds: when all is written, it reads.
    input.write_all(&vec![b'x'; 4 << 20]).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", reader.id())).unwrap();
    let expected = [("Max cpu time", "30"), ("Max data size", "1073741824"), ("Max core file size", "0")];
    for (resource, most) in expected {
        let line = limits.lines().find_map(|line| line.strip_prefix(resource)).unwrap_or_default();
        // The soft limit, and the hard one, above which it cannot raise that.
        assert!(line.split_whitespace().take(2).eq([most, most]), "{resource}: {limits}");
    }
    drop(input);
    assert!(reader.wait_with_output().unwrap().status.success());
}

#[test]
fn what_was_removed_from_the_folder_is_not_in_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("hub.kept");
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    fs::write(documents.join("a.md"), "# Zebra\n\nA striped animal.").unwrap();
    fs::write(documents.join("b.md"), "# Prices\n\nTen pounds.").unwrap();
    let keep = ["--keep", kept.to_str().unwrap()];
    assert!(search(&documents, "zebra", &keep).1.contains("a.md"));
    fs::remove_file(documents.join("a.md")).unwrap();
    assert!(!search(&documents, "zebra", &keep).1.contains("a.md"));
    let bytes = fs::read(&kept).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"striped"));
}

/// The passages that somebody is given for a question, as their documents and all that is said of them.
fn asked(api: &Api, query: &str) -> Vec<(String, Value)> {
    let answer =
        api.client.post("/api/ai/assist/search", &json!({ "query": query })).unwrap().json().unwrap();
    let snippets = answer["snippets"].as_array().unwrap().iter();
    snippets.map(|one| (one["document"].as_str().unwrap().to_owned(), one.clone())).collect()
}

/// The names of the documents that somebody sees.
fn listed(api: &Api) -> Vec<String> {
    let answer = api.client.json("/api/knowledge/documents").unwrap();
    let documents = answer["documents"].as_array().unwrap().iter();
    documents.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Whether these words are anywhere in the files of an SQLite database.
fn in_database(database: &Path, words: &str) -> bool {
    let name = |more: &str| format!("{}{more}", database.display());
    let files = ["", "-wal"].map(|more| fs::read(name(more)).unwrap_or_default());
    files.iter().any(|bytes| bytes.windows(words.len()).any(|window| window == words.as_bytes()))
}

#[test]
fn a_server_keeps_what_folders_have_and_what_is_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let [hub, few] = ["hub", "few"].map(|name| folder.path().join(name));
    for path in [&hub, &few] {
        fs::create_dir(path).unwrap();
    }
    fs::write(hub.join("refunds.md"), "# Refunds\n\nMoney goes back to the card within three days.").unwrap();
    fs::write(few.join("margins.md"), "# Margins\n\nEvery refund costs us seventy zebras.").unwrap();
    let [hub_path, few_path] = [&hub, &few].map(|path| path.display().to_string());
    let folders = format!(
        "folders = [{{ path = {hub_path:?} }}, {{ path = {few_path:?}, roles = [\"supervisor\", \"admin\"] }}]"
    );
    // Nobody speaks here, and the language model is dead.
    let more = [
        ("knowledge", folders.as_str()),
        ("knowledge", "look_every_s = 1"),
        ("llm", "url = \"http://127.0.0.1:9/v1\""),
        ("llm", "model = \"gone\""),
        ("llm", "retries = 0"),
    ];
    let more = more.map(|(table, line)| (table.to_owned(), line.to_owned())).to_vec();
    let setup = Setup { model: "/nowhere/model.bin".into(), more, ..Setup::default() };
    let mut sotto = Sotto::start_with(&setup).unwrap();
    let people = [("mina", "agent"), ("sara", "supervisor")].map(|(name, role)| {
        let who = (name, "a long enough password");
        sotto.add_user(who, role).unwrap();
        Api::sign_in(sotto.http, who.0, who.1).unwrap()
    });
    let [mina, sara] = &people;
    let metric = |sotto: &Sotto, name: &str| sotto.api.metric(&format!("sotto_knowledge_{name}")).unwrap();
    let is_whole = |sotto: &Sotto, passages: f64| {
        (metric(sotto, "passages"), metric(sotto, "passages_without_vector")) == (passages, 0.0)
    };
    until("what is in the folders is embedded", || is_whole(&sotto, 2.0));

    // By its meaning, in other words; and only for whom it is.
    let question = "When do I get what I paid returned?";
    let (first, why) = &asked(mina, question)[0];
    assert!(first == "hub/refunds.md" && why["why"]["cosine"].is_number(), "{why}");
    assert_eq!(asked(sara, "What do refunds cost in zebras?")[0].0, "few/margins.md");
    assert!(asked(mina, "What do refunds cost in zebras?").iter().all(|(name, _)| name == "hub/refunds.md"));
    assert_eq!((listed(mina), listed(sara).len()), (vec!["hub/refunds.md".to_owned()], 2));
    let margins = "/api/knowledge/documents/few/margins.md";
    assert_eq!(
        (mina.client.get(margins).unwrap().status, sara.client.get(margins).unwrap().status),
        (404, 200)
    );

    // What comes is found, whichever way.
    fs::write(hub.join("hours.md"), "# Hours\n\nOn Fridays the hedgehogs answer until noon.").unwrap();
    until("a new file is found", || listed(mina).contains(&"hub/hours.md".to_owned()));
    assert_eq!(asked(mina, "Do hedgehogs answer on Fridays?")[0].0, "hub/hours.md");
    let answered = |question: &str| -> Value {
        let asked = json!({ "question": question });
        mina.client.post("/api/ai/assist/answer", &asked).unwrap().json().unwrap()
    };
    let answer = answered("Do hedgehogs answer on Fridays?");
    assert_eq!(answer["sentences"][0]["text"], "On Fridays the hedgehogs answer until noon.", "{answer}");
    assert_eq!((&answer["by"], &answer["model_failed"]), (&json!("passages"), &json!("unreachable")));
    let hidden = answered("What do refunds cost in zebras?").to_string();
    assert!(!hidden.contains("seventy") && !hidden.contains("margins"), "{hidden}");
    assert!(sotto.api.metric("sotto_llm_failed_total").unwrap() >= 1.0);
    let voucher = "/api/knowledge/documents?name=voucher.txt";
    let text = "A voucher is worth twelve walruses.";
    let kind = [("Content-Type", "text/plain")];
    assert_eq!(mina.client.request("POST", voucher, &kind, text.as_bytes()).unwrap().status, 403);
    assert_eq!(sara.client.request("POST", voucher, &kind, text.as_bytes()).unwrap().status, 204);
    assert_eq!(asked(mina, "What is a voucher worth?")[0].0, "voucher.txt");
    until("all of it is embedded", || is_whole(&sotto, 4.0));
    let database = sotto.data().join("sotto.db");
    assert!(in_database(&database, "hedgehogs") && in_database(&database, "walruses"));

    // What goes is gone, from the database's file as well.
    fs::remove_file(hub.join("hours.md")).unwrap();
    until("a removed file is found no more", || !listed(mina).contains(&"hub/hours.md".to_owned()));
    let remove = sara.client.request("DELETE", "/api/knowledge/documents/voucher.txt", &[], b"").unwrap();
    assert_eq!(remove.status, 204);
    let in_folder =
        sara.client.request("DELETE", "/api/knowledge/documents/hub/refunds.md", &[], b"").unwrap();
    assert_eq!(in_folder.status, 409);
    // In other words: what nothing answers is kept.
    for (question, gone) in
        [("On Fridays until noon?", "hub/hours.md"), ("What is a voucher worth?", "voucher.txt")]
    {
        assert!(asked(sara, question).iter().all(|(name, _)| name != gone), "{gone}");
    }
    until("what nothing answers is noted", || {
        sara.client.json("/api/knowledge/gaps").unwrap()["gaps"].to_string().contains("a voucher worth?")
    });
    assert_eq!(mina.client.get("/api/knowledge/gaps").unwrap().status, 403);
    until("its words are on the disk no more", || {
        !in_database(&database, "hedgehogs") && !in_database(&database, "walruses")
    });
    assert!(in_database(&database, "three days"), "what is left can be read there");

    sotto.stop().unwrap();
    sotto.resume().unwrap();
    until("all of it is there again", || is_whole(&sotto, 2.0));
    until("questions are embedded", || {
        let answer = mina.client.post("/api/ai/assist/search", &json!({ "query": question })).unwrap();
        // Whoever asks this often is refused at times.
        answer.status == 200 && answer.json().unwrap()["snippets"][0]["why"]["cosine"].is_number()
    });
    assert!(asked(sara, question).iter().any(|(name, _)| name == "hub/refunds.md"));
    assert_eq!(metric(&sotto, "embedded_total"), 0.0, "nothing is embedded again");
}

/// The demo's customer asks when their order comes and whether a fee is given back, on a real call. The same is written down for
/// a team and a role that nobody on the call is of, in words that answer better.
#[test]
fn a_question_on_a_call_brings_the_right_card_to_the_page_and_nothing_that_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let [team, few] = ["team", "few"].map(|name| folder.path().join(name));
    for (path, canary) in [(&team, "walruses"), (&few, "zebras")] {
        fs::create_dir(path).unwrap();
        let text = format!(
            "# Orders\n\n## When will my order be delivered?\n\nAn order is delivered by {canary}.\n\n\
             ## Can you refund the delivery fee?\n\nThe delivery fee is refunded in {canary}."
        );
        fs::write(path.join("orders.md"), text).unwrap();
    }
    let [shop, team, few] =
        [&root().join("demo/knowledge"), &team, &few].map(|path| path.display().to_string());
    let folders = format!(
        "folders = [{{ path = {shop:?} }}, {{ path = {team:?}, teams = [\"walruses\"] }}, \
         {{ path = {few:?}, roles = [\"admin\"] }}]"
    );
    let more = vec![("knowledge".to_owned(), folders)];
    let sotto = Sotto::start_with(&Setup { language: Some("en".into()), more, ..Setup::default() }).unwrap();
    let mina = ("mina", "a long enough password");
    sotto.add_user(mina, "agent").unwrap();
    let mina = Api::sign_in(sotto.http, mina.0, mina.1).unwrap();
    sotto.understands(PATIENCE).unwrap();
    let metric = |name: &str| sotto.api.metric(&format!("sotto_knowledge_{name}")).unwrap();
    until("everything is embedded", || {
        metric("documents") >= 5.0 && metric("passages_without_vector") == 0.0
    });

    // From the agent's “I have added apartment five” to the answer.
    let audio = Audio::read(&Script::support().unwrap().audio).unwrap().cut(58_000, 75_000);
    let running = Sipp::siprec(sotto.sip).call(&audio).unwrap();
    let id = sotto.api.next_live_call(&[], PATIENCE).unwrap();
    let mut page = mina.live(&id, Some(0)).unwrap();
    let told = page.until(PATIENCE, |told| told["event"]["kind"] == "card").unwrap();
    let (card, before) = (&told[told.len() - 1]["event"], &told[..told.len() - 1]);
    let document = card["document"].as_str().unwrap();
    assert!(["knowledge/delivery.md", "knowledge/refunds.md"].contains(&document), "{card}");
    let said = before.iter().map(|told| &told["event"]).find(|event| {
        event["kind"] == "utterance"
            && event["final"] == true
            && event["utterance_id"] == card["evidence"]["utterance_id"]
    });
    assert_eq!(said.unwrap()["party"], "customer");
    let query = card["why"]["query"].as_str().unwrap();
    assert!(!query.is_empty() && card["evidence"]["text"].as_str().unwrap().contains(query), "{card}");
    assert!(card["answer"].is_object() && card["latency_ms"].as_u64() < Some(2_000), "{card}");

    let answer = format!("/api/calls/{id}/cards/{}/answer", card["card_id"]);
    let accepted = sotto.api.client.post(&answer, &json!({ "answer": "accepted" })).unwrap();
    assert_eq!(accepted.status, 204, "{}", accepted.text());
    let answered = page.until(PATIENCE, |told| told["event"]["kind"] == "card_answered").unwrap();
    assert_eq!(answered[answered.len() - 1]["event"]["answer"], "accepted");
    running.finish().unwrap();
    sotto.api.ended(&id, PATIENCE).unwrap();
    // By no way, and of nobody: those who may see the others are not on the call.
    for api in [&mina, &sotto.api] {
        let seen = ["", "/events?from=0"]
            .map(|path| api.client.get(&format!("/api/calls/{id}{path}")).unwrap().text());
        assert!(seen.iter().all(|text| !text.contains("walruses") && !text.contains("zebras")), "{seen:?}");
    }
}

#[test]
fn documents_are_added_listed_measured_and_removed_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sotto.db");
    let store = format!("store.url=sqlite:{}", database.display());
    let kb = |arguments: &[&str]| {
        let out = Command::new(binary().unwrap())
            .args(["kb", "--set", store.as_str()])
            .args(arguments)
            .output()
            .unwrap();
        let [said, complaints] =
            [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        (out.status.success(), said, complaints)
    };
    let hub = root().join("knowledge/marfanet/en");
    let (added, said, complaints) = kb(&["add", hub.to_str().unwrap()]);
    assert!(added && said.contains("refunds.md was added"), "{said}{complaints}");
    let (_, list, _) = kb(&["list"]);
    assert_eq!(list.lines().count(), fs::read_dir(&hub).unwrap().count(), "{list}");
    let (_, found, _) = kb(&["search", "--words", "How long does a refund take?"]);
    assert!(found.lines().any(|line| line.starts_with("1. ") && line.ends_with("(refunds.md)")), "{found}");

    let (looked, gaps, complaints) = kb(&["gaps"]);
    assert!(looked && gaps.is_empty(), "{gaps}{complaints}");

    let questions = folder.path().join("questions.csv");
    fs::write(&questions, "question,document\nHow long does a refund take?,refunds.md\nzebra,apps.md\n")
        .unwrap();
    let (_, figures, missed) = kb(&["eval", "--words", questions.to_str().unwrap()]);
    let figures: Vec<Value> = figures.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&figures[0]["name"], figures[0]["value"].as_f64()), (&json!("recall@1"), Some(0.5)));
    assert!(missed.contains("zebra: nothing instead of apps.md"), "{missed}");

    let text = fs::read_to_string(hub.join("refunds.md")).unwrap();
    let line = text.lines().max_by_key(|line| line.len()).unwrap();
    let words: String = line.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').take(30).collect();
    assert!(line.contains(&words) && in_database(&database, &words), "{words}");
    assert!(kb(&["remove", "refunds.md"]).0);
    assert!(!in_database(&database, &words));
    let (again, _, why) = kb(&["remove", "refunds.md"]);
    assert!(!again && why.contains("no document called refunds.md"), "{why}");
    let (_, found, _) = kb(&["search", "--words", "How long does a refund take?"]);
    assert!(!found.contains("(refunds.md)"), "{found}");
}
