//! The interface described: OpenAPI for programs, a page for people, and the schema of a call's events.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sotto_store::{EventKind, Role};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::auth::COOKIE;
use super::{
    App, calls, companies, contacts, dashboard, drafts, error, follow_ups, gaps, imports, intents, jobs,
    knowledge, live, missed, ops, pathways, payments, people, person, phone, preparation, quality, recording,
    review, search, session, table, tasks, teams, tickets, webhooks, whip,
};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/openapi.json", get(async || axum::Json(described())))
        .route("/docs", get(async || Html(page())))
        .route("/docs/style.css", get(style))
        .route("/schema/call-event.json", get(async || axum::Json(event_schema())))
        .route("/schema/call-insight.json", get(async || axum::Json(insight_schema())))
        .route("/schema/call-quality.json", get(async || axum::Json(quality_schema())))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sotto",
        description = "Calls while they are spoken and afterwards. Browsers sign in with a cookie, programs \
            send an API key. Times ending in `_unix_ms` are milliseconds since 1970 (UTC), other times are \
            milliseconds on the call's own clock.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Calls", description = "What was said"),
        (name = "Quality", description = "How good calls were: what people say of it, and how calls go all in all"),
        (name = "Live", description = "What is being said, over WebSockets"),
        (name = "Phone", description = "Agents' telephones, over a WebSocket; other clients' audio (WHIP, WHEP)"),
        (name = "Intents", description = "What customers may want, and how they say it, for supervisors"),
        (name = "Recordings", description = "Recordings that were made elsewhere, and become calls"),
        (name = "Knowledge", description = "What is written down: documents, and the passages that answer a question"),
        (name = "Contacts", description = "Whoever calls or is called: what was said to them, what is to be done"),
        (name = "Session", description = "Signing in and out"),
        (name = "People", description = "Users and keys, for admins"),
        (name = "Operation", description = "How the installation is doing"),
    ),
    paths(
        calls::list, calls::one, calls::events, calls::outcome, calls::consent, calls::answer, calls::answer_card,
        review::insight, review::quality, quality::list, quality::put_review, quality::reply, quality::flag,
        quality::agreement, quality::examples, search::find, dashboard::show,
        recording::recording, live::call, live::list,
        phone::phone, phone::desk, whip::publish, whip::trickle, whip::stop, whip::listen, whip::trickle_whep,
        whip::leave, missed::list, missed::handled,
        intents::list, intents::add, intents::rename, intents::guide, intents::remove, intents::add_example,
        intents::remove_example,
        imports::call_ended, imports::list, imports::upload, imports::voice_note, imports::run, imports::remove,
        knowledge::search, knowledge::answer, knowledge::list, knowledge::upload, knowledge::one, knowledge::remove,
        knowledge::show_to,
        gaps::list, gaps::decide, gaps::health, pathways::one, pathways::tick, drafts::draft,
        contacts::list, contacts::add, contacts::one, contacts::change, contacts::remove, contacts::timeline,
        contacts::note, contacts::merge, contacts::of_call, table::export, table::import,
        companies::list, companies::add, companies::one, companies::change, companies::remove,
        person::export, person::erase, tasks::list, tasks::add, tasks::change,
        tickets::of_lead, tickets::add, tickets::list, tickets::one, tickets::change,
        payments::of_lead, payments::add, payments::list, payments::one, payments::change, payments::export, payments::import,
        preparation::show, preparation::keep,
        follow_ups::list, follow_ups::add, follow_ups::change, follow_ups::approve, follow_ups::dismiss,
        follow_ups::resolve, follow_ups::speech, follow_ups::opt_outs, follow_ups::set_opt_outs,
        session::sign_in, session::current, session::sign_out, session::change_password,
        people::users, people::add_user, people::change_user, people::keys, people::add_key,
        people::revoke_key, people::audit, teams::list, teams::rename,
        jobs::list, jobs::run, webhooks::list, webhooks::test, webhooks::send,
        ops::test_connection, ops::status, ops::healthz, ops::readyz, ops::metrics,
    ),
    components(schemas(error::ErrorBody)),
    security(("cookie" = []), ("key" = [])),
)]
struct Api;

/// The interface as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> Value {
    let mut api = Api::openapi();
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = api.components.get_or_insert_default();
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    components.add_security_scheme("cookie", cookie);
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    components.add_security_scheme("key", key);
    let mut api = serde_json::to_value(api).unwrap_or_default();
    for (path, methods) in api["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            complete(path, method, operation);
        }
    }
    if let Some(schemas) = api.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.extend(call_schemas());
    }
    api["webhooks"] = messages();
    api
}

