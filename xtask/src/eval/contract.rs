//! The interface held against its own description, by a program that is not ours: Schemathesis makes requests up from the OpenAPI
//! document, well-formed ones and others, and looks whether the answers are as described.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sotto_tests::http::Client;
use sotto_tests::server::Sotto;

use super::Figure;
use super::review::until_known;
use super::setup::Bench;
use crate::run::{Run, note, step, tools};

/// Schemathesis (MIT), and what it is made of.
const VERSION: &str = "4.32.5";
const PACKAGES: &str = "\
anyio==4.16.0
certifi==2026.10.19.post1
charset-normalizer==3.5.3
click==8.5.1
graphql-core==3.3.2
harfile==0.6.0
hypothesis==6.170.17
hypothesis-graphql==0.13.5
idna==3.20
iniconfig==2.3.1
jsonschema_rs==0.60.3
markdown-it-py==4.3.0
markupsafe==3.0.4
mdurl==0.1.2
packaging==26.4
pluggy==1.7.0
pygments==2.21.0
pyrate-limiter==4.5.1
pytest==9.2.0
pyyaml==6.0.4
requests==2.34.2
rich==15.0.0
schemathesis==4.32.5
sortedcontainers==2.4.0
typing_extensions==4.16.0
urllib3==2.8.0
werkzeug==3.1.9
";

/// What every answer is held against. Not among it are `positive_data_acceptance` and `negative_data_rejection`: which values are taken is
/// said in sentences, so a request of the right shape may be refused.
const CHECKS: [&str; 9] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
];

/// Operations that are left out, and why.
const LEFT_OUT: [(&str, &str); 10] = [
    ("get_calls_id_live", "a WebSocket: what is said on it is no answer to a request"),
    ("get_live", "a WebSocket"),
    ("get_phone", "a WebSocket"),
    ("post_whip", "begins a stream of audio, by an SDP offer that a description of JSON cannot make up"),
    ("patch_whip_session", "belongs to such a stream"),
    ("delete_whip_session", "belongs to such a stream"),
    ("post_calls_id_whep", "begins a stream of audio, likewise"),
    ("patch_calls_id_whep_session", "belongs to such a stream"),
    ("delete_calls_id_whep_session", "belongs to such a stream"),
    ("delete_keys_id", "would take away the key that all of it is asked with"),
];

/// How long requests are made up, in seconds: as long as the bar wants it, or to see whether it works.
const SECONDS: u64 = 600;
const SECONDS_QUICK: u64 = 60;
/// How much of a call is heard first, so that there is one.
const HEARD_MS: u64 = 20_000;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let program = program()?;
    let server = bench.server("tiny.en")?;
    let client = &server.api.client;
    let folder = tempfile::tempdir()?;
    let (description, report) = (folder.path().join("openapi.json"), folder.path().join("report.json"));
    let mut api = client.json("/api/openapi.json")?;
    let asked = prepare(&mut api, &Seeds { client, call: recorded_call(bench, &server)? })?;
    std::fs::write(&description, api.to_string())?;
    let key = client.post("/api/keys", &json!({ "name": "contract", "scopes": ["admin"] }))?.json()?;
    let key = key["secret"].as_str().context("no key")?;

    let count = |class: &str| server.api.metric(&format!("sotto_http_answers_total{class}"));
    let (answers, errors) = (count("")?, count("{class=\"5xx\"}")?);
    let seconds = if bench.quick { SECONDS_QUICK } else { SECONDS };
    // What it finds is for people to read: figures alone go to the standard output.
    let status = Run::new(program)
        .arg("run")
        .arg(&description)
        .args(["--url", &format!("http://{}", server.http), "--max-time", &seconds.to_string()])
        .args(["--header", &format!("Authorization: Bearer {key}"), "--checks", &CHECKS.join(",")])
        .args(["--continue-on-failure", "--request-timeout", "30", "--seed", "1", "--no-color"])
        .args(["--generation-database", "none", "--report-json-path"])
        .arg(&report)
        .command()
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("Schemathesis does not start")?;
    let (answers, errors) = (count("")? - answers, count("{class=\"5xx\"}")? - errors);
    let report = std::fs::read_to_string(&report).with_context(|| format!("no report: {status}"))?;
    let report: Value = serde_json::from_str(&report)?;
    for found in report["failures"].as_array().into_iter().chain(report["errors"].as_array()).flatten() {
        note(&format!("{}: {} times, {}", found["title"], found["count"], found["operations"]));
    }
    let number = |place: &str| report.pointer(place).and_then(Value::as_f64).unwrap_or(f64::NAN);
    sink(Figure::reported("contract.requests", answers, "requests"));
    let tested = number("/operations/tested");
    // A minute is not enough for all of them.
    sink(match bench.quick {
        true => Figure::reported("contract.operations", tested, "operations"),
        false => Figure::at_least("contract.operations", tested, "operations", asked as f64),
    });
    sink(Figure::reported("contract.left_out", LEFT_OUT.len() as f64, "operations"));
    sink(Figure::at_least("contract.lasted", number("/running_time"), "s", seconds as f64 * 0.9));
    sink(Figure::at_most("contract.server_errors", errors, "answers", 0.0));
    sink(Figure::at_most("contract.breaks", number("/test_cases/with_failures"), "cases", 0.0));
    sink(Figure::at_most("contract.not_made", number("/test_cases/errored"), "cases", 0.0));
    Ok(())
}

