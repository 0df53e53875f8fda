//! Recording metadata (RFC 7865): who speaks on which stream of a recording session.
//!
//! Vendors still send the shapes of earlier drafts (`id` for `participant_id`, `send` inside `participant`),
//! so elements are matched by local name alone and ids are taken from whichever attribute is there. Reading
//! is bounded in size, depth and number of elements, and there are no document types and no entities but the
//! five predefined ones: nothing can expand.

use std::collections::BTreeMap;

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use thiserror::Error;

/// Bytes of a document that are read at most.
pub const MAX_BYTES: usize = 256 * 1024;
/// Elements inside elements.
pub const MAX_DEPTH: usize = 16;
/// Elements in all.
pub const MAX_ELEMENTS: usize = 4_096;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 32;
/// Characters kept of an id, address, name or label.
const MAX_TEXT: usize = 512;
/// Participants, and streams, remembered through all updates of a session.
const MAX_KEPT: usize = 64;

/// Why a document was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// It is not well-formed, or is no `recording` document.
    #[error("malformed recording metadata: {0}")]
    Malformed(String),
    /// It is larger or deeper than is read.
    #[error("recording metadata too large")]
    TooLarge,
    /// It declares a document type or uses an entity.
    #[error("recording metadata with a document type or entities")]
    Entities,
}

/// A participant of the communication session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The recorder's id for them.
    pub id: String,
    /// Address of record.
    pub aor: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// The vendor extension `callingParty`: true for the one who placed the call.
    pub calling: Option<bool>,
    /// Ids of the streams they speak on.
    pub sends: Vec<String>,
    /// Ids of the streams that this document takes from them.
    pub ends: Vec<String>,
    /// They have left the session, or have come (back) to it; `None` when a partial document does not say.
    pub left: Option<bool>,
}

impl Person {
    /// They have not left the session.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.left != Some(true)
    }
}

/// A media stream of the recording session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The recorder's id for it.
    pub id: String,
    /// The `a=label` of its media section.
    pub label: Option<String>,
}

/// What is known of a recording session: the first document and all updates since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Ids of the communication sessions.
    pub sessions: Vec<String>,
    /// The participants, in the order they were first named.
    pub people: Vec<Person>,
    /// The streams.
    pub streams: Vec<Stream>,
    /// An extension element `pause` says that recording is paused (`true`) or goes on (`false`).
    pub paused: Option<bool>,
    /// An extension element `consent`, of the recording, a session or a participant, says whether the customer agrees that
    /// their mood is read: the last answer of each, by what tells them apart. That of the recording has no name.
    pub consents: BTreeMap<String, bool>,
    /// True when this document adds to what was said before instead of replacing it.
    pub partial: bool,
}

