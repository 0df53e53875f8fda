//! A document from anyone, of a kind whose reader unpacks nothing: it is read or refused, what is read is bounded, and
//! every passage is a stretch of the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sotto_knowledge::{
    Format, Hub, MAX_HEADING, MAX_PASSAGE, MAX_PASSAGES, MAX_TEXT, Paper, Viewer, Visibility, read,
};

const FORMATS: [Format; 5] = [Format::Markdown, Format::Html, Format::Plain, Format::Csv, Format::Json];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let Ok(content) = read(FORMATS[usize::from(*which) % FORMATS.len()], bytes) else { return };
    assert!(content.parts.iter().map(|part| part.text.len()).sum::<usize>() <= MAX_TEXT);
    assert!(content.title.chars().count() <= MAX_HEADING);
    let mut hub = Hub::new();
    let visibility = Visibility { teams: ["one".to_owned()].into(), ..Visibility::default() };
    hub.put(Paper { id: "document".into(), changed_unix_ms: 0, visibility, bytes: 0, content });
    for document in hub.documents() {
        assert!(document.passages.len() <= MAX_PASSAGES);
        let above = document.passages.iter().flat_map(|passage| &passage.section);
        assert!(above.map(String::len).sum::<usize>() <= MAX_TEXT);
        for passage in &document.passages {
            // A title and six headings above the words, with " › " between them.
            let most = 7 * (MAX_HEADING + 3) + MAX_PASSAGE;
            assert!(passage.in_context(&document.title).chars().count() <= most);
            assert_eq!(document.text[passage.range.clone()], passage.text);
            assert!(passage.text.chars().count() <= MAX_PASSAGE);
        }
    }
    // Nobody may see it.
    let index = hub.index().expect("words are indexed");
    let query = sotto_knowledge::Query { text: "a", ..Default::default() };
    assert!(index.search(&query, &Viewer::default(), 1).expect("a search").is_empty());
});