/// Takes out of a description what is left out, and puts in what there is to ask for. Says how many operations are asked.
fn prepare(api: &mut Value, seeds: &Seeds<'_>) -> Result<usize> {
    let (mut asked, mut left_out) = (0, 0);
    let paths = api["paths"].as_object_mut().context("no paths")?;
    for (path, methods) in paths.iter_mut() {
        let methods = methods.as_object_mut().context("no methods")?;
        let all = methods.len();
        methods.retain(|_, operation| why_left_out(operation).is_none());
        left_out += all - methods.len();
        for operation in methods.values_mut() {
            asked += 1;
            seeds.sow(path, operation)?;
        }
    }
    paths.retain(|_, methods| methods.as_object().is_some_and(|methods| !methods.is_empty()));
    ensure!(left_out == LEFT_OUT.len(), "{} operations are to be left out, {left_out} were", LEFT_OUT.len());
    LEFT_OUT.iter().for_each(|(name, why)| note(&format!("left out: {name}: {why}")));
    Ok(asked)
}

fn why_left_out(operation: &Value) -> Option<&'static str> {
    let named = |(name, _): &&(&str, &'static str)| operation["operationId"] == *name;
    LEFT_OUT.iter().find(named).map(|(_, why)| *why)
}

/// What there is on the server. Each operation gets things of its own, so that what one removes is still there for another.
struct Seeds<'a> {
    client: &'a Client,
    call: String,
}