impl Metadata {
    /// Reads a document.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let root = Element::parse(bytes)?;
        if root.name != "recording" {
            return Err(MetadataError::Malformed(format!("root element is {:?}", root.name)));
        }
        Ok(Self::of(&root))
    }

    fn of(root: &Element) -> Self {
        let mut metadata = Self {
            partial: root.child("datamode").is_some_and(|mode| mode.text.eq_ignore_ascii_case("partial")),
            paused: root.boolean("pause").or_else(|| root.boolean("paused")),
            ..Self::default()
        };
        for (who, agrees) in root.consents() {
            // Of answers in the same place one no is enough.
            let agrees = agrees && metadata.consents.get(&who) != Some(&false);
            metadata.says(who, agrees);
        }
        for element in &root.children {
            match element.name.as_str() {
                "session" => {
                    let id = element.id("session");
                    if !id.is_empty()
                        && metadata.sessions.len() < MAX_KEPT
                        && !metadata.sessions.contains(&id)
                    {
                        metadata.sessions.push(id);
                    }
                }
                "stream" => {
                    let label = element.child("label").map(|label| label.text.clone());
                    keep(&mut metadata.streams, |s| &s.id, Stream { id: element.id("stream"), label });
                }
                "participant" => keep(&mut metadata.people, |p| &p.id, person(element)),
                _ => {}
            }
        }
        // Associations may stand before what they join.
        for element in &root.children {
            let id = element.attribute("participant_id").or_else(|| element.attribute("participant"));
            let person = id.and_then(|id| metadata.people_mut(&id));
            match (element.name.as_str(), person) {
                ("participantstreamassoc", Some(person)) => {
                    // RFC 7865 section 6.10: the association is over.
                    let is_over = element.child("disassociate-time").is_some();
                    let ids = if is_over { &mut person.ends } else { &mut person.sends };
                    let named = element.texts("send").filter(|s| !ids.contains(s)).collect::<Vec<_>>();
                    ids.extend(named);
                    ids.truncate(MAX_KEPT);
                }
                ("participantsessionassoc", Some(person)) => {
                    person.left = Some(element.child("disassociate-time").is_some());
                }
                _ => {}
            }
        }
        metadata
    }

    /// The participant with `id`, made when a partial update names one without describing them.
    fn people_mut(&mut self, id: &str) -> Option<&mut Person> {
        if !self.people.iter().any(|p| p.id == id) {
            if self.people.len() == MAX_KEPT {
                return None;
            }
            self.people.push(Person { id: id.to_owned(), ..Person::default() });
        }
        self.people.iter_mut().find(|p| p.id == id)
    }

    /// Whether the customer agrees that their mood is read, where that is said. One no is enough.
    #[must_use]
    pub fn consent(&self) -> Option<bool> {
        self.consents.values().min().copied()
    }

    /// Keeps what somebody says of consent, in place of what they said before. Those who are too many to be kept apart count as
    /// one, whose no stays.
    fn says(&mut self, who: String, agrees: bool) {
        if self.consents.len() < MAX_KEPT || self.consents.contains_key(&who) {
            self.consents.insert(who, agrees);
        } else {
            *self.consents.entry(String::new()).or_insert(agrees) &= agrees;
        }
    }

    /// Takes a later document in: a complete one replaces everything, a partial one changes what it names.
    pub fn merge(&mut self, mut update: Self) {
        for (who, agrees) in std::mem::take(&mut update.consents) {
            self.says(who, agrees);
        }
        if !update.partial {
            // Whoever has said no is not asked to say it again.
            let consents = std::mem::take(&mut self.consents);
            *self = Self { consents, ..update };
            return;
        }
        self.paused = update.paused.or(self.paused);
        for session in update.sessions {
            if self.sessions.len() < MAX_KEPT && !self.sessions.contains(&session) {
                self.sessions.push(session);
            }
        }
        for new in update.streams {
            match self.streams.iter_mut().find(|stream| stream.id == new.id) {
                Some(stream) => stream.label = new.label.or(stream.label.take()),
                None => keep(&mut self.streams, |s| &s.id, new),
            }
        }
        for new in update.people {
            // A stream that changes hands is nobody else's any more.
            for old in self.people.iter_mut().filter(|old| old.id != new.id) {
                old.sends.retain(|stream| !new.sends.contains(stream));
            }
            match self.people.iter_mut().find(|person| person.id == new.id) {
                Some(person) => {
                    person.aor = new.aor.or(person.aor.take());
                    person.name = new.name.or(person.name.take());
                    person.calling = new.calling.or(person.calling);
                    person.left = new.left.or(person.left);
                    if !new.sends.is_empty() {
                        person.sends = new.sends;
                    }
                    person.sends.retain(|stream| !new.ends.contains(stream));
                }
                None => keep(&mut self.people, |p| &p.id, new),
            }
        }
    }

    /// Who speaks on the stream with this label.
    #[must_use]
    pub fn speaker(&self, label: &str) -> Option<&Person> {
        let stream = self.streams.iter().find(|stream| stream.label.as_deref() == Some(label))?;
        self.people.iter().filter(|person| person.is_there()).find(|person| person.sends.contains(&stream.id))
    }
}

fn person(element: &Element) -> Person {
    let named = element.child("nameid");
    Person {
        id: element.id("participant"),
        aor: named.and_then(|n| n.attribute("aor")),
        name: named.and_then(|n| n.child("name")).map(|n| n.text.clone()).filter(|n| !n.is_empty()),
        calling: element.child("extensiondata").unwrap_or(element).boolean("callingparty"),
        sends: element.texts("send").take(MAX_KEPT).collect(),
        ends: Vec::new(),
        left: None,
    }
}

