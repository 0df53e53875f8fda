//! Pages of the web as documents: fetched now and then from hosts that the configuration names, and from nowhere else.
//!
//! Whoever answers for a page, or for the name of its host, may be hostile, and Sotto stands where it can reach more than
//! they can. So it is asked over TLS alone, at addresses that the whole internet can reach, also where a page redirects
//! to; no proxy stands in between, since only who connects knows the address. An answer has limits of size and time, and
//! what comes is read as a file of a folder is.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sotto_knowledge::{Format, Visibility};
use sotto_store::Role;
use ureq::Agent;
use ureq::http::{StatusCode, header};
use url::{Host, Url};

use crate::documents::unix_ms;
use crate::library::seen_by;
use crate::outside;

/// How long a page may take, from looking up its host to its last byte.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests, whichever page they are for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long after a failure a page is asked for again, if that is not soon anyway.
const RETRY: Duration = Duration::from_secs(600);
/// The shortest time after which a page is asked for again, in seconds.
const SHORTEST: u32 = 600;
const MOST_PAGES: usize = 1_000;
const MOST_REDIRECTS: usize = 3;
/// Characters of an address, which the document is known by.
const LONGEST: usize = 1_000;

/// See [`KnowledgeConfig::pages`](crate::library::KnowledgeConfig::pages).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PagesConfig {
    /// Whether pages are fetched. Those of earlier are gone where this is not so.
    pub enabled: bool,
    /// The pages (HTML, text, Markdown, CSV, JSON, PDF, DOCX), `https` alone. None of the pages that they link to.
    pub addresses: Vec<String>,
    /// The hosts that pages may be fetched from, by their names, also where one redirects to another.
    pub hosts: Vec<String>,
    /// Seconds after which a page is asked for again, 600 at the least. What has not changed is not sent again by most
    /// servers.
    pub every_s: u32,
    /// The teams that see these documents; none for everybody.
    pub teams: Vec<String>,
    /// The roles that see these documents; none for everybody.
    #[schemars(with = "Vec<String>")]
    pub roles: Vec<Role>,
}

impl Default for PagesConfig {
    fn default() -> Self {
        let (addresses, hosts, teams, roles) = Default::default();
        Self { enabled: false, addresses, hosts, every_s: 86_400, teams, roles }
    }
}

impl PagesConfig {
    /// What is wrong with the pages, if anything.
    ///
    /// # Errors
    /// With the problem in words.
    pub fn check(&self) -> Result<(), String> {
        if self.every_s < SHORTEST {
            return Err(format!("`every_s` is {SHORTEST} at the least"));
        }
        if self.addresses.len() > MOST_PAGES {
            return Err(format!("there are {MOST_PAGES} pages at the most"));
        }
        let mut seen = BTreeSet::new();
        for address in &self.addresses {
            let url = self.allowed(address).map_err(|problem| format!("`{address}` {problem}"))?;
            if !seen.insert(url) {
                return Err(format!("`{address}` is there twice"));
            }
        }
        Ok(())
    }

    /// What their documents are called: their addresses.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.urls().map(String::from).collect()
    }

    /// Who sees these documents.
    #[must_use]
    pub fn visibility(&self) -> Visibility {
        Visibility { teams: self.teams.iter().cloned().collect(), ..seen_by(&self.roles) }
    }

    fn urls(&self) -> impl Iterator<Item = Url> {
        let addresses = self.addresses.iter().filter(move |_| self.enabled);
        addresses.filter_map(move |address| self.allowed(address).ok())
    }

    /// The address of something that may be fetched.
    fn allowed(&self, address: &str) -> Result<Url, &'static str> {
        let url = Url::parse(address).map_err(|_| "is no address")?;
        let named = |host: &str| self.hosts.iter().any(|one| one.eq_ignore_ascii_case(host));
        if address.chars().count() > LONGEST {
            Err("is too long")
        } else if url.scheme() != "https" {
            Err("does not begin with https://")
        } else if !url.username().is_empty() || url.password().is_some() {
            Err("has a password in it")
        } else if url.port().is_some() {
            Err("names a port")
        } else if url.fragment().is_some() {
            Err("names a part of a page")
        } else if !matches!(url.host(), Some(Host::Domain(host)) if named(host)) {
            Err("is at a host that `hosts` does not name")
        } else {
            Ok(url)
        }
    }
}

