//! `cargo xtask demo`: from a fresh clone to words on the screen with one command.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sotto_tests::api::Api;
use sotto_tests::http::Client;
use sotto_tests::live::Live;
use sotto_tests::script::{root, transcript};
use sotto_tests::server::{Setup, free_address, free_rtp_range};

use crate::machine;
use crate::run::{Run, note, pull_models, release_build, step, target};

#[derive(clap::Args)]
pub struct Options {
    /// Only start Sotto; place no call.
    #[arg(long)]
    no_call: bool,
    /// Where the page is served.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Data folder [default: target/demo]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Speech model.
    #[arg(long, default_value = "base")]
    model: String,
    /// Place one call, stop when it is over, and fail when nothing was heard.
    #[arg(long)]
    once: bool,
}

/// What the terminal says while a call goes on.
enum Wish {
    Again,
    Stop,
}

pub fn demo(options: &Options) -> Result<()> {
    let http = SocketAddr::from(([127, 0, 0, 1], options.port));
    // Before the long build rather than after it.
    free(http)?;
    machine::needed_to_build()?;
    let sotto = PathBuf::from(release_build()?);
    step("Speech models");
    pull_models(&sotto, &[&options.model])?;

    let data = options.data.clone().unwrap_or_else(|| target().join("demo"));
    std::fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
    let data = data.canonicalize()?;
    let password = password(&data)?;
    let sip = free_address()?;
    let path = |name: &str| root().join("demo").join(name).display().to_string();
    let more = [
        ("insight", format!("intents = {:?}", path("intents.toml"))),
        ("knowledge", format!("folders = [{{ path = {:?} }}]", path("knowledge"))),
    ];
    let setup = Setup {
        model: options.model.clone(),
        more: more.map(|(table, line)| (table.to_owned(), line)).to_vec(),
        ..Setup::default()
    };
    let config = data.join("sotto.toml");
    std::fs::write(&config, setup.config(&data, http, sip, free_rtp_range()?))?;

    step("Starting sotto serve");
    free(http)?;
    let mut server = Server::start(&sotto, &config, &password)?;
    server.wait_until_ready(http)?;
    let api = Api::sign_in(http, "admin", &password)
        .context("the demo's password is not the server's: remove the data folder and start again")?;

    println!(
        "\n    \x1b[1mhttp://localhost:{}\x1b[0m    name: admin    password: {password}\n",
        options.port
    );
    if options.once {
        return call(&sotto, sip, &api, None).and_then(|heard| {
            ensure!(heard, "the call is over, and no words were heard");
            Ok(())
        });
    }
    let wishes = wishes()?;
    let mut again = !options.no_call;
    loop {
        if again {
            call(&sotto, sip, &api, Some(&wishes))?;
        }
        println!("\nEnter: {}.  Ctrl-C: stop.", if again { "call once more" } else { "place the call" });
        match wishes.recv() {
            Ok(Wish::Again) => again = true,
            Ok(Wish::Stop) | Err(_) => return Ok(()),
        }
    }
}

fn free(http: SocketAddr) -> Result<()> {
    match TcpListener::bind(http) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "port {0} is taken, perhaps by another demo: stop that, or choose a port with --port {1}",
            http.port(),
            http.port().wrapping_add(1)
        ),
        Err(e) => Err(e).with_context(|| format!("listening on {http}")),
    }
}

/// The administrator's password, made once and kept beside the data, so that the second run can show it.
fn password(data: &Path) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = data.join("demo-password");
    if let Ok(kept) = std::fs::read_to_string(&path) {
        return Ok(kept.trim().to_owned());
    }
    let mut bytes = [0; 12];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let letters: Vec<char> = ('a'..='z').chain('2'..='9').filter(|c| !"lo".contains(*c)).collect();
    let password: String =
        bytes.iter().filter_map(|b| letters.get(usize::from(*b) % letters.len())).collect();
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(password.as_bytes())?;
    Ok(password)
}