fn keep<T>(all: &mut Vec<T>, id: impl Fn(&T) -> &String, new: T) {
    if !id(&new).is_empty() && all.len() < MAX_KEPT && all.iter().all(|old| id(old) != id(&new)) {
        all.push(new);
    }
}

/// An XML element, as little of it as is needed.
#[derive(Default)]
struct Element {
    /// Local name in lower case.
    name: String,
    /// Local names in lower case.
    attributes: Vec<(String, String)>,
    /// Trimmed.
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.len() > MAX_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
        let mut open: Vec<Self> = Vec::new();
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(malformed)?;
            let closed = match event {
                Event::Start(start) => {
                    count += 1;
                    if open.len() == MAX_DEPTH || count > MAX_ELEMENTS {
                        return Err(MetadataError::TooLarge);
                    }
                    open.push(Self::of(&start)?);
                    None
                }
                Event::Empty(start) => {
                    count += 1;
                    if count > MAX_ELEMENTS {
                        return Err(MetadataError::TooLarge);
                    }
                    Some(Self::of(&start)?)
                }
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    add_text(&mut open, &text.xml10_content());
                    None
                }
                Event::CData(text) => {
                    add_text(&mut open, &text.xml10_content());
                    None
                }
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    match reference.resolve_char_ref().map_err(malformed)? {
                        Some(c) => add_text(&mut open, c.encode_utf8(&mut [0; 4])),
                        None => {
                            let text = resolve_predefined_entity(&name).ok_or(MetadataError::Entities)?;
                            add_text(&mut open, text);
                        }
                    }
                    None
                }
                Event::DocType(_) => return Err(MetadataError::Entities),
                Event::Eof => return Err(MetadataError::Malformed("it ends too early".into())),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
            };
            if let Some(mut element) = closed {
                element.text = element.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
        }
    }

    fn of(start: &BytesStart<'_>) -> Result<Self, MetadataError> {
        let mut element = Self { name: lower(start.local_name().as_ref()), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(malformed)?;
            if element.attributes.len() == MAX_ATTRIBUTES {
                return Err(MetadataError::TooLarge);
            }
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| MetadataError::Entities)?;
            let value = value.chars().take(MAX_TEXT).collect();
            element.attributes.push((lower(attribute.key.local_name().as_ref()), value));
        }
        Ok(element)
    }

    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.children.iter().filter(move |c| c.name == name && !c.text.is_empty()).map(|c| c.text.clone())
    }

    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone())
    }

    /// `participant_id` in the RFC, `id` in earlier drafts.
    fn id(&self, kind: &str) -> String {
        self.attribute(&format!("{kind}_id")).or_else(|| self.attribute("id")).unwrap_or_default()
    }

    fn boolean(&self, name: &str) -> Option<bool> {
        yes_or_no(&self.child(name)?.text)
    }

    /// What a document says of consent, and by which of its elements.
    fn consents(&self) -> impl Iterator<Item = (String, bool)> {
        let whole = self.boolean("consent").map(|agrees| (String::new(), agrees));
        let parts = self.children.iter().filter_map(|part| {
            let who = match part.name.as_str() {
                kind @ ("session" | "participant") => format!("{kind} {}", part.id(kind)),
                _ => String::new(),
            };
            Some((who, part.consent()?))
        });
        whole.into_iter().chain(parts)
    }

    /// What this element and those below it say of consent: no, if one does.
    fn consent(&self) -> Option<bool> {
        let below = self.children.iter().filter_map(Self::consent);
        self.boolean("consent").into_iter().chain(below).min()
    }
}

/// What a word means that answers a question.
pub(crate) fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn lower(name: &str) -> String {
    name.chars().take(MAX_TEXT).collect::<String>().to_ascii_lowercase()
}