impl Seeds<'_> {
    /// Gives an operation ids that there are, and a body that is taken, as examples.
    fn sow(&self, path: &str, operation: &mut Value) -> Result<()> {
        let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let id = match path.split('/').nth(2) {
            Some("calls") => Some(self.call.clone()),
            Some("leads") => Some(self.lead()?),
            Some("companies") => Some(self.made("/api/companies", &json!({ "name": "Novak Ltd" }))?),
            Some("tasks") => Some(self.made("/api/tasks", &self.task()?)?),
            _ => None,
        };
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten().filter(|one| one["in"] == "path") {
            if let Some(id) = id.as_ref().filter(|_| parameter["name"] == "id") {
                parameter["example"] = id.as_str().into();
            }
        }
        if let (Some(content), Some(body)) =
            (operation.pointer_mut("/requestBody/content/application~1json"), self.body(&name)?)
        {
            content["example"] = body;
        }
        Ok(())
    }

    fn body(&self, name: &str) -> Result<Option<Value>> {
        Ok(Some(match name {
            "post_leads" => {
                json!({ "name": "Sara Karimi", "kind": "lead", "stage": "new", "fields": { "city": "Shiraz" } })
            }
            "put_leads_id" => json!({ "version": 1, "kind": "lead", "stage": "contacted", "name": "Sara" }),
            "post_leads_id_communication" => json!({ "type": "note", "content": "Called in the morning." }),
            "post_leads_id_merge" => json!({ "version": 1, "other": self.lead()?, "other_version": 1 }),
            "put_leads_id_opt_outs" => json!({ "version": 1, "channels": ["sms"] }),
            "post_companies" => json!({ "name": "Rossi", "notes": "since 1998" }),
            "put_companies_id" => json!({ "version": 1, "name": "Rossi" }),
            "post_tasks" => self.task()?,
            "put_tasks_id" => json!({ "version": 1, "state": "done", "type": "callback" }),
            "put_calls_id_flag" => json!({ "flagged": true }),
            "put_calls_id_outcome" => json!({ "outcome": "Resolved" }),
            "post_ai_assist_search" => json!({ "query": "how long does a refund take?" }),
            "post_ai_assist_answer" => json!({ "question": "how long does a refund take?" }),
            "post_users" => json!({ "name": "mina", "role": "agent" }),
            "post_keys" => json!({ "name": "crm", "scopes": ["crm:read"] }),
            "post_intents" => json!({ "name": "refund_now", "title": { "en": "Refund" } }),
            _ => return Ok(None),
        }))
    }

    fn lead(&self) -> Result<String> {
        self.made("/api/leads", &json!({ "name": "Omid Moradi" }))
    }

    fn task(&self) -> Result<Value> {
        Ok(json!({ "lead_id": self.lead()?, "type": "callback", "due_at_unix_ms": 1_900_000_000_000_u64 }))
    }

    /// Makes something, and says its id.
    fn made(&self, path: &str, body: &Value) -> Result<String> {
        let made = self.client.post(path, body)?.json().with_context(|| path.to_owned())?;
        Ok(made["id"].as_str().context("no id")?.to_owned())
    }
}

/// A call that is over, of which it is known what it came to.
fn recorded_call(bench: &Bench, server: &Sotto) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("call.wav");
    let call = bench.recorded_calls()?.into_iter().next().context("no calls")?;
    call.audio.cut(0, HEARD_MS).write_wav(&path)?;
    let body = std::fs::read(&path)?;
    let client = &server.api.client;
    let added =
        client.request("POST", "/api/recordings?name=call.wav", &[("Content-Type", "audio/wav")], &body)?;
    let id = added.json()?["call_id"].as_str().context("no call")?.to_owned();
    until_known(server, &id)?;
    Ok(id)
}

/// Schemathesis, in a Python environment of its own.
fn program() -> Result<PathBuf> {
    let folder = tools().join("schemathesis");
    let python = folder.join("bin/python3");
    let is_there =
        format!("from importlib.metadata import version; assert version('schemathesis') == '{VERSION}'");
    if !Run::new(&python).args(["-c", &is_there]).quietly() {
        step(&format!("Installing Schemathesis {VERSION} from the Python package registry"));
        let venv = Run::new("python3").args(["-m", "venv"]).arg(&folder);
        venv.go().context("Python 3.11 or later with venv is needed (Debian: python3-venv)")?;
        let list = folder.join("requirements.txt");
        std::fs::write(&list, PACKAGES)?;
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "-r"];
        Run::new(&python).args(install).arg(&list).go()?;
    }
    Ok(folder.join("bin/schemathesis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_known_by_its_name() {
        assert!(
            why_left_out(&json!({ "operationId": "get_live" })).is_some_and(|why| why.contains("WebSocket"))
        );
        assert_eq!(why_left_out(&json!({ "operationId": "get_leads" })), None);
        assert_eq!(why_left_out(&json!({})), None);
        assert!(PACKAGES.lines().any(|line| line == format!("schemathesis=={VERSION}")));
    }
}