/// Gives an operation a name that no other has, and says of it what follows from what it takes: how it refuses who asks,
/// parameters and bodies, and what it is without a database. What it says of such a refusal itself stays.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let words = path.trim_start_matches("/api").split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = [method].into_iter().chain(words).filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    let parameters = operation["parameters"].as_array();
    let has = |place: &str| parameters.is_some_and(|all| all.iter().any(|one| one["in"] == place));
    let (in_path, in_query) = (has("path"), has("query"));
    let content = &operation["requestBody"]["content"];
    let (has_body, has_json) = (content.is_object(), content["application/json"].is_object());
    let is_open = operation["security"] == json!([{}]);
    let refusals = [
        (400, in_path || in_query || has_body, "A parameter is none, or the body cannot be read"),
        (401, !is_open, "Nobody is signed in, or the key is none"),
        (403, !is_open, "Not theirs to do, or the request comes from another site"),
        (404, in_path, "There is no such thing"),
        (413, has_body, "Too large"),
        (415, has_json, "Not `application/json`"),
        (422, has_json, "The body is not of this shape"),
        (
            503,
            !is_open || has_json,
            "The database does not answer, or too much is asked at once; see Retry-After",
        ),
    ];
    let Some(operation) = operation.as_object_mut() else { return };
    operation.insert("operationId".to_owned(), name.into());
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, _, description) in refusals.into_iter().filter(|(_, follows, _)| *follows) {
        let body = json!({ "$ref": "#/components/schemas/ErrorBody" });
        let refusal =
            json!({ "description": description, "content": { "application/json": { "schema": body } } });
        responses.entry(status.to_string()).or_insert(refusal);
    }
}

/// What programs are told that are named in `[[webhooks]]`.
fn messages() -> Value {
    let told = |kind: EventKind, data: &str| {
        let name = serde_json::to_value(kind).unwrap_or_default();
        let body = json!({ "type": "object", "required": ["type", "timestamp", "data"], "properties": {
            "type": { "const": name },
            "timestamp": { "description": "When it happened.", "type": "string", "format": "date-time" },
            "data": { "description": data, "type": "object" },
        } });
        let message = json!({ "post": {
            "summary": data,
            "description": "Signed as the Standard Webhooks specification says: `webhook-id` (the same when it comes again), \
                `webhook-timestamp`, `webhook-signature`; `X-Sotto-Signature` is the same as the last. Any 2xx takes it.",
            "requestBody": { "content": { "application/json": { "schema": body } } },
            "responses": { "204": { "description": "Taken" } },
        } });
        (name.as_str().unwrap_or_default().to_owned(), message)
    };
    let said = |kind| match kind {
        EventKind::CallStarted | EventKind::CallEnded => "`call`, as in lists",
        EventKind::InsightReady => {
            "`call_id` and `insight`, without moods; again when a language model has written it"
        }
        EventKind::QualityReady => "`call_id` and `quality`",
        EventKind::CallNoted => "`call_id`, `lead_id` and `communication`, as on their timeline",
        EventKind::TaskProposed | EventKind::TaskAccepted => "`task`",
        EventKind::ContactChanged => "`lead_id` and `lead`, or `removed`",
        EventKind::StageSuggested => "`call_id`, `lead_id` and the `stage` that the call speaks for",
        EventKind::StageChanged => "`lead_id` and `stage`",
        EventKind::TicketChanged => "`ticket`",
        EventKind::PaymentChanged => "`payment`",
        EventKind::Alert => "`call_id` and `alert`, without words and moods",
        EventKind::Test => "nothing",
    };
    let kinds = EventKind::ALL.into_iter().chain([EventKind::Test]);
    Value::Object(kinds.map(|kind| told(kind, said(kind))).collect())
}