fn malformed(error: impl std::fmt::Display) -> MetadataError {
    MetadataError::Malformed(error.to_string().chars().take(MAX_TEXT).collect())
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        // White space between elements is not text; within text it is kept.
        let text = if element.text.is_empty() { text.trim_start() } else { text };
        let room = MAX_TEXT.saturating_sub(element.text.chars().count());
        element.text.extend(text.chars().take(room));
    }
}

impl std::fmt::Display for Metadata {
    /// The document in the form of RFC 7865.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(f, "<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\">")?;
        writeln!(f, "  <datamode>{}</datamode>", if self.partial { "partial" } else { "complete" })?;
        if let Some(paused) = self.paused {
            writeln!(f, "  <pause xmlns=\"urn:sotto:recording\">{paused}</pause>")?;
        }
        if let Some(consent) = self.consent() {
            writeln!(f, "  <consent xmlns=\"urn:sotto:recording\">{consent}</consent>")?;
        }
        for session in &self.sessions {
            writeln!(f, "  <session session_id=\"{}\"/>", escape(session.as_str()))?;
        }
        for person in &self.people {
            let id = escape(person.id.as_str());
            writeln!(f, "  <participant participant_id=\"{id}\">")?;
            let aor =
                person.aor.as_deref().map(|aor| format!(" aor=\"{}\"", escape(aor))).unwrap_or_default();
            write!(f, "    <nameID{aor}>")?;
            if let Some(name) = &person.name {
                write!(f, "<name>{}</name>", escape(name.as_str()))?;
            }
            writeln!(f, "</nameID>")?;
            if let Some(calling) = person.calling {
                writeln!(f, "    <extensiondata><callingParty>{calling}</callingParty></extensiondata>")?;
            }
            writeln!(f, "  </participant>")?;
            for (session, left) in self.sessions.iter().zip(person.left.iter().cycle()) {
                let session = escape(session.as_str());
                write!(f, "  <participantsessionassoc participant_id=\"{id}\" session_id=\"{session}\">")?;
                let left = if *left { "<disassociate-time/>" } else { "" };
                writeln!(f, "{left}</participantsessionassoc>")?;
            }
            write!(f, "  <participantstreamassoc participant_id=\"{id}\">")?;
            person.sends.iter().try_for_each(|s| write!(f, "<send>{}</send>", escape(s.as_str())))?;
            writeln!(f, "</participantstreamassoc>")?;
        }
        for stream in &self.streams {
            write!(f, "  <stream stream_id=\"{}\">", escape(stream.id.as_str()))?;
            if let Some(label) = &stream.label {
                write!(f, "<label>{}</label>", escape(label.as_str()))?;
            }
            writeln!(f, "</stream>")?;
        }
        writeln!(f, "</recording>")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_no_is_enough_and_stays_until_somebody_says_yes() {
        let of = |inside: &str| {
            let text = format!("<recording><datamode>complete</datamode>{inside}</recording>");
            Metadata::parse(text.as_bytes()).unwrap()
        };
        assert_eq!(of("<consent>yes</consent>").consent(), Some(true));
        assert_eq!(of("<consent>perhaps</consent>").consent(), None);
        let mixed = "<session session_id='s'><consent>Yes</consent></session><participant participant_id='p'>\
                     <extensiondata><s:Consent xmlns:s='urn:sotto:recording'>no</s:Consent></extensiondata></participant>";
        let mut metadata = of(mixed);
        assert_eq!(metadata.consent(), Some(false));
        metadata.merge(of(""));
        assert_eq!(metadata.consent(), Some(false));
        let mut says = |inside: &str| {
            metadata.merge(Metadata { partial: true, ..of(inside) });
            metadata.consent()
        };
        assert_eq!(says("<consent>1</consent>"), Some(false), "somebody else's yes");
        assert_eq!(says("<participant participant_id='q'><consent>yes</consent></participant>"), Some(false));
        assert_eq!(says("<participant participant_id='p'><consent>yes</consent></participant>"), Some(true));
        assert_eq!(says("<session session_id='p'><consent>no</consent></session>"), Some(false));
    }

