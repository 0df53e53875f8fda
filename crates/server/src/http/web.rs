//! The web page, built into the binary.

use std::borrow::Cow;

use axum::Router;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;
use tower_http::compression::CompressionLayer;

use super::App;
use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Page;

/// Files whose name changes with their content: kept for a year.
const HASHED: &str = "assets/";

pub(super) fn routes() -> Router<App> {
    // Only here: a compressed recording cannot be sought in, and events must not wait for a full buffer.
    Router::new().fallback(file).layer(CompressionLayer::new().gzip(true))
}

async fn file(method: Method, uri: Uri) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        let message = "pages can only be read";
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Page::get(path) {
        return found(path, file.data);
    }
    let looks_like_a_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    if looks_like_a_file {
        return ApiError::not_found("file").into_response();
    }
    // Whatever else there is, the page's own script knows.
    match Page::get("index.html") {
        Some(file) => found("index.html", file.data),
        None => (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response(),
    }
}

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sotto</title>\
    <p>Sotto runs, but this binary was built without its web page. Build the page \
    (<code>npm ci &amp;&amp; npm run build</code> in <code>web</code>), then the binary again. The interface \
    for programs is described <a href=\"/api/docs\">here</a>.</p></html>";

fn found(path: &str, content: Cow<'static, [u8]>) -> Response {
    let kept = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, kept)], content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_named_after_their_content_are_kept() {
        let headers = |path| found(path, Cow::Borrowed(b"x")).headers().clone();
        let script = headers("assets/index-abc.js");
        assert!(script[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(script[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers("index.html")[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers("assets/face.woff2")[header::CONTENT_TYPE], "font/woff2");
    }
}