/// Whether a document of this name is a page, and not of a folder, whose names have no two slashes in a row, nor an upload.
pub(crate) fn is_page(document: &str) -> bool {
    document.starts_with("https://")
}

/// What a page was when it was asked for last, as its server tells it apart from later ones (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// What a server says when it is asked once.
#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    location: Option<String>,
    validators: Validators,
    content_type: String,
    bytes: Vec<u8>,
}

/// Asks for a page, once.
type Ask = Box<dyn Fn(&Url, &Validators) -> anyhow::Result<Answer> + Send>;

/// What has become of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum Fetched {
    /// It is what it was.
    Unchanged,
    /// There is none any more.
    Gone,
    /// What stands there.
    Page {
        /// What a file of its kind is called.
        extension: &'static str,
        bytes: Vec<u8>,
        /// When it was changed, in milliseconds since 1970, if its server says so.
        changed_unix_ms: Option<u64>,
    },
}

/// The pages of a configuration, and when they are to be fetched.
pub(crate) struct Pages {
    config: PagesConfig,
    ask: Ask,
    pages: Vec<Page>,
    /// When the next request may be made.
    free_at: Instant,
}

struct Page {
    url: Url,
    due: Instant,
    validators: Validators,
}

impl Pages {
    pub(crate) fn new(config: &PagesConfig) -> Self {
        // Certificates are read when the first page is asked for, if ever.
        let agent = LazyCell::new(agent as fn() -> Agent);
        Self::asking(config, Box::new(move |url: &Url, known: &Validators| ask(&agent, url, known)))
    }

    fn asking(config: &PagesConfig, ask: Ask) -> Self {
        let now = Instant::now();
        let page = |url| Page { url, due: now, validators: Validators::default() };
        Self { pages: config.urls().map(page).collect(), config: config.clone(), ask, free_at: now }
    }

    /// When there is something to fetch next, if ever.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.pages.iter().map(|page| page.due.max(self.free_at)).min()
    }

    /// Fetches the page that has waited longest, if one is due: its name, and what has become of it. Blocks for as long as its
    /// server may take.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(String, anyhow::Result<Fetched>)> {
        let page = self.pages.iter_mut().min_by_key(|page| page.due)?;
        if page.due.max(self.free_at) > now {
            return None;
        }
        let every = Duration::from_secs(self.config.every_s.into());
        let fetched = fetch(&self.config, &self.ask, page);
        let ended = now.max(Instant::now());
        page.due = ended + if fetched.is_ok() { every } else { every.min(RETRY) };
        self.free_at = ended + PAUSE;
        Some((page.url.to_string(), fetched))
    }

    /// What has become of a page could not be kept: it is asked for again as if it had not been.
    pub(crate) fn not_kept(&mut self, name: &str, now: Instant) {
        for page in self.pages.iter_mut().filter(|page| page.url.as_str() == name) {
            page.validators = Validators::default();
            page.due = page.due.min(now + RETRY);
        }
    }
}

#[cfg(test)]
impl Pages {
    /// Pages with this text, as plain text; none for those that are not there.
    pub(crate) fn serving(
        config: &PagesConfig,
        text: impl Fn(&str) -> anyhow::Result<Option<String>> + Send + 'static,
    ) -> Self {
        let ask = move |url: &Url, _: &Validators| {
            let text = text(url.as_str())?;
            let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
            let content_type = "text/plain".to_owned();
            let bytes = text.unwrap_or_default().into_bytes();
            Ok(Answer { status, location: None, validators: Validators::default(), content_type, bytes })
        };
        Self::asking(config, Box::new(ask))
    }
}