    #[test]
    fn of_more_answers_than_are_kept_apart_a_no_stays() {
        let mut metadata = Metadata::default();
        for n in 0..MAX_KEPT {
            metadata.says(n.to_string(), true);
        }
        for agrees in [true, false, true] {
            metadata.says("another".to_owned(), agrees);
        }
        assert_eq!((metadata.consent(), metadata.consents.len()), (Some(false), MAX_KEPT + 1));
    }

    #[test]
    fn the_form_of_the_rfc() {
        let metadata = Metadata::parse(
            br#"<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1">
            <datamode>complete</datamode><session session_id="s1"/>
            <participantstreamassoc participant_id="p2"><send>b</send><recv>a</recv></participantstreamassoc>
            <participant participant_id="p1"><nameID aor="sip:7301@192.0.2.1"/></participant>
            <participant participant_id="p2"><nameID aor="sip:bob@192.0.2.1"><name xml:lang="en">Bob &amp; S&#246;hne</name></nameID></participant>
            <stream stream_id="a"><label>1</label></stream><stream stream_id="b"><label> 2 </label></stream>
            <participantstreamassoc participant_id="p1"><send>a</send><recv>b</recv></participantstreamassoc>
            </recording>"#,
        )
        .unwrap();
        assert_eq!(metadata.sessions, ["s1"]);
        assert_eq!(metadata.speaker("1").unwrap().aor.as_deref(), Some("sip:7301@192.0.2.1"));
        assert_eq!(metadata.speaker("2").unwrap().name.as_deref(), Some("Bob & Söhne"));
        assert_eq!(metadata.speaker("3"), None);
        assert!(!metadata.partial);
    }

    #[test]
    fn the_form_of_an_earlier_draft_with_a_vendor_extension() {
        let metadata = Metadata::parse(
            br#"<recording xmlns='urn:ietf:params:xml:ns:recording'><session id="s"/>
            <participant id="p" session="s"><nameID aor="sip:9@192.0.2.9"><name>9</name></nameID><send>x</send>
            <extensiondata xmlns:v="http://vendor.example"><v:callingParty>true</v:callingParty></extensiondata></participant>
            <stream id="x" session="s"><label>16777227</label><mode>separate</mode></stream></recording>"#,
        )
        .unwrap();
        let speaker = metadata.speaker("16777227").unwrap();
        assert_eq!((speaker.id.as_str(), speaker.calling), ("p", Some(true)));
    }

    #[test]
    fn a_partial_update_changes_what_it_names_and_a_complete_one_replaces() {
        let mut metadata = Metadata::parse(
            br#"<recording><session session_id="s"/><participant participant_id="p"><nameID aor="sip:1@x"/></participant>
            <participantstreamassoc participant_id="p"><send>a</send></participantstreamassoc>
            <stream stream_id="a"><label>1</label></stream></recording>"#,
        )
        .unwrap();
        let update = br#"<recording><datamode>partial</datamode>
            <participantsessionassoc participant_id="p" session_id="s"><disassociate-time>t</disassociate-time></participantsessionassoc>
            <participant participant_id="q"><nameID aor="sip:2@x"/></participant>
            <participantstreamassoc participant_id="q"><send>a</send></participantstreamassoc></recording>"#;
        metadata.merge(Metadata::parse(update).unwrap());
        assert_eq!(metadata.speaker("1").unwrap().aor.as_deref(), Some("sip:2@x"));
        assert_eq!(metadata.people[0].aor.as_deref(), Some("sip:1@x"));
        metadata.merge(Metadata::parse(b"<recording/>").unwrap());
        assert_eq!(metadata, Metadata::default());
    }

