use proptest::prelude::*;

use super::*;
use crate::{Content, Hub, Paper, Visibility};

/// A vector that says what a text is about, by the words that it has.
fn about(text: &str) -> Vec<f32> {
    let topics = [["refund", "money", "وجه"], ["panel", "server", "پنل"], ["lesson", "teacher", "کلاس"]];
    let has = |topic: &[&str; 3]| topic.iter().filter(|word| text.to_lowercase().contains(**word)).count();
    topics.iter().map(|topic| has(topic) as f32).chain([0.5]).collect()
}

fn paper(id: &str, title: &str, text: &str) -> Paper {
    Paper {
        id: id.into(),
        changed_unix_ms: 0,
        visibility: Visibility::default(),
        bytes: 0,
        content: Content::plain(title, text),
    }
}

fn embedded(papers: impl IntoIterator<Item = Paper>) -> Index {
    let mut hub = Hub::new();
    for paper in papers {
        hub.put(paper);
    }
    hub.embed_with(|texts| Ok::<_, KnowledgeError>(texts.iter().map(|text| about(text)).collect())).unwrap();
    hub.index().unwrap()
}

fn index() -> Index {
    embedded([
        paper("refund", "Refunds", "Money goes back to the card within three days."),
        paper("panel", "Panel", "Open the panel and press renew to extend the server."),
        paper("lesson", "Lessons", "A lesson takes fifty minutes; the teacher waits ten."),
        paper("fa", "پنل", "برای تمدید، پنل را باز کنید و دکمهٔ تمدید را بزنید."),
    ])
}

fn found(index: &Index, query: &Query<'_>) -> Vec<String> {
    let hits = index.search(query, &Viewer::default(), 10).unwrap();
    hits.iter().map(|hit| hit.document.id.clone()).collect()
}

#[test]
fn the_best_are_put_into_the_order_of_whoever_reads_them_together_with_the_question() {
    let texts: Vec<String> = (0..25).map(|n| format!("The refund takes {n} days.")).collect();
    let index =
        embedded(texts.iter().enumerate().map(|(n, text)| paper(&format!("{n:02}"), "Refunds", text)));
    let search = || {
        let query = Query { text: "How long does a refund take?", ..Query::default() };
        index.search(&query, &Viewer::default(), 25).unwrap()
    };
    let names = |hits: &[Hit]| hits.iter().map(|hit| hit.document.id.clone()).collect::<Vec<_>>();
    let (before, mut hits) = (search(), search());
    rerank(&mut hits, |passages| {
        assert_eq!(passages.len(), RERANKED);
        assert!(
            passages.iter().all(|passage| passage.starts_with("Refunds: The refund takes")),
            "{passages:?}"
        );
        // The last one is the best; of the first nobody can say.
        let relevance = (0u8..20).map(|n| if n == 0 { f32::NAN } else { f32::from(n) / 20.0 });
        Ok::<_, KnowledgeError>(relevance.collect())
    })
    .unwrap();
    let mut expected = names(&before[1..20]);
    expected.reverse();
    expected.extend(names(&before[..1]));
    expected.extend(names(&before[20..]));
    assert_eq!(names(&hits), expected);
    assert_eq!((hits[0].why.reranked, hits[0].confidence), (Some(0.95), before[19].confidence));
    assert!(hits[19..].iter().all(|hit| hit.why.reranked.is_none()));
    let mut same = search();
    assert!(rerank(&mut same, |_| Err::<Vec<f32>, _>(KnowledgeError::Version)).is_err());
    assert_eq!(same, before);
}

#[test]
fn words_alone_find_in_both_languages_and_say_which() {
    let index = index();
    let query = Query { text: "How do I renew my server?", ..Query::default() };
    let hits = index.search(&query, &Viewer::default(), 10).unwrap();
    assert_eq!(hits[0].document.id, "panel");
    let why = &hits[0].why;
    assert_eq!(
        (why.words.join(" "), why.rank_by_words, why.share),
        ("renew server".to_owned(), Some(1), 0.0)
    );
    assert!(why.bm25 > 0.0 && why.cosine.is_none() && why.covered > 0.99 && hits[0].confidence > SURE);
    assert_eq!(found(&index, &Query { text: "چطور پنلم رو تمدید کنم؟", ..Query::default() }), ["fa"]);
    assert!(found(&index, &Query { text: "weather", ..Query::default() }).is_empty());
}

#[test]
fn why_it_was_found_quotes_nothing_of_what_was_said_before() {
    let context = &["It is about my server."][..];
    let query = Query { text: "How do I renew it?", context, ..Query::default() };
    let hits = index().search(&query, &Viewer::default(), 1).unwrap();
    let why = &hits[0].why;
    assert_eq!((hits[0].document.id.as_str(), why.words.join(" ")), ("panel", "renew".to_owned()));
    assert!(why.covered > 0.99, "it counts all the same: {why:?}");
}

#[test]
fn meaning_finds_what_words_do_not() {
    let index = index();
    let vector = Query::blend(&[about("money refund")]);
    let query = Query { text: "Can I have it returned?", vector: Some(&vector), ..Query::default() };
    let hits = index.search(&query, &Viewer::default(), 1).unwrap();
    assert_eq!((hits.len(), hits[0].document.id.as_str()), (1, "refund"));
    assert!(hits[0].why.share > 0.3 && hits[0].why.rank_by_meaning == Some(1), "{:?}", hits[0].why);
    let wrong = Query { vector: Some(&[1.0]), ..query };
    assert!(index.search(&wrong, &Viewer::default(), 1).unwrap_err().to_string().contains("wide"));
}