/// The shapes that crates below this one publish, in OpenAPI's place for shapes.
fn call_schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    generator.subschema_for::<sotto_call::CallEvent>();
    generator.subschema_for::<sotto_call::CallState>();
    generator.subschema_for::<sotto_call::Quality>();
    generator.subschema_for::<sotto_call::PromptAnswer>();
    generator.subschema_for::<sotto_call::PlaybookStep>();
    generator.subschema_for::<sotto_review::CallInsight>();
    generator.subschema_for::<sotto_review::Quality>();
    generator.subschema_for::<sotto_call::CardAnswer>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert(
        "Role".to_owned(),
        json!({ "description": "What a user is in the organisation.", "type": "string",
                "enum": Role::ALL }),
    );
    schemas.insert(
        "LastWords".to_owned(),
        json!({ "type": "object", "required": ["party", "text", "at_ms"], "properties": {
            "party": { "$ref": "#/components/schemas/Party" },
            "text": { "type": "string" },
            "at_ms": { "$ref": "#/components/schemas/Millis" },
        } }),
    );
    schemas.insert(
        "AtDesk".to_owned(),
        json!({ "type": "object", "required": ["name", "state", "since_ms"], "properties": {
            "name": { "type": "string" },
            "state": { "type": "string", "enum": ["away", "ready", "ringing", "talking", "wrap_up"] },
            "since_ms": { "description": "For how long.", "type": "integer" },
            "call_id": { "description": "The call they are on.", "type": "string" },
        } }),
    );
    schemas.insert(
        "InLine".to_owned(),
        json!({ "type": "object", "required": ["id", "from", "called", "since_ms"], "properties": {
            "id": { "description": "Tells this caller from the others.", "type": "integer" },
            "from": { "type": "object", "properties": {
                "aor": { "type": ["string", "null"] },
                "name": { "type": ["string", "null"] },
            } },
            "called": { "description": "The number called, or the agent's name.", "type": "string" },
            "since_ms": { "description": "For how long.", "type": "integer" },
            "rings_at": { "description": "The agent whom it rings at.", "type": "string" },
        } }),
    );
    schemas.insert(
        "Outcome".to_owned(),
        json!({ "type": "object", "required": ["outcome", "by", "at_unix_ms"], "properties": {
            "outcome": { "type": "string" },
            "by": { "description": "Who says so.", "type": "string" },
            "at_unix_ms": { "type": "integer" },
        } }),
    );
    schemas
}

fn described() -> &'static Value {
    static DESCRIBED: OnceLock<Value> = OnceLock::new();
    DESCRIBED.get_or_init(openapi)
}

/// JSON Schema of one event of a call's log.
fn event_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(sotto_call::CallEvent).to_value())
}

/// JSON Schema of what a call came to.
fn insight_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(sotto_review::CallInsight).to_value())
}

/// JSON Schema of how good a call was.
fn quality_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schemars::schema_for!(sotto_review::Quality).to_value())
}

async fn style() -> impl IntoResponse {
    const STYLE: &str = include_str!("docs.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

/// The description as a page that needs no script and nothing from elsewhere.
fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = write_page(&mut page, described());
        page
    })
}

fn write_page(page: &mut String, api: &Value) -> std::fmt::Result {
    let text = |value: &Value, key: &str| escape(value[key].as_str().unwrap_or_default());
    let info = &api["info"];
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Sotto: interface</title>\
         <link rel=\"stylesheet\" href=\"docs/style.css\"></head><body><main>\
         <h1>Sotto {}</h1><p>{}</p><p>For programs: <a href=\"openapi.json\">OpenAPI</a>, \
         <a href=\"schema/call-event.json\">JSON Schema of an event</a>, \
         <a href=\"schema/call-insight.json\">of an insight</a> and \
         <a href=\"schema/call-quality.json\">of a quality</a>.</p>",
        text(info, "version"),
        prose(info["description"].as_str().unwrap_or_default()),
    )?;
    for tag in api["tags"].as_array().into_iter().flatten() {
        write!(page, "<h2>{}</h2><p>{}</p>", text(tag, "name"), text(tag, "description"))?;
        let paths = api["paths"].as_object().into_iter().flatten();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag["name"] {
                    write_operation(page, path, method, operation)?;
                }
            }
        }
    }
    page.push_str("<h2>Shapes</h2>");
    for (name, schema) in api["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escape(name);
        let description = prose(schema["description"].as_str().unwrap_or_default());
        let json = escape(&serde_json::to_string_pretty(schema).unwrap_or_default());
        write!(
            page,
            "<details id=\"{name}\"><summary><code>{name}</code></summary><p>{description}</p>\
             <pre>{json}</pre></details>"
        )?;
    }
    page.push_str("</main></body></html>");
    Ok(())
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) -> std::fmt::Result {
    write!(
        page,
        "<section><h3><code>{} {}</code> {}</h3><p>{}</p>",
        method.to_uppercase(),
        escape(path),
        escape(operation["summary"].as_str().unwrap_or_default()),
        prose(operation["description"].as_str().unwrap_or_default()),
    )?;
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !parameters.is_empty() || !body.is_null() {
        page.push_str("<dl>");
        for parameter in parameters {
            write!(
                page,
                "<dt><code>{}</code> <small>{}</small></dt><dd>{}</dd>",
                escape(parameter["name"].as_str().unwrap_or_default()),
                escape(parameter["in"].as_str().unwrap_or_default()),
                prose(parameter["description"].as_str().unwrap_or_default()),
            )?;
        }
        if !body.is_null() {
            write!(page, "<dt>Body</dt><dd>{}</dd>", shape(body))?;
        }
        page.push_str("</dl>");
    }
    page.push_str("<table>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object().into_iter().flatten();
        let bodies: Vec<String> = content
            .map(|(kind, content)| format!("{} <small>{}</small>", shape(&content["schema"]), escape(kind)))
            .collect();
        write!(
            page,
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            escape(status),
            prose(response["description"].as_str().unwrap_or_default()),
            bodies.join(", "),
        )?;
    }
    page.push_str("</table></section>");
    Ok(())
}

