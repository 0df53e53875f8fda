//! What contacts owe, have paid or were paid back.

use axum::http::header;
use serde_json::{Value, json};
use sotto_call::CallId;

use crate::bench::{body, by, bytes, get, post, refused, with_body};
use crate::contacts::{bench, made, noted, table};

#[tokio::test]
async fn a_payment_is_due_paid_and_paid_back() {
    let (bench, mina, _) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let of_lead = format!("/api/leads/{}/payments", lead["id"].as_str().unwrap());
    let new = json!({ "amount": "۲۵۰٬۰۰۰", "currency": "تومان", "about": " Panel ", "reference": "A-1", "due_at_unix_ms": 9_000 });
    let payment = made(bench.send(by(&mina, post(&of_lead, &new))).await).await;
    assert_eq!(
        [
            &payment["state"],
            &payment["amount"],
            &payment["currency"],
            &payment["about"],
            &payment["lead_name"]
        ],
        ["due", "2500000", "IRR", "Panel", "Sara"]
    );
    assert_eq!((&payment["amount_minor"], payment.get("paid_at_unix_ms")), (&json!(2_500_000), None));
    let id = payment["id"].as_str().unwrap();
    let path = format!("/api/payments/{id}");
    assert_eq!(body(bench.send(by(&mina, get(&path))).await).await, payment);
    assert_eq!(body(bench.send(by(&mina, get(&of_lead))).await).await, json!({ "payments": [payment] }));
    let found = async |query: &str| {
        let list = body(bench.send(by(&mina, get(&format!("/api/payments?{query}")))).await).await;
        list["payments"].as_array().unwrap().len()
    };
    for query in ["", "q=PANEL", "q=a-1", "state=due", "limit=1"] {
        assert_eq!(found(query).await, 1, "{query}");
    }
    for query in ["q=course", "state=paid"] {
        assert_eq!(found(query).await, 0, "{query}");
    }
    let becomes = |version: u32, state: &str| json!({ "version": version, "state": state, "amount": "1250.5", "currency": "eur" });
    let put = async |now: &Value| bench.send(by(&mina, with_body("PUT", &path, now))).await;
    refused(put(&becomes(1, "refunded")).await, 409, "not_possible").await;
    let paid = body(put(&becomes(1, "paid")).await).await;
    assert_eq!((&paid["amount"], &paid["currency"]), (&json!("1250.50"), &json!("EUR")));
    assert!(paid["paid_at_unix_ms"].is_u64(), "{paid}");
    assert_eq!(
        (paid.get("reference"), paid.get("due_at_unix_ms")),
        (None, None),
        "what is absent is no more"
    );
    refused(put(&becomes(1, "paid")).await, 409, "changed_meanwhile").await;
    refused(put(&becomes(2, "cancelled")).await, 409, "not_possible").await;
    let back = body(put(&becomes(2, "refunded")).await).await;
    assert_eq!((&back["state"], &back["paid_at_unix_ms"]), (&json!("refunded"), &paid["paid_at_unix_ms"]));
    let told: Vec<String> = noted(&bench, 4).await.into_iter().map(|(_, _, detail)| detail).collect();
    let of = lead["id"].as_str().unwrap();
    assert_eq!(told[..3], ["refunded", "paid", "due"].map(|state| format!("payment {id} of {of}: {state}")));
}