/// `sotto serve`, stopped in an orderly way when this is dropped.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(sotto: &Path, config: &Path, password: &str) -> Result<Self> {
        let log = config.with_file_name("sotto.log");
        let file = std::fs::File::create(&log)?;
        let child = Run::new(sotto)
            .args(["serve", "--config"])
            .arg(config)
            .env("SOTTO_ADMIN_PASSWORD", password)
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("sotto does not start")?;
        note(&format!("its log: {}", log.display()));
        Ok(Self { child, log })
    }

    fn wait_until_ready(&mut self, http: SocketAddr) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(120);
        let client = Client::new(http);
        loop {
            // Its models are loaded.
            if client.json("/readyz").is_ok_and(|ready| ready["degraded"]["speech"].is_null()) {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
                bail!(
                    "sotto {}\n{last}",
                    if ended.is_some() { "ended at start" } else { "is not ready after two minutes" }
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Run::new("kill").arg(self.child.id().to_string()).quietly();
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Enter and Ctrl-C.
fn wishes() -> Result<Receiver<Wish>> {
    let (sender, receiver): (Sender<Wish>, _) = channel();
    let stop = sender.clone();
    ctrlc::set_handler(move || {
        let _ = stop.send(Wish::Stop);
    })?;
    std::thread::spawn(move || {
        // At the end of the input (no terminal) only Ctrl-C is left.
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(Wish::Again);
        }
    });
    Ok(receiver)
}

/// Places the call and shows the finals as they come. Whether both parties were heard.
fn call(sotto: &Path, sip: SocketAddr, api: &Api, wishes: Option<&Receiver<Wish>>) -> Result<bool> {
    step("Calling (SIPREC over SIP and RTP, about 90 seconds)");
    let known: Vec<String> = ids(&api.calls("live")?);
    let mut caller = Run::new(sotto)
        .arg("call")
        .arg(root().join("demo/call.wav"))
        .args(["--to", &format!("sip:{sip}")])
        .command()
        .stdin(Stdio::null())
        .spawn()
        .context("sotto call does not start")?;
    let heard = follow(&mut caller, api, &known, wishes);
    if !matches!(heard, Ok(Some(_))) {
        let _ = caller.kill();
    }
    let status = caller.wait()?;
    let Some(events) = heard? else { return Ok(false) };
    ensure!(status.success(), "sotto call failed: {status}");
    Ok(["agent", "customer"].iter().all(|party| !transcript(&events, party).is_empty()))
}

/// Reads the call's WebSocket to its end; `None` when somebody wanted to stop.
fn follow(
    caller: &mut Child,
    api: &Api,
    known: &[String],
    wishes: Option<&Receiver<Wish>>,
) -> Result<Option<Vec<Value>>> {
    let id = api.next_live_call(known, Duration::from_secs(15)).with_context(|| match caller.try_wait() {
        Ok(Some(status)) => format!("sotto call ended: {status}"),
        _ => "the call does not appear".to_owned(),
    })?;
    let mut live: Live = api.live(&id, Some(0))?;
    let mut events = Vec::new();
    let mut quiet_since = Instant::now();
    loop {
        if let Some(wishes) = wishes {
            match wishes.recv_timeout(Duration::ZERO) {
                Ok(Wish::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Ok(Wish::Again) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let Some(message) = live.next(Duration::from_millis(200))? else {
            ensure!(quiet_since.elapsed() < Duration::from_secs(60), "nothing comes any more");
            continue;
        };
        quiet_since = Instant::now();
        if message["type"] == "end" {
            return Ok(Some(events));
        }
        if message["type"] != "event" {
            continue;
        }
        let event = message["event"].clone();
        if let Some(line) = line(&event) {
            println!("  {line}");
        }
        events.push(event);
    }
}

/// What the terminal says of an event: words as they are first, and which passage may answer them.
fn line(event: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (at_ms, who, what) = match event["kind"].as_str()? {
        "utterance" if event["final"] == true && event["revision"] == 0 => {
            (&event["start_ms"], text(&event["party"]), text(&event["text"]))
        }
        "card" => {
            let section = event["section"].as_array().into_iter().flatten();
            let place: Vec<String> = std::iter::once(&event["title"]).chain(section).map(text).collect();
            (&event["at_ms"], "▸ card".to_owned(), place.join(" › "))
        }
        _ => return None,
    };
    let at = at_ms.as_u64().unwrap_or_default() / 1000;
    Some(format!("{:02}:{:02}  {who:<8}  {what}", at / 60, at % 60))
}

fn ids(calls: &[Value]) -> Vec<String> {
    calls.iter().filter_map(|c| c["id"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_terminal_shows_words_once_and_the_card_that_answers_them() {
        let said = |is_final: bool, revision: u32| {
            let mut said =
                json!({ "kind": "utterance", "party": "customer", "start_ms": 63_600, "text": "When?" });
            said["final"] = is_final.into();
            said["revision"] = revision.into();
            line(&said)
        };
        assert_eq!((said(false, 0), said(true, 1)), (None, None));
        assert_eq!(said(true, 0).as_deref(), Some("01:03  customer  When?"));
        let card = json!({ "kind": "card", "at_ms": 69_000, "title": "Delivery", "section": ["When?"] });
        assert_eq!(line(&card).as_deref(), Some("01:09  ▸ card    Delivery › When?"));
    }
}