/// Asks for a page, also where it has gone to.
fn fetch(config: &PagesConfig, ask: &Ask, page: &mut Page) -> anyhow::Result<Fetched> {
    let mut at = page.url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let answer = ask(&at, &page.validators)?;
        match answer.status {
            StatusCode::OK => {
                let extension = extension_of(&answer.content_type, &at)?;
                let said = answer.validators.last_modified.as_deref();
                let changed = said.and_then(|said| httpdate::parse_http_date(said).ok());
                // Nobody has changed anything in the time to come.
                let changed = changed.map(|at| unix_ms(at.min(SystemTime::now())));
                page.validators = answer.validators;
                return Ok(Fetched::Page { extension, bytes: answer.bytes, changed_unix_ms: changed });
            }
            StatusCode::NOT_MODIFIED => return Ok(Fetched::Unchanged),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                page.validators = Validators::default();
                return Ok(Fetched::Gone);
            }
            status if status.is_redirection() => {
                let to = answer.location.context("redirects to nowhere")?;
                let to = at.join(&to).context("redirects to what is no address")?;
                at = match config.allowed(to.as_str()) {
                    Ok(to) => to,
                    Err(problem) => bail!("redirects to what {problem}"),
                };
            }
            status => bail!("its server says {}", status.as_u16()),
        }
    }
    bail!("redirects more than {MOST_REDIRECTS} times")
}

/// What a file of this media type is called; where that tells nothing, by what the page is called.
fn extension_of(content_type: &str, url: &Url) -> anyhow::Result<&'static str> {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim_matches('"');
        let is_read = ["utf-8", "utf8", "us-ascii"].iter().any(|one| value.eq_ignore_ascii_case(one));
        ensure!(!name.eq_ignore_ascii_case("charset") || is_read, "it is not in UTF-8");
    }
    Ok(match kind.as_str() {
        "text/html" | "application/xhtml+xml" => "html",
        "text/markdown" => "md",
        "text/csv" => "csv",
        "application/json" => "json",
        "application/pdf" => "pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "text/plain" | "application/octet-stream" | "" => match Format::of(Path::new(url.path())) {
            Some(Format::Markdown) => "md",
            Some(Format::Csv) => "csv",
            Some(Format::Json) => "json",
            Some(Format::Pdf) => "pdf",
            Some(Format::Docx) => "docx",
            Some(Format::Plain) => "txt",
            Some(Format::Html) | None if kind == "text/plain" => "txt",
            Some(Format::Html) => "html",
            None => bail!("it is not said what kind of document it is"),
        },
        _ => bail!("not a kind of document that is read"),
    })
}

fn agent() -> Agent {
    outside::agent(outside::config(PATIENCE).build(), false)
}

