use axum::http::{StatusCode, header};

use sotto_store::Role;

use crate::bench::{Bench, body, by, bytes, get, hangup, refused};

#[tokio::test]
async fn recordings_are_played_from_anywhere_also_while_they_grow() {
    let bench = Bench::new().await;
    let key = bench.key(&["recordings:read"]).await;
    let audio: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let file = bench.folder.path().join("a.wav");
    std::fs::write(&file, &audio[..100_000]).unwrap();
    let call = bench.begin_recorded("a", Some("a.wav"));
    bench.hub.writer().flush().await;
    let path = format!("/api/calls/{}/recording", call.id());
    let part = async |range: &str| {
        let mut request = by(&key, get(&path));
        if !range.is_empty() {
            request.headers_mut().insert(header::RANGE, range.parse().unwrap());
        }
        bench.send(request).await
    };
    let response = part("").await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(
        (&headers[header::CONTENT_TYPE], &headers[header::CONTENT_LENGTH]),
        (&"audio/wav".parse().unwrap(), &"100000".parse().unwrap())
    );
    assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store", "it still grows");
    assert_eq!(bytes(response).await, audio[..100_000]);

    std::fs::write(&file, &audio).unwrap();
    let response = part("bytes=150000-").await;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 150000-199999/200000");
    assert_eq!(bytes(response).await, audio[150_000..]);

    call.end(hangup()).await.unwrap();
    let response = part("bytes=10-19").await;
    let tag = response.headers()[header::ETAG].clone();
    assert_eq!(bytes(response).await, audio[10..20]);
    let mut request = by(&key, get(&path));
    request.headers_mut().insert(header::RANGE, "bytes=10-19".parse().unwrap());
    request.headers_mut().insert(header::IF_RANGE, tag);
    assert_eq!(bench.send(request).await.status(), StatusCode::PARTIAL_CONTENT);
    let response = part("bytes=200000-").await;
    assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes */200000");
    refused(response, 416, "range").await;
    let response = part("bytes=-1").await;
    assert_eq!(bytes(response).await, audio[199_999..]);
}

#[tokio::test]
async fn what_is_no_recording_is_not_found() {
    let bench = Bench::new().await;
    let key = bench.key(&["recordings:read"]).await;
    std::fs::write(bench.folder.path().join("../outside.wav"), "secret").unwrap();
    let outside = bench.folder.path().join("../outside.wav");
    let absolute = outside.to_str().unwrap().to_owned();
    let names = [None, Some("missing.wav"), Some("../outside.wav"), Some(absolute.as_str()), Some("")];
    for name in names {
        let call = bench.begin_recorded("a", name);
        bench.hub.writer().flush().await;
        let path = format!("/api/calls/{}/recording", call.id());
        refused(bench.send(by(&key, get(&path))).await, 404, "not_found").await;
    }
    std::fs::remove_file(outside).unwrap();
    let reader = bench.key(&["calls:read"]).await;
    let path = format!("/api/calls/{}/recording", bench.begin("b").id());
    refused(bench.send(by(&reader, get(&path))).await, 403, "forbidden").await;
}

#[tokio::test]
async fn what_supervisors_said_is_for_supervisors() {
    let bench = Bench::new().await;
    for (name, role) in [("mina", Role::Agent), ("sara", Role::Supervisor)] {
        bench.add_user(name, role).await;
    }
    let (mina, sara) = (bench.sign_in("mina").await, bench.sign_in("sara").await);
    let call = bench.begin_recorded("a", Some("a.wav"));
    bench.hub.writer().flush().await;
    let detail = format!("/api/calls/{}", call.id());
    let track = format!("{detail}/recording?track=supervisors");
    let is_there =
        async |who: &str| body(bench.send(by(who, get(&detail))).await).await["supervisors_recorded"].clone();
    // Most calls have none.
    refused(bench.send(by(&sara, get(&track))).await, 404, "not_found").await;
    assert_eq!(is_there(&sara).await, false);

    std::fs::write(bench.folder.path().join("a.supervisors.wav"), "whispered").unwrap();
    let mut request = by(&sara, get(&track));
    request.headers_mut().insert(header::RANGE, "bytes=2-4".parse().unwrap());
    let response = bench.send(request).await;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(bytes(response).await, b"isp");
    assert_eq!((is_there(&sara).await, is_there(&mina).await), (true.into(), false.into()));
    refused(bench.send(by(&mina, get(&track))).await, 403, "forbidden").await;
    let key = bench.key(&["calls:read", "recordings:read"]).await;
    refused(bench.send(by(&key, get(&track))).await, 403, "forbidden").await;
    let unknown = format!("{detail}/recording?track=everyone");
    refused(bench.send(by(&sara, get(&unknown))).await, 400, "invalid").await;
}
