//! What the real models make of real text. Fetches `e5-small`, `minilm` and ONNX Runtime when they are not there.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sotto_call::testing::utterance;
use sotto_call::{CustomerUtterance, Emotion, Party, Utterance, WordsMood};
use sotto_insight::{
    BuiltIn, Checklist, Embedder, EmbeddingModel, Head, InsightError, IntentSet, Intents, MAX_TOKENS,
    MoodReader, Polarity, PromptSet, Purpose, Reranker, Understanding, Understood, Urgency,
};
use sotto_models::{Cache, Onnx, Silent};

fn open() -> (Onnx, Embedder) {
    open_one(EmbeddingModel::Multilingual)
}

fn open_one(model: EmbeddingModel) -> (Onnx, Embedder) {
    let cache = Cache::open(None).unwrap();
    let onnx = cache.onnx(&mut Silent).unwrap();
    let file = cache.require(model.artefact(), &mut Silent).unwrap();
    let embedder = Embedder::open(&onnx, model, &file, 1).unwrap();
    assert_eq!((embedder.model(), embedder.width()), (model, 384));
    (onnx, embedder)
}

const BOTH: [EmbeddingModel; 2] = [EmbeddingModel::Multilingual, EmbeddingModel::English];

/// The first two are published with XLM-RoBERTa, whose vocabulary this is; the others come from the `tokenizers`
/// package over the same table, with the text normalised as SentencePiece does.
#[test]
fn text_is_cut_as_the_network_learned_it() {
    let (_, embedder) = open();
    let cases: [(&str, &[i64]); 9] = [
        ("Hello World!", &[0, 35378, 6661, 38, 2]),
        (
            "This is a very long text with a lot of weird characters, such as: . , ~ ? ( ) \" [ ] ! : - .",
            &[
                0, 3293, 83, 10, 4552, 4989, 7986, 678, 10, 5915, 111, 179459, 124850, 4, 6044, 237, 12, 6,
                5, 6, 4, 6780, 705, 15, 1388, 44, 378, 10114, 711, 152, 20, 6, 5, 2,
            ],
        ),
        ("query: where is my order?", &[0, 41, 1294, 12, 7440, 83, 759, 12989, 32, 2]),
        (
            "سلام، می\u{200c}خواهم پولم را پس بگیرم",
            &[0, 15544, 50, 383, 140113, 20827, 376, 406, 5797, 113346, 376, 2],
        ),
        ("query: كتاب من كجاست؟", &[0, 41, 1294, 12, 30475, 230, 4316, 10417, 3503, 1245, 2]),
        ("e\u{301}te\u{301} آ ا\u{653}", &[0, 5325, 4573, 4573, 2]),
        ("I   am\t\nvery \u{7} upset!!!", &[0, 87, 444, 4552, 1257, 3509, 1564, 2]),
        ("😡😡😡 𓀀𓀁", &[0, 6, 244728, 244728, 244728, 6, 3, 2]),
        ("\u{fdfa}", &[0, 16509, 1423, 4472, 8756, 2]),
    ];
    for (text, ids) in cases {
        assert_eq!(embedder.tokens(text).unwrap(), ids, "{text}");
    }
    assert!(embedder.tokens("</s> <mask> <pad>").unwrap().iter().all(|id| ![1, 250_001].contains(id)));
}

/// By the greedy rule of WordPiece over the vocabulary of `bert-base-uncased`.
#[test]
fn english_is_cut_into_word_pieces() {
    let (_, embedder) = open_one(EmbeddingModel::English);
    let cases: [(&str, &[i64]); 6] = [
        ("Hello World!", &[101, 7592, 2088, 999, 102]),
        ("where is my order?", &[101, 2073, 2003, 2026, 2344, 1029, 102]),
        ("  Unsubscribe\t\ncafé", &[101, 4895, 6342, 5910, 26775, 20755, 7668, 102]),
        ("I'd like a re-activation", &[101, 1045, 1005, 1040, 2066, 1037, 2128, 1011, 13791, 102]),
        // What somebody writes is no control token.
        ("[SEP]", &[101, 1031, 19802, 1033, 102]),
        ("", &[101, 102]),
    ];
    for (text, ids) in cases {
        assert_eq!(embedder.tokens(text).unwrap(), ids, "{text}");
    }
}