fn ask(agent: &Agent, url: &Url, known: &Validators) -> anyhow::Result<Answer> {
    let mut request = agent.get(url.as_str());
    if let Some(etag) = &known.etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    if let Some(at) = &known.last_modified {
        request = request.header(header::IF_MODIFIED_SINCE, at);
    }
    let mut response = request.call().context("it cannot be fetched")?;
    let headers = response.headers();
    let text = |name: header::HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let validators = Validators { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) };
    let (location, content_type) = (text(header::LOCATION), text(header::CONTENT_TYPE).unwrap_or_default());
    let (status, mut bytes) = (response.status(), Vec::new());
    if status == StatusCode::OK {
        let most = Format::ALL.map(Format::max_bytes).into_iter().max().unwrap_or_default();
        // Unpacked: whoever sends a kilobyte does not have a gigabyte made of it.
        let body = response.body_mut().with_config().limit(most + 1).reader();
        body.take(most + 1).read_to_end(&mut bytes).context("it breaks off")?;
        ensure!(bytes.len() as u64 <= most, "a page of more than {} MB is not read", most >> 20);
    }
    Ok(Answer { status, location, validators, content_type, bytes })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn config(addresses: &[&str]) -> PagesConfig {
        PagesConfig {
            enabled: true,
            addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
            hosts: vec!["help.example".to_owned(), "www.help.example".to_owned()],
            ..PagesConfig::default()
        }
    }

    fn answer(status: u16, text: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            validators: Validators::default(),
            content_type: "text/plain; charset=utf-8".to_owned(),
            bytes: text.into(),
        }
    }

    fn redirect(to: &str) -> Answer {
        Answer { location: Some(to.to_owned()), ..answer(302, "") }
    }

    /// What becomes of the page `https://help.example/a` when these are the answers, and what was asked for.
    fn fetched(answers: Vec<Answer>) -> (Result<Fetched, String>, Vec<String>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, answers) = (Arc::clone(&asked), Mutex::new(answers.into_iter()));
        let ask = move |url: &Url, _: &Validators| {
            noted.lock().unwrap().push(url.to_string());
            answers.lock().unwrap().next().context("asked once too often")
        };
        let mut pages = Pages::asking(&config(&["https://help.example/a"]), Box::new(ask));
        let (name, fetched) = pages.next(Instant::now()).unwrap();
        assert_eq!(name, "https://help.example/a");
        let asked = asked.lock().unwrap().clone();
        (fetched.map_err(|error| format!("{error:#}")), asked)
    }

    #[test]
    fn only_pages_at_hosts_that_are_named_are_fetched_and_only_over_tls() {
        let problem = |address: &str| config(&[address]).check().err().unwrap_or_default();
        assert_eq!(problem("https://HELP.example/refunds?page=2"), "");
        for (address, what) in [
            ("refunds", "no address"),
            ("http://help.example/", "https"),
            ("file:///etc/passwd", "https"),
            ("https://mina:secret@help.example/", "password"),
            ("https://help.example:8443/", "port"),
            ("https://help.example/#a", "part of a page"),
            ("https://help.example.evil.example/", "`hosts`"),
            ("https://evil.example/help.example", "`hosts`"),
            ("https://127.0.0.1/", "`hosts`"),
            ("https://[::1]/", "`hosts`"),
        ] {
            assert!(problem(address).contains(what), "{address}: {}", problem(address));
        }
        // A number is no name, also where somebody takes it for one.
        let numbers = PagesConfig { hosts: vec!["127.0.0.1".to_owned()], ..config(&["https://2130706433/"]) };
        assert!(numbers.check().is_err());
        assert!(config(&["https://help.example/", "https://help.example"]).check().is_err(), "twice");
        assert!(PagesConfig { every_s: 599, ..PagesConfig::default() }.check().is_err());
        let off = PagesConfig { enabled: false, ..config(&["https://help.example/"]) };
        assert!(off.check().is_ok() && off.names().is_empty() && Pages::new(&off).next_at().is_none());
    }

    #[test]
    fn a_page_of_this_machine_is_not_asked_for() {
        let here = Url::parse("https://localhost/").unwrap();
        let why = format!("{:#}", ask(&agent(), &here, &Validators::default()).unwrap_err());
        assert!(why.contains("host not found"), "{why}");
    }

    #[test]
    fn a_redirect_is_followed_to_hosts_that_are_named_a_few_times() {
        let page = Fetched::Page { extension: "txt", bytes: b"three days".to_vec(), changed_unix_ms: None };
        let (found, asked) =
            fetched(vec![redirect("//www.help.example/b"), redirect("c"), answer(200, "three days")]);
        assert_eq!(found, Ok(page));
        assert_eq!(
            asked,
            ["https://help.example/a", "https://www.help.example/b", "https://www.help.example/c"]
        );
        for elsewhere in
            ["https://evil.example/", "http://help.example/", "https://10.0.0.1/", "https://help.example:22/"]
        {
            let (found, asked) = fetched(vec![redirect(elsewhere)]);
            assert!(found.unwrap_err().starts_with("redirects to what "), "{elsewhere}");
            assert_eq!(asked.len(), 1, "{elsewhere}");
        }
        let (found, asked) = fetched(vec![redirect("/a"); 9]);
        assert_eq!((found.unwrap_err().as_str(), asked.len()), ("redirects more than 3 times", 4));
    }

    #[test]
    fn what_a_server_says_of_a_page_is_what_becomes_of_it() {
        assert_eq!(fetched(vec![answer(404, "")]).0, Ok(Fetched::Gone));
        assert_eq!(fetched(vec![answer(304, "")]).0, Ok(Fetched::Unchanged));
        assert_eq!(fetched(vec![answer(503, "")]).0, Err("its server says 503".to_owned()));
        let of = |content_type: &str| {
            let answer = Answer { content_type: content_type.to_owned(), ..answer(200, "x") };
            match fetched(vec![answer]).0 {
                Ok(Fetched::Page { extension, .. }) => extension.to_owned(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!([of("text/html"), of("Application/PDF")], ["html", "pdf"]);
        assert!(of("text/html; charset=\"windows-1256\"").contains("UTF-8"));
        assert!(of("image/png").contains("not a kind") && of("").contains("not said"));
        let said = Validators { etag: None, last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()) };
        let Ok(Fetched::Page { changed_unix_ms, .. }) =
            fetched(vec![Answer { validators: said, ..answer(200, "x") }]).0
        else {
            panic!("a page")
        };
        assert_eq!(changed_unix_ms, Some(784_111_777_000));
    }

    #[test]
    fn pages_are_asked_for_one_after_the_other_and_again_with_what_tells_whether_they_have_changed() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let ask = move |url: &Url, known: &Validators| {
            noted.lock().unwrap().push((url.path().to_owned(), known.etag.clone()));
            let validators = Validators { etag: Some("\"7\"".to_owned()), last_modified: None };
            match known.etag {
                None => Ok(Answer { validators, ..answer(if url.path() == "/b" { 500 } else { 200 }, "x") }),
                Some(_) => Ok(answer(304, "")),
            }
        };
        let of = config(&["https://help.example/a", "https://help.example/b"]);
        let mut pages = Pages::asking(&of, Box::new(ask));
        let begun = Instant::now();
        assert!(pages.next(begun).unwrap().1.is_ok());
        assert!(pages.next(begun).is_none(), "not at once");
        let later = pages.next_at().unwrap();
        assert!(later >= begun + PAUSE);
        assert!(pages.next(later).unwrap().1.is_err());
        let retried = pages.next_at().unwrap();
        assert!(retried >= later + RETRY && retried < later + RETRY + PATIENCE);
        assert!(pages.next(retried).unwrap().1.is_err());
        let day = begun + Duration::from_secs(2 * 86_400);
        assert!(pages.next(day).is_some());
        assert!(matches!(pages.next(day + PAUSE), Some((_, Ok(Fetched::Unchanged) | Err(_)))));
        let asked: Vec<(String, Option<String>)> = asked.lock().unwrap().clone();
        let a: Vec<_> =
            asked.iter().filter(|(path, _)| path == "/a").map(|(_, etag)| etag.as_deref()).collect();
        assert_eq!(a, [None, Some("\"7\"")]);
    }

    #[test]
    fn a_page_that_could_not_be_kept_is_sent_again_as_a_whole_and_soon() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let ask = move |_: &Url, known: &Validators| {
            noted.lock().unwrap().push(known.etag.clone());
            let validators = Validators { etag: Some("\"7\"".to_owned()), last_modified: None };
            Ok(Answer { validators, ..answer(200, "x") })
        };
        let mut pages = Pages::asking(&config(&["https://help.example/a"]), Box::new(ask));
        let begun = Instant::now();
        let (name, fetched) = pages.next(begun).unwrap();
        assert!(fetched.is_ok());
        pages.not_kept(&name, begun);
        assert_eq!(pages.next_at(), Some(begun + RETRY));
        assert!(pages.next(begun + RETRY).is_some());
        assert_eq!(*asked.lock().unwrap(), [None, None]);
    }
}