/// The name of a shape, as a link to it.
fn shape(schema: &Value) -> String {
    match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => {
            let name = escape(name);
            format!("<a href=\"#{name}\"><code>{name}</code></a>")
        }
        None => escape(schema["type"].as_str().unwrap_or_default()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text whose `code` is marked with backticks.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_shape_has_a_body() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                        found.push(reference.to_owned());
                    }
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let api = openapi();
        let mut found = Vec::new();
        references(&api, &mut found);
        assert!(found.len() > 30);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(api.pointer(pointer).is_some(), "{reference}");
        }
        let utterance = &api["components"]["schemas"]["CallEvent"];
        assert!(
            utterance.to_string().contains("utterance_id") || utterance.to_string().contains("Utterance")
        );
        assert_eq!(api["components"]["schemas"]["Role"]["enum"][0], "agent");
    }

    #[test]
    fn an_operation_says_how_it_refuses_and_has_a_name_of_its_own() {
        let api = openapi();
        let statuses = |path: &str, method: &str| -> Vec<String> {
            let responses = api["paths"][path][method]["responses"].as_object().unwrap();
            responses.keys().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        };
        let change = ["200", "400", "401", "403", "404", "409", "413", "415", "422", "503"];
        assert_eq!(statuses("/api/leads/{id}", "put"), change);
        assert_eq!(statuses("/api/status", "get"), ["200", "401", "403", "503"]);
        assert_eq!(statuses("/healthz", "get"), ["200"]);
        let said = &api["paths"]["/api/leads/{id}"]["put"]["responses"]["404"]["description"];
        assert_eq!(said, "No such contact", "what is said of it stays");
        let test = &api["paths"]["/api/voip/test-connection"];
        assert!(test["get"].is_object() && test["post"].is_object());
        let mut names: Vec<&str> = Vec::new();
        for methods in api["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                names.push(operation["operationId"].as_str().unwrap());
            }
        }
        assert!(names.contains(&"get_leads_id_communication"), "{names:?}");
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "each has another name");
    }

    #[test]
    fn an_insight_has_the_fields_that_others_read_and_where_they_are_from() {
        let fields = &insight_schema()["properties"];
        for field in [
            "intent",
            "summary_bullets",
            "sentiment",
            "urgency",
            "entities",
            "next_actions",
            "lead_stage_suggestion",
            "confidence",
            "evidence",
        ] {
            assert!(fields[field].is_object(), "{field}");
        }
        assert_eq!(fields["summary_bullets"]["items"]["type"], "string");
        let shapes = &insight_schema()["$defs"];
        for field in ["name", "phone", "email", "course", "budget", "city"] {
            assert!(shapes["EntityFields"]["properties"][field].is_object(), "{field}");
        }
        for field in ["type", "when", "channel", "to", "citations"] {
            assert!(shapes["NextAction"]["properties"][field].is_object(), "{field}");
        }
        assert!(quality_schema()["properties"]["questions"].is_object());
    }

    #[test]
    fn the_page_shows_every_endpoint_and_lets_nothing_through() {
        let page = page();
        for path in openapi()["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&escape(path)), "{path}");
        }
        assert!(!page.contains("http://") && !page.contains("<script"));
        assert_eq!(prose("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
    }
}
