//! The hubs that ship: every document is there in both languages, and says the same in the same order.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sotto_knowledge::{
    Content, Format, Hub, MAX_PASSAGE, Paper, Query, Trigger, Viewer, Visibility, conflicts, read,
};

fn documents(hub: &str, language: &str) -> BTreeMap<String, Content> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../knowledge").join(hub).join(language);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, read(Format::of(&path).unwrap(), &fs::read(&path).unwrap()).unwrap())
        })
        .collect()
}

fn hub(documents: BTreeMap<String, Content>) -> Hub {
    let mut hub = Hub::new();
    for (id, content) in documents {
        hub.put(Paper { id, changed_unix_ms: 0, visibility: Visibility::default(), bytes: 0, content });
    }
    hub
}

#[test]
fn every_document_is_there_in_both_languages() {
    for name in ["marfanet", "metalingua"] {
        let (english, persian) = (documents(name, "en"), documents(name, "fa"));
        assert!(english.len() >= 12);
        assert_eq!(english.keys().collect::<Vec<_>>(), persian.keys().collect::<Vec<_>>());
        for (id, content) in &english {
            let levels = |content: &Content| content.parts.iter().map(|part| part.level).collect::<Vec<_>>();
            assert_eq!(levels(content), levels(&persian[id]), "{name}: {id}");
        }
        for (documents, language) in [(english, "en"), (persian, "fa")] {
            let hub = hub(documents);
            for passage in hub.documents().flat_map(|document| &document.passages) {
                assert_eq!(passage.language, language, "{}", passage.text);
                assert!(!passage.section.is_empty() && passage.text.chars().count() < MAX_PASSAGE);
            }
        }
    }
}

/// Nobody is alarmed by what ships; and a number that is changed in a copy is found.
#[test]
fn no_document_disagrees_with_another() {
    for (name, language) in
        [("marfanet", "en"), ("marfanet", "fa"), ("metalingua", "en"), ("metalingua", "fa")]
    {
        let mut documents = documents(name, language);
        assert_eq!(conflicts(hub(documents.clone()).documents()), [], "{name}/{language}");
        let Some(refunds) = documents.get("refunds.md") else { continue };
        let mut copy = refunds.clone();
        for part in &mut copy.parts {
            part.text = part.text.replace("72", "48").replace("۷۲", "۴۸");
        }
        documents.insert("copy.md".to_owned(), copy);
        assert_eq!(conflicts(hub(documents).documents()).len(), 1, "{name}/{language}");
    }
}

/// Questions as customers ask them, and where the answer stands, by words alone.
#[test]
fn questions_find_their_document() {
    let cases = [
        ("marfanet", "en", "My customer says the VPN does not connect over Wi-Fi", "cannot-connect.md"),
        ("marfanet", "en", "What does the starter package cost?", "packages-and-prices.md"),
        ("marfanet", "fa", "رمز پنل رو فراموش کردم", "panel-password.md"),
        ("marfanet", "fa", "پنلم منقضی شده، چطور تمدیدش کنم؟", "renewal.md"),
        ("metalingua", "en", "Nobody hears me in the online class", "no-sound.md"),
        ("metalingua", "en", "Can I pay in instalments?", "prices.md"),
        ("metalingua", "fa", "برای ثبت نام قسطی می‌شه پرداخت کرد؟", "prices.md"),
        ("metalingua", "fa", "گواهی رو چطوری بگیرم؟", "certificates.md"),
    ];
    for (name, language, question, expected) in cases {
        let index = hub(documents(name, language)).index().unwrap();
        let query = Query { text: question, ..Query::default() };
        let hits = index.search(&query, &Viewer::default(), 3).unwrap();
        let found: Vec<&str> = hits.iter().map(|hit| hit.document.id.as_str()).collect();
        assert!(found.contains(&expected), "{question}: {found:?}");
    }
}

/// What callers of the evaluation's bank may say, by words alone: it is looked up, and their task's document found first.
#[test]
fn callers_of_the_bank_find_the_document_of_their_task() {
    let index = hub(documents("harper-bank", ".")).index().unwrap();
    let trigger = Trigger::new();
    for (said, expected) in [
        ("Hi, this is Ada Miller speaking. My debit card was stolen yesterday.", "replace-card.md"),
        ("I'd like to move money, can you transfer it to my savings account?", "transfer-money.md"),
        ("I want to pay a bill by telephone, please.", "pay-bill.md"),
        ("Could you tell me the balance of my checking account?", "check-balance.md"),
        ("When are your branches open on Saturdays?", "get-branch-hours.md"),
        ("I need a new book of checks.", "order-checks.md"),
        ("Can I make an appointment with an advisor?", "schedule-appointment.md"),
        ("I forgot my password.", "reset-password.md"),
    ] {
        let question = trigger.question(said, &[], false).unwrap();
        let query = Query { text: question.text, context: &question.context, ..Query::default() };
        let hits = index.search(&query, &Viewer::default(), 1).unwrap();
        assert_eq!(hits[0].document.id, expected, "{said}");
    }
}