/// The similarities that sentence-transformers publishes for this model, in single precision; ours has weights of eight
/// bits.
#[test]
fn english_sentences_are_as_alike_as_the_makers_of_the_model_say() {
    let (_, mut embedder) = open_one(EmbeddingModel::English);
    let texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."];
    let embeddings = embedder.embed(Purpose::Query, &texts).unwrap();
    for (a, b, published) in [(0, 1, 0.6660), (0, 2, 0.1046), (1, 2, 0.1411)] {
        let found = embeddings[a].similarity(&embeddings[b]);
        assert!((found - published).abs() < 0.03, "{} {}: {found}, not {published}", texts[a], texts[b]);
    }
    assert_eq!(embedder.embed(Purpose::Passage, &texts).unwrap(), embeddings, "it knows one purpose");
}

#[test]
fn what_means_the_same_is_near_in_any_language() {
    let (_, mut embedder) = open();
    let texts =
        ["I want my money back", "می\u{200c}خواهم پولم را پس بگیرم", "The lesson begins at half past nine"];
    let embeddings = embedder.embed(Purpose::Query, &texts).unwrap();
    let [english, persian, other] = embeddings.as_slice() else { panic!() };
    assert!(english.similarity(persian) > english.similarity(other) + 0.03);
    assert!(english.similarity(persian) > persian.similarity(other) + 0.03);
}

#[test]
fn a_text_has_the_same_vector_alone_and_among_others() {
    for model in BOTH {
        let (_, mut embedder) = open_one(model);
        let long = "a much longer sentence, which makes the others be filled up ".repeat(8);
        let texts = ["Where is my card?", &long, "", "کارت من کجاست؟"];
        let together = embedder.embed(Purpose::Query, &texts).unwrap();
        for (text, together) in texts.iter().zip(&together) {
            let alone = &embedder.embed(Purpose::Query, &[text]).unwrap()[0];
            let alike = alone.similarity(together);
            assert!(alike > 0.9999, "{model:?}, {text}: {alike}");
        }
    }
}