#[test]
fn a_document_that_the_conversation_is_about_comes_first() {
    let text = "Parking costs ten pounds a day.";
    let index = embedded([
        paper("a", "Autumn House", text),
        paper("h", "Hobsons House", text),
        paper("z", "Zizzi", text),
    ]);
    let vector = Query::blend(&[about("money"), about("money")]);
    let query = Query {
        text: "And what is the price of parking?",
        context: &["Hobsons House has three stars."],
        vector: Some(&vector),
        ..Query::default()
    };
    let hits = index.search(&query, &Viewer::default(), 10).unwrap();
    assert_eq!(hits[0].document.id, "h");
    assert!(hits[0].why.mentioned && !hits[1].why.mentioned);
    let only = BTreeSet::from(["z".to_owned()]);
    assert_eq!(found(&index, &Query { within: Some(&only), ..query }), ["z"]);
}

#[test]
fn a_passage_without_a_vector_is_found_by_its_words() {
    let mut hub = Hub::new();
    hub.put(paper("old", "Refunds", "Money goes back."));
    hub.embed_with(|texts| Ok::<_, KnowledgeError>(texts.iter().map(|text| about(text)).collect())).unwrap();
    hub.put(paper("new", "Vouchers", "A voucher is worth ten lessons."));
    let vector = Query::blend(&[about("lesson")]);
    let query = Query { text: "What is a voucher worth?", vector: Some(&vector), ..Query::default() };
    assert_eq!(found(&hub.index().unwrap(), &query)[0], "new");
}

#[test]
fn context_is_embedded_in_the_order_it_was_said() {
    assert_eq!(Query::texts("c", &["b", "a"]), ["c", "a b c"]);
    assert_eq!(Query::texts("c", &[]), ["c"]);
    assert_eq!(Query::blend(&[vec![1.0, 0.0], vec![0.0, 1.0]]).len(), 2);
    assert!(Query::blend(&[]).is_empty());
}

#[test]
fn what_is_hidden_changes_nothing_that_is_seen() {
    let open = || {
        vec![
            paper("a", "Autumn House", "Parking costs ten pounds a day."),
            paper("h", "Hobsons House", "The refund takes three days, and a zebra is no pet."),
        ]
    };
    let hidden = ["zebra zebra", "refund of parking", "nothing"].map(|text| Paper {
        visibility: Visibility { teams: ["board".to_owned()].into(), ..Visibility::default() },
        ..paper(&format!("b {text}"), "Zebra House", text)
    });
    let found = |papers: Vec<Paper>, text: &str| -> Vec<(String, f32, Why)> {
        let vector = Query::blend(&[about(text)]);
        let query = Query { text, context: &["Hobsons"], vector: Some(&vector), ..Query::default() };
        let hits = embedded(papers).search(&query, &Viewer::default(), 10).unwrap();
        hits.into_iter().map(|hit| (hit.document.id.clone(), hit.confidence, hit.why)).collect()
    };
    for text in ["Is a zebra allowed?", "refund for the parking in the house", "zebra house"] {
        let alone = found(open(), text);
        assert_eq!(alone.len(), 2);
        assert_eq!(found([open(), hidden.to_vec()].concat(), text), alone, "{text}");
    }
}

#[test]
fn long_context_leaves_room_for_the_question() {
    let (older, newer) = ("a ".repeat(300), "b ".repeat(400));
    let texts = Query::texts("Is it so?", &[newer.trim(), older.trim(), "c"]);
    assert_eq!(texts[1], format!("{newer}Is it so?"));
    assert!(texts.iter().all(|text| text.chars().count() <= MAX_PASSAGE));
    assert_eq!(Query::texts("Is it so?", &[&"b".repeat(MAX_PASSAGE)]), ["Is it so?"]);
}

#[test]
fn nothing_is_found_in_an_empty_hub() {
    let index = Hub::new().index().unwrap();
    assert!(index.is_empty());
    let vector = about("money");
    let query = Query { text: "money", vector: Some(&vector), ..Query::default() };
    assert!(found(&index, &query).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_hidden_is_never_found(
        labels in proptest::collection::vec((0u8..4, 0u8..4), 1..12),
        viewer in (0u8..4, 0u8..4),
        share in 0.0f32..=1.0,
        words in proptest::sample::select(vec!["refund money", "panel", "lesson teacher refund", "nothing"]),
    ) {
        // Two bits name two teams, and two roles.
        let names = |bits: u8| -> BTreeSet<String> {
            let named = ["one", "two"].into_iter().enumerate().filter(|(n, _)| (bits >> n) & 1 == 1);
            named.map(|(_, name)| name.to_owned()).collect()
        };
        let index = embedded(labels.iter().enumerate().map(|(n, (teams, roles))| Paper {
            visibility: Visibility { teams: names(*teams), roles: names(*roles) },
            ..paper(&n.to_string(), "Refund", ["refund money", "panel server", "lesson"][n % 3])
        }));
        let viewer = Viewer { teams: names(viewer.0), roles: names(viewer.1) };
        let vector = Query::blend(&[about(words)]);
        let query = Query { text: words, context: &["refund"], vector: Some(&vector), share: Some(share), within: None };
        let hits = index.search(&query, &viewer, 100).unwrap();
        for hit in &hits {
            prop_assert!(hit.document.visibility.allows(&viewer));
            prop_assert!((0.0..=1.0).contains(&hit.confidence));
        }
        // All that may be seen has a vector, and so a place.
        let seen = labels.iter().filter(|(teams, roles)| {
            Visibility { teams: names(*teams), roles: names(*roles) }.allows(&viewer)
        });
        prop_assert_eq!(hits.len(), seen.count());
        prop_assert!(hits.windows(2).all(|two| two[0].why.score >= two[1].why.score));
    }
}
