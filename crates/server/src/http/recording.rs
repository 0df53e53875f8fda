//! A call's recording, whole or in ranges (RFC 9110, section 14), also while it is still being written.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Component, Path as FilePath, PathBuf};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use sotto_call::CallId;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::{Action, Identity};
use super::error::{ApiError, ErrorBody, Path, Query};
use crate::calls::supervisors_track;

/// Bytes read from the file at once.
const CHUNK: usize = 64 << 10;

/// Which recording of a call.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordingParams {
    /// `parties` when absent.
    #[serde(default)]
    #[param(inline)]
    track: Track,
}

/// What is on a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Track {
    /// Agent left and customer right.
    #[default]
    Parties,
    /// What supervisors said, to the agent alone or to both. On the same clock: it begins when the call does.
    Supervisors,
}

/// A call's recording
///
/// Two channels, agent left and customer right. Of a live call: what there is so far. Agents hear calls of their own, those that
/// they have handed over included, and voice notes; reviewers those of their team that are over. What supervisors said is a track of its own, for
/// supervisors, admins, and keys with the scope admin.
#[utoipa::path(get, path = "/api/calls/{id}/recording", tag = "Calls", params(
    ("id" = String, Path), RecordingParams,
    ("Range" = Option<String>, Header, description = "One range of bytes"),
), responses(
    (status = 200, description = "All of it", content_type = "audio/wav"),
    (status = 206, description = "The range asked for", content_type = "audio/wav"),
    (status = 403, description = "Not yours to hear", body = ErrorBody),
    (status = 404, description = "No such call, or it was not recorded", body = ErrorBody),
    (status = 416, description = "The range begins after the end", body = ErrorBody),
))]
pub(super) async fn recording(
    State(app): State<App>,
    identity: Identity,
    Path(id): Path<CallId>,
    Query(RecordingParams { track }): Query<RecordingParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let action = match track {
        Track::Parties => Action::HearCall(id),
        Track::Supervisors => Action::HearSupervisors(id),
    };
    app.allows(&identity, action).await?;
    let none = || ApiError::not_found("recording");
    let row = app.store().call(id).await?.ok_or_else(none)?;
    let path = row.recording.as_deref().and_then(|name| file_of(&app, name, track)).ok_or_else(none)?;
    let mut file = File::open(&path).await.map_err(|error| {
        // Most calls have no supervisor.
        if track == Track::Parties {
            tracing::warn!(call = %id, path = %path.display(), %error, "the recording cannot be read");
        }
        none()
    })?;
    let length = file.metadata().await.map_err(|_| none())?.len();

    // A recording that still grows is another file at every look; one that is done has a name of its own.
    let tag = row.ended.map(|_| format!("\"{id}-{length}\""));
    let wanted = match range_of(&headers, tag.as_deref(), length) {
        Wanted::All => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => {
            let message = format!("the recording has {length} bytes");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", message);
            let headers = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((headers, error).into_response());
        }
    };
    let (status, range) = match wanted {
        None => (StatusCode::OK, 0..length),
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start)).await.map_err(|_| none())?;
    }
    // The length is promised in the header: what is written meanwhile is for the next request.
    let bytes = file.take(range.end - range.start);
    let body = Body::from_stream(futures::stream::try_unfold(bytes, async |mut bytes| {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut bytes).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok::<_, std::io::Error>((!chunk.is_empty()).then_some((Bytes::from(chunk), bytes)))
    }));
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("flac") => "audio/flac",
        _ => "audio/wav",
    };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    if let Some(tag) = tag {
        set(header::ETAG, tag);
        set(header::CACHE_CONTROL, "private, max-age=3600".to_owned());
    }
    Ok(response)
}

/// Whether there is something that supervisors said in a call with this recording.
pub(super) async fn has_supervisors(app: &App, recording: &str) -> bool {
    match file_of(app, recording, Track::Supervisors) {
        Some(path) => tokio::fs::try_exists(path).await.unwrap_or(false),
        None => false,
    }
}

fn file_of(app: &App, recording: &str, track: Track) -> Option<PathBuf> {
    let data = &app.settings().data;
    match track {
        Track::Parties => below(data, recording),
        Track::Supervisors => below(data, &supervisors_track(recording)?),
    }
}

/// The file called `name` below `folder`, unless the name leads out of it.
fn below(folder: &FilePath, name: &str) -> Option<PathBuf> {
    let name = FilePath::new(name);
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && name.components().next().is_some()).then(|| folder.join(name))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// What a request wants of a file of `length` bytes. Headers that make no sense are passed over, as are several
/// ranges at once.
fn range_of(headers: &HeaderMap, tag: Option<&str>, length: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(condition) = text(header::IF_RANGE)
        && Some(condition) != tag
    {
        return Wanted::All;
    }
    let spec = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes=")).map(str::trim);
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else { return Wanted::All };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than a number holds is beyond the end of every file.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            None => Wanted::All,
            Some(0) => Wanted::Nothing,
            Some(_) if length == 0 => Wanted::Nothing,
            Some(count) => Wanted::Part(length.saturating_sub(count)..length),
        },
        (first, last) => {
            let Some(first) = number(first) else { return Wanted::All };
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match last {
                None => Wanted::All,
                Some(last) if last < first => Wanted::All,
                Some(_) if first >= length => Wanted::Nothing,
                Some(last) => Wanted::Part(first..last.saturating_add(1).min(length)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(range: &str, length: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_bytes(range.as_bytes()).unwrap());
        range_of(&headers, None, length)
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=900-", Wanted::Part(900..1000)),
            ("bytes=-100", Wanted::Part(900..1000)),
            ("bytes=-5000", Wanted::Part(0..1000)),
            ("bytes=990-5000", Wanted::Part(990..1000)),
            ("bytes=0-18446744073709551616", Wanted::Part(0..1000)),
            ("bytes=1000-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=--5", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=", Wanted::All),
            ("items=0-5", Wanted::All),
        ] {
            assert_eq!(wanted(range, 1000), expected, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-5", 0), Wanted::Nothing);
    }

    #[test]
    fn a_range_of_another_file_is_not_wanted() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-9"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"a\""));
        assert_eq!(range_of(&headers, Some("\"a\""), 100), Wanted::Part(0..10));
        assert_eq!(range_of(&headers, Some("\"b\""), 100), Wanted::All);
        assert_eq!(range_of(&headers, None, 100), Wanted::All);
    }

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let folder = FilePath::new("/data");
        assert_eq!(below(folder, "recordings/a.wav"), Some(PathBuf::from("/data/recordings/a.wav")));
        for name in ["", "/etc/passwd", "../a", "a/../../b", "./a", "recordings/.."] {
            assert_eq!(below(folder, name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_lies_within_the_file(range in "(bytes=)?[-0-9,a ]{0,30}", length in 0_u64..5000) {
            if let Wanted::Part(part) = wanted(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
