use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};
use sotto_server::hub::HubLimits;
use sotto_server::people;
use sotto_store::Role;

use crate::bench::{Bench, PASSWORD, body, by, get, post, refused, with_body};

fn credentials(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}

#[tokio::test]
async fn signing_in_and_out() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Supervisor).await;
    refused(bench.send(get("/api/session")).await, 401, "unauthenticated").await;
    // Nobody learns from the answer which names there are.
    let wrong = body(bench.send(post("/api/session", &credentials("mina", "wrong password"))).await).await;
    let unknown =
        body(bench.send(post("/api/session", &credentials("nobody", "wrong password"))).await).await;
    assert_eq!(wrong, unknown);
    assert_eq!(wrong["error"]["code"], "wrong_credentials");

    let response = bench.send(post("/api/session", &credentials(" Mina", PASSWORD))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert_eq!(body(response).await, json!({ "user": { "name": "mina", "role": "supervisor" } }));
    for part in ["sotto_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain HTTP could never send it back");
    let cookie = cookie.split(';').next().unwrap();
    let mine = body(bench.send(by(cookie, get("/api/session"))).await).await;
    assert_eq!(mine["user"]["name"], "mina");

    let out = bench.send(by(cookie, with_body("DELETE", "/api/session", &json!({})))).await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    assert!(out.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    refused(bench.send(by(cookie, get("/api/session"))).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn behind_https_the_cookie_is_secure() {
    let https = |settings: &mut sotto_server::http::HttpSettings| {
        settings.public_url = Some("https://calls.example".to_owned());
    };
    let bench = Bench::with(https, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    let mut request = post("/api/session", &credentials("mina", PASSWORD));
    request.headers_mut().insert(header::ORIGIN, "https://calls.example".parse().unwrap());
    request.headers_mut().insert(header::HOST, "inner:8080".parse().unwrap());
    let response = bench.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
    assert!(response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
}

#[tokio::test]
async fn sessions_end_with_time_and_without_use() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let hour = Duration::from_secs(3600);
    let cookie = bench.sign_in("mina").await;
    bench.wait(hour * 13);
    refused(bench.send(by(&cookie, get("/api/session"))).await, 401, "unauthenticated").await;

    let cookie = bench.sign_in("mina").await;
    for _ in 0..24 {
        bench.wait(hour * 7);
        let alive = bench.send(by(&cookie, get("/api/session"))).await.status();
        if alive == StatusCode::UNAUTHORIZED {
            break;
        }
        assert_eq!(alive, StatusCode::OK);
    }
    refused(bench.send(by(&cookie, get("/api/session"))).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn attempts_are_limited_per_name_and_place() {
    let proxied = |settings: &mut sotto_server::http::HttpSettings| {
        settings.trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
    };
    let bench = Bench::with(proxied, HubLimits::default()).await;
    bench.add_user("mina", Role::Agent).await;
    let attempt = async |password: &str, from: &str, forwarded: Option<&str>| {
        let mut request = post("/api/session", &credentials("mina", password));
        let from: SocketAddr = format!("{from}:1234").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        if let Some(forwarded) = forwarded {
            request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        bench.send(request).await
    };
    for _ in 0..6 {
        assert_eq!(attempt("wrong password", "192.0.2.1", None).await.status(), StatusCode::UNAUTHORIZED);
    }
    let response = attempt(PASSWORD, "192.0.2.1", None).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "30");
    refused(response, 429, "too_many_attempts").await;
    // Elsewhere the name still works; and nobody gets elsewhere by claiming to be forwarded.
    assert_eq!(attempt(PASSWORD, "192.0.2.2", None).await.status(), StatusCode::OK);
    refused(attempt(PASSWORD, "192.0.2.1", Some("192.0.2.3")).await, 429, "too_many_attempts").await;
    assert_eq!(attempt(PASSWORD, "10.0.0.1", Some("192.0.2.1, 192.0.2.4")).await.status(), StatusCode::OK);
    refused(attempt(PASSWORD, "10.0.0.1", Some("1.2.3.4, 192.0.2.1")).await, 429, "too_many_attempts").await;
    // Proxies that write the port as well, and what is no address at all.
    refused(attempt(PASSWORD, "10.0.0.1", Some("1.2.3.4, 192.0.2.1:555")).await, 429, "too_many_attempts")
        .await;
    assert_eq!(attempt(PASSWORD, "10.0.0.1", Some("192.0.2.1, unknown")).await.status(), StatusCode::OK);
    bench.wait(Duration::from_secs(30));
    assert_eq!(attempt(PASSWORD, "192.0.2.1", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn other_sites_cannot_use_the_cookie() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Admin).await;
    let cookie = bench.sign_in("mina").await;
    let from = |origin: &str| {
        let mut request = by(&cookie, with_body("DELETE", "/api/session", &json!({})));
        request.headers_mut().insert(header::HOST, "sotto.example:8080".parse().unwrap());
        request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        request
    };
    refused(bench.send(from("https://evil.example")).await, 403, "forbidden").await;
    refused(bench.send(from("null")).await, 403, "forbidden").await;
    let mut foreign = post("/api/session", &credentials("mina", PASSWORD));
    foreign.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
    refused(bench.send(foreign).await, 403, "forbidden").await;
    // A form of another site cannot send JSON.
    let mut form = by(&cookie, post("/api/users", &json!({})));
    form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    refused(bench.send(form).await, 415, "invalid_body").await;
    assert_eq!(bench.send(from("http://sotto.example:8080")).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn one_changes_ones_own_password() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let cookie = bench.sign_in("mina").await;
    let change = |old: &str, new: &str| {
        by(&cookie, with_body("PUT", "/api/session/password", &json!({ "old": old, "new": new })))
    };
    refused(bench.send(change("wrong password", "a new password")).await, 401, "wrong_credentials").await;
    refused(bench.send(change(PASSWORD, "short")).await, 400, "invalid").await;
    assert_eq!(bench.send(change(PASSWORD, "a new password")).await.status(), StatusCode::NO_CONTENT);
    refused(bench.send(by(&cookie, get("/api/session"))).await, 401, "unauthenticated").await;
    let old = bench.send(post("/api/session", &credentials("mina", PASSWORD))).await;
    refused(old, 401, "wrong_credentials").await;
    let new = bench.send(post("/api/session", &credentials("mina", "a new password"))).await;
    assert_eq!(new.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_admins_look_after_people() {
    let bench = Bench::new().await;
    bench.add_user("ada", Role::Admin).await;
    bench.add_user("bob", Role::Supervisor).await;
    let (ada, bob) = (bench.sign_in("ada").await, bench.sign_in("bob").await);
    for request in [
        get("/api/users"),
        post("/api/users", &json!({ "name": "eve", "role": "admin" })),
        with_body("PATCH", "/api/users/bob", &json!({ "role": "admin" })),
        get("/api/keys"),
        post("/api/keys", &json!({ "name": "x", "scopes": ["admin"] })),
        with_body("DELETE", "/api/keys/00000000-0000-0000-0000-000000000000", &json!({})),
    ] {
        refused(bench.send(by(&bob, request)).await, 403, "forbidden").await;
    }
    let made = bench.send(by(&ada, post("/api/users", &json!({ "name": "Eve", "role": "agent" })))).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = body(made).await;
    let password = made["password"].as_str().unwrap();
    assert_eq!(made["user"]["name"], "eve");
    let eve = bench.send(post("/api/session", &credentials("eve", password))).await;
    assert_eq!(eve.status(), StatusCode::OK);
    let eve = eve.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(bench.send(by(&eve, get("/api/calls"))).await.status(), StatusCode::OK);

    let taken = bench.send(by(&ada, post("/api/users", &json!({ "name": "EVE", "role": "agent" })))).await;
    refused(taken, 409, "name_taken").await;
    let nameless = bench.send(by(&ada, post("/api/users", &json!({ "name": " ", "role": "agent" })))).await;
    refused(nameless, 400, "invalid").await;
    let users = body(bench.send(by(&ada, get("/api/users"))).await).await;
    assert_eq!(users["users"].as_array().unwrap().len(), 3);
    assert!(!users.to_string().contains("argon2"));

    let out = with_body("PATCH", "/api/users/eve", &json!({ "disabled": true }));
    assert_eq!(bench.send(by(&ada, out)).await.status(), StatusCode::OK);
    refused(bench.send(by(&eve, get("/api/calls"))).await, 401, "unauthenticated").await;
    refused(bench.send(post("/api/session", &credentials("eve", password))).await, 401, "wrong_credentials")
        .await;
    let last = with_body("PATCH", "/api/users/ada", &json!({ "role": "agent" }));
    refused(bench.send(by(&ada, last)).await, 409, "last_admin").await;
    let nobody = with_body("PATCH", "/api/users/nobody", &json!({ "disabled": true }));
    refused(bench.send(by(&ada, nobody)).await, 404, "not_found").await;
    let reset = with_body("PATCH", "/api/users/bob", &json!({ "reset_password": true }));
    assert!(body(bench.send(by(&ada, reset)).await).await["password"].is_string());
    refused(bench.send(by(&bob, get("/api/calls"))).await, 401, "unauthenticated").await;
}

#[tokio::test]
async fn keys_do_what_their_scopes_say_until_they_are_revoked() {
    let bench = Bench::new().await;
    bench.add_user("ada", Role::Admin).await;
    let ada = bench.sign_in("ada").await;
    let made = bench
        .send(by(&ada, post("/api/keys", &json!({ "name": "wallboard", "scopes": ["calls:read"] }))))
        .await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = body(made).await;
    let key = made["secret"].as_str().unwrap();
    assert!(key.starts_with(people::KEY_PREFIX));
    assert_eq!(bench.send(by(key, get("/api/calls"))).await.status(), StatusCode::OK);
    refused(bench.send(by(key, get("/api/users"))).await, 403, "forbidden").await;
    refused(bench.send(by(key, get("/api/session"))).await, 403, "forbidden").await;
    let listed = body(bench.send(by(&ada, get("/api/keys"))).await).await;
    assert!(listed["keys"][0]["used_at_unix_ms"].is_u64());
    assert!(!listed.to_string().contains(key));
    let scope = bench.send(by(&ada, post("/api/keys", &json!({ "name": "x", "scopes": ["all"] })))).await;
    refused(scope, 400, "invalid").await;

    let path = format!("/api/keys/{}", made["key"]["id"].as_str().unwrap());
    let revoked = bench.send(by(&ada, with_body("DELETE", &path, &json!({})))).await;
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    refused(bench.send(by(key, get("/api/calls"))).await, 401, "unauthenticated").await;
    for wrong in ["sotto_", "sotto_0000", "bearer", &"x".repeat(5000)] {
        refused(bench.send(by(wrong, get("/api/calls"))).await, 401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn nobody_is_signed_out_because_the_database_is_away() {
    let bench = Bench::new().await;
    for (name, role) in [("mina", Role::Agent), ("omid", Role::Agent), ("admin", Role::Admin)] {
        bench.add_user(name, role).await;
    }
    let (mina, omid) = (bench.sign_in("mina").await, bench.sign_in("omid").await);
    let admin = bench.sign_in("admin").await;
    let mine = async |who: &str| bench.send(by(who, get("/api/session"))).await;
    for who in [&mina, &omid, &admin] {
        assert_eq!(mine(who).await.status(), StatusCode::OK);
    }
    // Who is kept out is not remembered as one who is let in.
    let keep_out = with_body("PATCH", "/api/users/omid", &json!({ "disabled": true }));
    assert_eq!(bench.send(by(&admin, keep_out)).await.status(), StatusCode::OK);
    assert_eq!(mine(&mina).await.status(), StatusCode::OK);

    bench.store.close().await;
    assert_eq!(body(mine(&mina).await).await["user"]["name"], "mina");
    let status = body(bench.send(by(&mina, get("/api/status"))).await).await;
    assert_eq!(status["degraded"]["store"], "the database does not answer");
    refused(mine(&omid).await, 503, "store").await;
    refused(mine(&format!("sotto_session={}", "0".repeat(64))).await, 503, "store").await;
    // Who signs out is not remembered either.
    let out = axum::http::Request::delete("/api/session").body(axum::body::Body::empty()).unwrap();
    refused(bench.send(by(&mina, out)).await, 503, "store").await;
    refused(mine(&mina).await, 503, "store").await;
}

#[tokio::test]
async fn nobody_is_remembered_for_ever() {
    let bench = Bench::new().await;
    bench.add_user("mina", Role::Agent).await;
    let mina = bench.sign_in("mina").await;
    let mine = async || bench.send(by(&mina, get("/api/session"))).await;
    assert_eq!(mine().await.status(), StatusCode::OK);
    bench.store.close().await;
    bench.wait(Duration::from_secs(3_500));
    assert_eq!(mine().await.status(), StatusCode::OK);
    bench.wait(Duration::from_secs(200));
    refused(mine().await, 503, "store").await;
}