    #[test]
    fn a_stream_that_changes_hands_has_one_speaker_and_who_has_left_stays_away() {
        let mut metadata = Metadata::parse(
            br#"<recording><participant participant_id="p"/><participant participant_id="q"/>
            <participantstreamassoc participant_id="p"><send>a</send></participantstreamassoc>
            <participantsessionassoc participant_id="q"><disassociate-time>t</disassociate-time></participantsessionassoc>
            <stream stream_id="a"><label>1</label></stream><stream stream_id="b"><label>2</label></stream></recording>"#,
        )
        .unwrap();
        let update = |metadata: &mut Metadata, of: &str, what: &str| {
            let text = format!(
                "<recording><datamode>partial</datamode><participantstreamassoc participant_id=\"{of}\">{what}\
                 </participantstreamassoc></recording>"
            );
            metadata.merge(Metadata::parse(text.as_bytes()).unwrap());
        };
        let speakers = |metadata: &Metadata| {
            ["1", "2"].map(|label| metadata.speaker(label).map_or(String::new(), |person| person.id.clone()))
        };
        // Both are still on the session; the stream is another's now.
        update(&mut metadata, "r", "<send>a</send>");
        assert_eq!(speakers(&metadata), ["r", ""]);
        update(&mut metadata, "r", "<send>b</send>");
        update(&mut metadata, "p", "<send>a</send>");
        assert_eq!(speakers(&metadata), ["p", "r"]);
        update(&mut metadata, "p", "<send>a</send><disassociate-time>t</disassociate-time>");
        assert_eq!(speakers(&metadata), ["", "r"]);
        // Whoever is only mentioned does not come back by that.
        update(&mut metadata, "q", "<send>a</send>");
        assert_eq!(speakers(&metadata), ["", "r"]);
    }

    #[test]
    fn nothing_expands_and_everything_has_a_limit() {
        let parse = |text: &str| Metadata::parse(text.as_bytes()).unwrap_err();
        let dtd = r#"<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><recording>&b;</recording>"#;
        assert_eq!(parse(dtd), MetadataError::Entities);
        assert_eq!(parse("<recording>&a;</recording>"), MetadataError::Entities);
        assert_eq!(parse("<recording a='&x;'/>"), MetadataError::Entities);
        assert_eq!(parse(&"<a>".repeat(MAX_DEPTH + 1)), MetadataError::TooLarge);
        assert_eq!(parse(&format!("<recording>{}", "<a/>".repeat(MAX_ELEMENTS))), MetadataError::TooLarge);
        assert_eq!(parse(&" ".repeat(MAX_BYTES + 1)), MetadataError::TooLarge);
        for text in ["", "<recording>", "<recording></session>", "<other/>", "text", "<recording a=1 a=2/>"] {
            assert!(matches!(parse(text), MetadataError::Malformed(_)), "{text:?}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        "[!-~äß][ -~äß]{0,18}[!-~]"
    }

    prop_compose! {
        fn anyone()(aor in proptest::option::of(text()), name in proptest::option::of(text()),
                    calling: Option<bool>, left: Option<bool>) -> Person {
            Person { aor, name, calling, left, ..Person::default() }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Metadata::parse(&bytes);
        }

        #[test]
        fn never_panics_on_markup(pieces in proptest::collection::vec(
            prop_oneof!["<[a-z]{1,4}>", "</[a-z]{1,4}>", "<recording>", "<participant id='[a-z&;]{0,3}'>", "&[a-z#0-9]{0,4};", "[ -~]{0,9}"], 0..30)) {
            let _ = Metadata::parse(format!("<recording>{}", pieces.concat()).as_bytes());
        }

        #[test]
        fn what_is_written_is_read_back(session in text(), people in proptest::collection::vec(anyone(), 0..4),
                                        labels in proptest::collection::vec(proptest::option::of(text()), 0..4),
                                        paused: Option<bool>, consent: Option<bool>, partial: bool) {
            let streams: Vec<_> = labels.into_iter().enumerate()
                .map(|(n, label)| Stream { id: format!("s{n}"), label }).collect();
            let people = people.into_iter().enumerate().map(|(n, person)| Person {
                id: format!("p{n}"), sends: streams.iter().map(|s| s.id.clone()).skip(n).collect(), ..person
            }).collect();
            let consents = consent.map(|agrees| (String::new(), agrees)).into_iter().collect();
            let metadata = Metadata { sessions: vec![session], people, streams, paused, consents, partial };
            prop_assert_eq!(Metadata::parse(metadata.to_string().as_bytes()).unwrap(), metadata);
        }
    }
}