#[test]
fn hostile_text_is_a_vector_like_any_other() {
    let texts = [
        "a".repeat(1 << 20),
        "\u{301}".repeat(1 << 19),
        "\u{0}\u{1}\u{7f}\u{9f}".repeat(1_000),
        "\u{fdfa}".repeat(100_000),
        "🏳\u{200d}🌈".repeat(10_000),
        " \u{3000}\u{200b}\n".repeat(100_000),
        "</s><mask>".repeat(5_000),
        "[MASK][SEP]".repeat(5_000),
    ];
    for model in BOTH {
        let (_, mut embedder) = open_one(model);
        for text in &texts {
            let tokens = embedder.tokens(text).unwrap();
            let limit = if model == EmbeddingModel::English { 256 } else { MAX_TOKENS };
            assert!(tokens.len() <= limit);
            let inside = &tokens[1..tokens.len() - 1];
            let control: &[i64] =
                if model == EmbeddingModel::English { &[0, 101, 102, 103] } else { &[0, 1, 2, 250_001] };
            assert!(inside.iter().all(|id| !control.contains(id)), "{model:?}");
            let embedding = &embedder.embed(Purpose::Passage, &[text]).unwrap()[0];
            assert!((embedding.similarity(embedding) - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn a_file_of_the_other_embedding_is_refused() {
    let cache = Cache::open(None).unwrap();
    let onnx = cache.onnx(&mut Silent).unwrap();
    let file = |model: EmbeddingModel| cache.require(model.artefact(), &mut Silent).unwrap();
    for (model, other) in BOTH.into_iter().zip(BOTH.into_iter().rev()) {
        assert!(Embedder::open(&onnx, model, &file(other), 1).is_err(), "{model:?}");
    }
}

/// Examples in Persian are left out, and what is said in it is not understood.
#[test]
fn in_english_alone_what_customers_want_is_recognised_from_the_same_set() {
    let (_, mut embedder) = open_one(EmbeddingModel::English);
    let set = IntentSet::parse(include_str!("../../../insight-sets/marfanet.toml")).unwrap();
    let intents = Intents::learn(&set, &mut embedder).unwrap();
    assert!(intents.is_some());
    let mut understanding = Understanding::new(embedder, None, intents);
    let mut wanted = |text: &str, language: &str| {
        let utterance = Utterance { language: language.to_owned(), ..utterance(0, Party::Customer, text) };
        let said = CustomerUtterance::of(&utterance).unwrap();
        understanding.of(&said, true).unwrap().wanted.map(|wanted| wanted.name)
    };
    let refund = Some("refund".to_owned());
    assert_eq!(wanted("How can I get a refund?", "en"), refund);
    assert_eq!(wanted("How can I get a refund?", ""), refund);
    assert_eq!(wanted("How can I get a refund?", "fa"), None);
    assert_eq!(wanted("Hello.", "en"), None);
}

#[test]
fn where_all_examples_are_in_other_languages_there_is_nothing_to_recognise() {
    let (_, mut embedder) = open_one(EmbeddingModel::English);
    let set =
        "[[intents]]\nname = \"a\"\ntitle = { fa = \"الف\" }\nexamples = { fa = [\"یک\", \"دو\", \"سه\"] }";
    let set = IntentSet::parse(set).unwrap();
    assert!(Intents::learn(&set, &mut embedder).unwrap().is_none());
}

#[test]
fn a_checklist_takes_an_embedding_whose_similarities_were_measured() {
    let prompts = "[[checklist]]\nname = \"recorded\"\ntitle = { en = \"Recorded\" }\n\
                   examples.en = [\"This call is recorded.\"]";
    let duties = PromptSet::parse(prompts).unwrap().duties().to_vec();
    for model in BOTH {
        let (_, mut embedder) = open_one(model);
        let learned = Checklist::learn(&duties, &mut embedder);
        assert_eq!(learned.is_ok(), model.least_similarity().is_some(), "{learned:?}");
        assert_eq!(learned.is_ok(), Checklist::check(model).is_ok());
        assert!(Checklist::learn(&[], &mut embedder).unwrap().is_none());
    }
}

#[test]
fn heads_say_what_is_felt() {
    let (onnx, mut embedder) = open();
    let mut said = |head: BuiltIn, text: &str| {
        let mut head = Head::built_in(&onnx, head, &embedder).unwrap();
        let probabilities = head.probabilities(&embedder.embed(Purpose::Query, &[text]).unwrap()[0]).unwrap();
        let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        head.labels()[best].clone()
    };
    assert_eq!(said(BuiltIn::Emotion, "Thank you so much, that was very kind of you."), "gratitude");
    assert_eq!(said(BuiltIn::Emotion, "I'm scared that I will lose all my money."), "worry");
    assert_eq!(said(BuiltIn::Sentiment, "This is the worst service I have ever had."), "negative");
    assert_eq!(said(BuiltIn::Sentiment, "خیلی ممنونم، عالی بود"), "positive");
    assert_eq!(said(BuiltIn::GoEmotions, "Thanks a lot!"), "gratitude");
}

/// Those that `training/train.py english` has made; of the others it is said that they are lacking.
#[test]
fn the_english_embedding_has_the_heads_that_were_trained_over_it() {
    let (onnx, mut embedder) = open_one(EmbeddingModel::English);
    for head in [BuiltIn::Sentiment, BuiltIn::Emotion, BuiltIn::GoEmotions, BuiltIn::Urgency] {
        let is_trained = head.is_trained(EmbeddingModel::English);
        match Head::built_in(&onnx, head, &embedder) {
            Ok(mut opened) => {
                let embedding = &embedder.embed(Purpose::Query, &["Thank you."]).unwrap()[0];
                let labels = opened.labels().len();
                assert!(is_trained && opened.probabilities(embedding).unwrap().len() == labels);
            }
            Err(why) => {
                let why = why.to_string();
                assert!(!is_trained && why.contains("no head for") && why.contains("minilm"), "{why}");
            }
        }
    }
    let [multilingual, english] = BOTH.map(|model| MoodReader::check(model).is_ok());
    let heads = [BuiltIn::Sentiment, BuiltIn::Emotion];
    assert!(multilingual && english == heads.iter().all(|head| head.is_trained(EmbeddingModel::English)));
    let Ok(reader) = MoodReader::built_in(&onnx, &embedder) else { return assert!(!english) };
    let mut understanding = Understanding::new(embedder, Some(reader), None);
    let furious = mood(&mut understanding, "I am furious, this is the worst service ever.");
    assert!(english && furious.valence < -0.3, "{furious:?}");
}

/// Without the head, which `training/train.py` makes, phrases alone tell.
#[test]
fn what_is_urgent_is_told_by_phrases_and_by_the_head_where_it_was_trained() {
    let mut understanding = reading(|_, reader| Ok(reader));
    let mut is_urgent = |text: &str| understanding.of(&said(text), true).unwrap().urgent;
    for text in ["I need it as soon as possible.", "خیلی فوری لازمش دارم."] {
        assert!(is_urgent(text), "{text}");
    }
    for text in [
        "It is not urgent, take your time.",
        "Good morning, I have a question.",
        "How much does it cost a month?",
        "این فوری نیست.",
        "سلام، وقت بخیر، یه سؤال داشتم.",
    ] {
        assert!(!is_urgent(text), "{text}");
    }
    let by_head = BuiltIn::Urgency.is_trained(EmbeddingModel::Multilingual);
    for text in
        ["There is a strong smell of gas and my children are inside", "بوی شدید گاز میاد و بچه‌هام تو خونه‌ان"]
    {
        assert_eq!(is_urgent(text), by_head, "{text}");
    }
    assert!(!understanding.of(&said("I need it as soon as possible."), false).unwrap().urgent);
}

#[test]
fn a_text_classifier_takes_the_place_of_the_head_for_urgency_beside_phrases() {
    let labels =
        [("negative", Urgency::Urgent), ("neutral", Urgency::NotUrgent), ("positive", Urgency::NotUrgent)];
    let mut own = reading(|onnx, reader| reader.with_urgency(onnx, &classifier(), &meant(&labels)));
    let mut is_urgent = |text: &str| own.of(&said(text), true).unwrap().urgent;
    assert!(is_urgent("awful") && is_urgent("good, but as soon as possible"));
    assert!(!is_urgent("It is a chair.") && !is_urgent("awful, but no hurry"));
    let none = labels.map(|(label, _)| (label, Urgency::NotUrgent));
    let (onnx, embedder) = open();
    let reader = MoodReader::built_in(&onnx, &embedder).unwrap();
    let why = reader.with_urgency(&onnx, &classifier(), &meant(&none)).unwrap_err().to_string();
    assert!(why.contains("no label stands for urgent"), "{why}");
}

/// A customer's final words.
fn said(text: &str) -> CustomerUtterance {
    let utterance = Utterance { language: String::new(), ..utterance(0, Party::Customer, text) };
    CustomerUtterance::of(&utterance).unwrap()
}

/// Sentences that are in no set, in both languages.
#[test]
fn what_customers_want_is_recognised_from_a_starter_set() {
    let (onnx, mut embedder) = open();
    let set = IntentSet::parse(include_str!("../../../insight-sets/marfanet.toml")).unwrap();
    let intents = Intents::learn(&set, &mut embedder).unwrap();
    let mood = MoodReader::built_in(&onnx, &embedder).unwrap();
    let mut understanding = Understanding::new(embedder, Some(mood), intents);
    let cases = [
        ("Give me back the money that I paid you.", Some("refund")),
        ("The VPN keeps disconnecting all the time.", Some("connection_trouble")),
        ("My account ends this week and I would like to extend it.", Some("renewal")),
        ("What do you charge for two months?", Some("pricing")),
        ("پولی که دادم رو پس بدید.", Some("refund")),
        ("اینترنت مدام قطع و وصل می‌شه.", Some("connection_trouble")),
        ("اشتراکم این هفته تموم می‌شه، می‌خوام تمدید کنم.", Some("renewal")),
        ("دو ماهه چند می‌شه؟", Some("pricing")),
        ("Good afternoon. This is Peter calling. Could you give me my money back?", Some("refund")),
        ("Good afternoon, this is Peter.", None),
        ("Yes, exactly.", None),
        ("سلام، خسته نباشید.", None),
    ];
    for (text, expected) in cases {
        let wanted = understanding.of(&said(text), true).unwrap().wanted;
        assert_eq!(wanted.as_ref().map(|wanted| wanted.name.as_str()), expected, "{text}: {wanted:?}");
    }
    let furious = said("I am furious, this is the worst service ever.");
    let mood = understanding.of(&furious, true).unwrap().mood.unwrap();
    assert!(mood.valence < -0.5 && mood.sentiment.negative > 0.5, "{mood:?}");
    assert!([Emotion::Anger, Emotion::Annoyance].contains(&mood.emotion), "{mood:?}");
    let mood = understanding.of(&said("دست شما درد نکنه، خیلی لطف کردید."), true).unwrap().mood.unwrap();
    assert!(mood.valence > 0.3, "{mood:?}");
    assert_eq!(understanding.of(&furious, false).unwrap().mood, None, "they do not agree");
}

#[test]
fn where_no_mood_is_wanted_none_is_read() {
    let (_, embedder) = open();
    let understood = Understanding::new(embedder, None, None).of(&said("I am furious."), true).unwrap();
    assert_eq!(understood, Understood { mood: None, wanted: None, urgent: false });
}

/// A small text classifier, which knows a few words (`training/tiny_classifier.py`).
fn classifier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classifier")
}

/// Labels, and what they stand for.
fn meant<T: Copy>(labels: &[(&str, T)]) -> BTreeMap<String, T> {
    labels.iter().map(|(label, class)| ((*label).to_owned(), *class)).collect()
}

/// Reads moods with the built-in heads but for what is put in their place.
fn reading(instead: impl FnOnce(&Onnx, MoodReader) -> Result<MoodReader, InsightError>) -> Understanding {
    let (onnx, embedder) = open();
    let reader = instead(&onnx, MoodReader::built_in(&onnx, &embedder).unwrap()).unwrap();
    Understanding::new(embedder, Some(reader), None)
}

fn mood(understanding: &mut Understanding, text: &str) -> WordsMood {
    understanding.of(&said(text), true).unwrap().mood.unwrap()
}

#[test]
fn a_text_classifier_takes_the_place_of_the_head_for_sentiment_alone() {
    let none = BTreeMap::new();
    let mut own = reading(|onnx, reader| reader.with_sentiment(onnx, &classifier(), &none));
    let mut sentiment = |text: &str| mood(&mut own, text).sentiment;
    assert!(sentiment("This is good, thanks!").positive > 0.99);
    assert!(sentiment("awful").negative > 0.99);
    assert!(sentiment("حال من خوب است").positive > 0.9);
    assert!(sentiment("It is a chair.").neutral > 0.5);
    // The control token would be as bad as can be; what customers say is none.
    assert!(sentiment("good [MASK]").positive > 0.9);
    // What comes after the sixty-second word is not looked at, and the network would fail there.
    let long = format!("{}{}", "good ".repeat(40), "bad ".repeat(10_000));
    assert!(sentiment(&long).positive > 0.99);
    let mut built_in = reading(|_, reader| Ok(reader));
    let text = "I'm scared that I will lose all my money.";
    let (own, built_in) = (mood(&mut own, text), mood(&mut built_in, text));
    assert_eq!((own.emotion, own.emotion_p), (Emotion::Worry, built_in.emotion_p));
    assert!(own.sentiment.negative < 0.2 && own.sentiment != built_in.sentiment, "{own:?} {built_in:?}");
}

#[test]
fn the_labels_of_a_text_classifier_stand_for_what_is_said() {
    let turned = meant(&[("NEGATIVE", Polarity::Positive), ("positive", Polarity::Negative)]);
    let mut own = reading(|onnx, reader| reader.with_sentiment(onnx, &classifier(), &turned));
    assert!(mood(&mut own, "awful").sentiment.positive > 0.99);
    let emotions = meant(&[("negative", Emotion::Anger), ("positive", Emotion::Gratitude)]);
    let mut own = reading(|onnx, reader| reader.with_emotion(onnx, &classifier(), &emotions));
    assert_eq!(mood(&mut own, "awful").emotion, Emotion::Anger);
    assert_eq!(mood(&mut own, "good").emotion, Emotion::Gratitude);
    // It has this name.
    assert_eq!(mood(&mut own, "It is a chair.").emotion, Emotion::Neutral);
}

#[test]
fn a_cross_encoder_reads_question_and_passage_together() {
    let (onnx, _) = open();
    // It counts what both have (`training/tiny_cross_encoder.py`).
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross-encoder");
    let mut reranker = Reranker::open(&onnx, &folder).unwrap();
    let passages = ["lesson teacher", "Refund", "refund three days", "بازگشت وجه"];
    let relevance = reranker.relevance("refund days", &passages).unwrap();
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    for (found, expected) in relevance.iter().zip([-1.0, 0.0, 1.0, -1.0].map(sigmoid)) {
        assert!((found - expected).abs() < 1e-6, "{relevance:?}");
    }
    assert_eq!(reranker.relevance("وجه", &["بازگشت وجه"]).unwrap(), [0.5]);
    assert!(reranker.relevance("refund", &[]).unwrap().is_empty());
    // A text classifier gives several logits, and reads no pairs.
    let why = Reranker::open(&onnx, &classifier()).unwrap_err().to_string();
    assert!(why.contains("model.onnx: gives 3 logits, not one"), "{why}");
    let why = Reranker::open(&onnx, Path::new("/nowhere")).unwrap_err().to_string();
    assert!(why.contains("/nowhere/config.json"), "{why}");
}

#[test]
fn a_text_classifier_that_does_not_fit_is_refused_with_the_reason() {
    let (onnx, embedder) = open();
    let files = ["config.json", "tokenizer.json", "model.onnx"];
    let why = |folder: &Path, meant: &BTreeMap<String, Polarity>| {
        let reader = MoodReader::built_in(&onnx, &embedder).unwrap();
        reader.with_sentiment(&onnx, folder, meant).unwrap_err().to_string()
    };
    let spoiled = |file: &str, content: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::copy(classifier().join(file), folder.path().join(file)).unwrap();
        }
        let file = folder.path().join(file);
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        why(folder.path(), &BTreeMap::new())
    };
    for file in files {
        for content in [None, Some(""), Some("{}"), Some("null"), Some("\u{0}\u{1}[[[[")] {
            let why = spoiled(file, content);
            assert!(why.contains(file), "{file}, {content:?}: {why}");
        }
    }
    let labels = r#""id2label": { "0": "negative", "1": "neutral", "2": "positive" }"#;
    // As many as the network has.
    let places = "\"max_position_embeddings\": 66";
    for (config, problem) in [
        (r#"{ "id2label": { "0": "negative" } }"#.to_owned(), "needs 2 to 100 labels"),
        (r#"{ "id2label": { "0": "negative", "2": "positive" } }"#.to_owned(), "not numbered from 0 on"),
        (r#"{ "id2label": { "0": "negative", "1": "positive" } }"#.to_owned(), "3 logits for 2 labels"),
        (labels.to_owned(), "column"),
        (
            format!("{{ {places}, {} }}", labels.replace("positive", "whatever")),
            "label `whatever` stands for",
        ),
        (format!("{{ {places}, {} }}", labels.replace("positive", "neutral")), "none for positive"),
        (format!("{{ {labels}, \"max_position_embeddings\": 4 }}"), "too few for a sentence"),
        // More than the network has places for.
        (format!("{{ {labels}, \"max_position_embeddings\": 512 }}"), "ONNX Runtime"),
    ] {
        let why = spoiled("config.json", Some(&config));
        assert!(why.contains(problem), "{config}: {why}");
    }
    let unknown = why(&classifier(), &meant(&[("LABEL_0", Polarity::Negative)]));
    assert!(unknown.contains("no label `LABEL_0`; there are Negative, neutral, POSITIVE"), "{unknown}");
    let emotion = MoodReader::built_in(&onnx, &embedder).unwrap();
    let emotion = emotion.with_emotion(&onnx, &classifier(), &BTreeMap::new());
    assert!(emotion.unwrap_err().to_string().contains("label `Negative` stands for"));
}