#[tokio::test]
async fn a_payment_that_cannot_be_kept_is_refused() {
    let (bench, mina, _) = bench().await;
    let lead = made(bench.send(by(&mina, post("/api/leads", &json!({ "name": "Sara" })))).await).await;
    let of_lead = format!("/api/leads/{}/payments", lead["id"].as_str().unwrap());
    for wrong in [
        json!({ "amount": "0", "currency": "EUR" }),
        json!({ "amount": "1.005", "currency": "EUR" }),
        json!({ "amount": "5", "currency": "coins" }),
        json!({ "amount": "5", "currency": "EUR", "about": "x".repeat(501) }),
        json!({ "amount": "5", "currency": "EUR", "due_at_unix_ms": u64::MAX }),
    ] {
        refused(bench.send(by(&mina, post(&of_lead, &wrong))).await, 400, "invalid").await;
    }
    let payment = json!({ "amount": "5", "currency": "EUR", "reference": "A-1" });
    let first = made(bench.send(by(&mina, post(&of_lead, &payment))).await).await;
    refused(bench.send(by(&mina, post(&of_lead, &payment))).await, 409, "reference_taken").await;
    let payment = json!({ "amount": "5", "currency": "EUR" });
    let other = made(bench.send(by(&mina, post(&of_lead, &payment))).await).await;
    let now = json!({ "version": 1, "state": "due", "amount": "5", "currency": "EUR", "reference": "A-1" });
    let path = |payment: &Value| format!("/api/payments/{}", payment["id"].as_str().unwrap());
    refused(bench.send(by(&mina, with_body("PUT", &path(&other), &now))).await, 409, "reference_taken").await;
    assert_eq!(body(bench.send(by(&mina, with_body("PUT", &path(&first), &now))).await).await["version"], 2);
    let nobodys = format!("/api/leads/{}/payments", CallId::new());
    refused(bench.send(by(&mina, post(&nobodys, &payment))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, get(&nobodys))).await, 404, "not_found").await;
    let none = format!("/api/payments/{}", CallId::new());
    refused(bench.send(by(&mina, get(&none))).await, 404, "not_found").await;
    refused(bench.send(by(&mina, with_body("PUT", &none, &now))).await, 404, "not_found").await;
    for wrong in ["state=gone", "before=x", &format!("q={}", "x".repeat(201))] {
        refused(bench.send(by(&mina, get(&format!("/api/payments?{wrong}")))).await, 400, "invalid").await;
    }
}

#[tokio::test]
async fn payments_come_as_a_table_and_what_is_wrong_is_told_by_line() {
    let (bench, mina, sara) = bench().await;
    let new = json!({ "name": "Omid", "phones": ["09351234567"] });
    let omid = made(bench.send(by(&mina, post("/api/leads", &new))).await).await;
    let id = omid["id"].as_str().unwrap();
    let import =
        async |text: &str| body(bench.send(by(&sara, table("/api/payments/import", text))).await).await;
    let wrong = import(&format!(
        "lead_id,phone,amount,currency\n{id},,5,EUR\n,09121234567,5,EUR\n{},,5,EUR\n",
        CallId::new()
    ))
    .await;
    let lines: Vec<&Value> = wrong["problems"].as_array().unwrap().iter().map(|one| &one["line"]).collect();
    assert_eq!((&wrong["added"], lines.as_slice()), (&json!(0), &[&json!(3), &json!(4)][..]), "{wrong}");
    assert_eq!(import("phone\n").await["problems"][0]["line"], 1);
    let list = body(bench.send(by(&mina, get("/api/payments"))).await).await;
    assert_eq!(list["payments"], json!([]), "none of them");
    let text = "تلفن;مبلغ;واحد;شماره پیگیری;تاریخ\n۰۹۳۵۱۲۳۴۵۶۷;۲۵۰٬۰۰۰;تومان;=A;۱۴۰۵/۰۹/۱۰\n";
    assert_eq!(import(text).await, json!({ "added": 1, "problems": [] }));
    let again = import(text).await;
    assert_eq!(
        (&again["added"], &again["problems"][0]["line"]),
        (&json!(0), &json!(2)),
        "it is there already"
    );
    let out = bench.send(by(&sara, get("/api/payments/export"))).await;
    assert_eq!(out.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let text = String::from_utf8(bytes(out).await).unwrap();
    let expected = format!(
        "\u{feff}lead_id,phone,amount,currency,state,about,reference,due,paid\r\n\
         {id},'+989351234567,2500000,IRR,paid,,'=A,,2026-12-01T00:00\r\n"
    );
    assert_eq!(text, expected);
    let large = "x".repeat((4 << 20) + 1);
    refused(bench.send(by(&sara, table("/api/payments/import", &large))).await, 413, "too_large").await;
    let told: Vec<String> = noted(&bench, 3).await.into_iter().map(|(_, _, detail)| detail).collect();
    assert_eq!(told[..2], ["exported all payments".to_owned(), "imported 1 payments".to_owned()]);
}
