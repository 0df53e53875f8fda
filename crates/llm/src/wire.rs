//! OpenAI's chat completions as they go over the wire: the request, and the answer in one piece or as server-sent events.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{LlmError, Schema, Sendable};

/// Somebody's part of the conversation.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub role: &'static str,
    pub text: Sendable,
}

/// How a server is asked to see to the form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// By the schema (`response_format: json_schema`): it can say nothing else.
    Schema,
    /// That it is JSON (`json_object`); the schema is in the prompt.
    Object,
    /// Not at all; the schema is in the prompt.
    Prompt,
}

impl Form {
    /// What a server may know that does not know this.
    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::Schema => Some(Self::Object),
            Self::Object => Some(Self::Prompt),
            Self::Prompt => None,
        }
    }
}

/// What is asked of a server.
pub(crate) struct Request<'a> {
    pub model: &'a str,
    pub messages: &'a [Message],
    pub form: Option<(Form, &'a Schema)>,
    pub most_tokens: u32,
    /// Whether to ask for what it cost.
    pub wants_usage: bool,
}

impl Request<'_> {
    pub fn body(&self) -> Value {
        let messages = self.messages.iter();
        let messages: Vec<Value> =
            messages.map(|one| json!({ "role": one.role, "content": one.text.as_str() })).collect();
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": self.most_tokens,
            // The same question has the same answer, as far as a server can promise that.
            "temperature": 0,
            "stream": true,
        });
        if self.wants_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
        match self.form {
            Some((Form::Schema, schema)) => {
                let schema = json!({ "name": schema.name(), "strict": true, "schema": schema.value() });
                body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
            }
            Some((Form::Object, _)) => body["response_format"] = json!({ "type": "json_object" }),
            Some((Form::Prompt, _)) | None => {}
        }
        body
    }
}

/// An answer, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<UsageSaid>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Said>,
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct UsageSaid {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
}

/// What has come of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub text: String,
    pub model: String,
    pub usage: Option<UsageSaid>,
    /// The model has come to its end, or to the most tokens that it may say.
    pub is_complete: bool,
}

/// Bytes of an answer's text.
pub(crate) const MAX_TEXT: usize = 64 << 10;
/// Characters of a model's name that are kept.
const MAX_NAME: usize = 200;

impl Collected {
    /// Takes in a piece, as JSON, and gives what is new of the text.
    pub fn take(&mut self, json: &[u8]) -> Result<&str, LlmError> {
        let chunk: Chunk =
            serde_json::from_slice(json).map_err(|error| LlmError::Garbage(error.to_string()))?;
        if let Some(error) = chunk.error {
            return Err(LlmError::Garbage(error.to_string().chars().take(MAX_NAME).collect()));
        }
        let before = self.text.len();
        if let Some(model) = chunk.model {
            self.model = model.chars().take(MAX_NAME).collect();
        }
        self.usage = chunk.usage.or(self.usage);
        if let Some(choice) = chunk.choices.and_then(|choices| choices.into_iter().next()) {
            self.is_complete |= choice.finish_reason.is_some();
            if let Some(content) = choice.delta.or(choice.message).and_then(|said| said.content) {
                if before + content.len() > MAX_TEXT {
                    return Err(LlmError::TooLong);
                }
                self.text.push_str(&content);
            }
        }
        Ok(self.text.get(before..).unwrap_or_default())
    }
}

/// Server-sent events, as far as this interface has them: one line `data: …` each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A piece of the answer, as JSON.
    Data(Vec<u8>),
    /// That was all.
    Done,
}

impl Lines {
    /// Takes in bytes and gives the lines that are complete with them. Whoever calls limits the bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                lines.extend(line(&std::mem::take(&mut self.rest)));
            } else {
                self.rest.push(*byte);
            }
        }
        lines
    }

    /// What stands behind the last line's end.
    pub fn finish(self) -> Option<Line> {
        line(&self.rest)
    }
}

fn line(bytes: &[u8]) -> Option<Line> {
    let data = bytes.strip_prefix(b"data:")?.trim_ascii();
    match data {
        b"" => None,
        b"[DONE]" => Some(Line::Done),
        data => Some(Line::Data(data.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "\
        : ping\r\n\r\ndata: {\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\r\n\r\n\
        event: x\ndata:{\"choices\":[{\"delta\":{\"content\":\"سلا\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"م\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]";

    fn collect(pieces: &[&[u8]]) -> (Collected, bool) {
        let (mut lines, mut collected, mut done) = (Lines::default(), Collected::default(), false);
        let mut all: Vec<Line> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
        all.extend(lines.finish());
        for line in all {
            match line {
                Line::Data(json) => _ = collected.take(&json).unwrap(),
                Line::Done => done = true,
            }
        }
        (collected, done)
    }

    #[test]
    fn an_answer_in_one_piece_is_read_too() {
        let mut whole = Collected::default();
        let said = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"length"}],"usage":null}"#;
        assert_eq!(whole.take(said).unwrap(), "hi");
        assert!(whole.is_complete && whole.usage.is_none());
        assert!(matches!(whole.take(br#"{"error":{"message":"no"}}"#), Err(LlmError::Garbage(_))));
        assert!(matches!(whole.take(b"<html>"), Err(LlmError::Garbage(_))));
        let long = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "a".repeat(MAX_TEXT));
        assert!(matches!(whole.take(long.as_bytes()), Err(LlmError::TooLong)));
    }

    #[test]
    fn the_form_is_asked_for_in_three_ways() {
        let schema = Schema::new("word", json!({ "type": "object" })).unwrap();
        let messages = [Message { role: "user", text: Sendable::ours("hi") }];
        let body = |form| {
            let request = Request {
                model: "m",
                messages: &messages,
                form: Some((form, &schema)),
                most_tokens: 5,
                wants_usage: false,
            };
            request.body()["response_format"]["type"].clone()
        };
        let forms = [Form::Schema, Form::Object, Form::Prompt].map(body);
        assert_eq!(forms, [json!("json_schema"), json!("json_object"), Value::Null]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_a_stream_is_cut(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..20)) {
            cuts.sort_unstable();
            cuts.push(STREAM.len());
            let mut begin = 0;
            let mut pieces: Vec<&[u8]> = Vec::new();
            for cut in cuts {
                pieces.push(&STREAM.as_bytes()[begin..cut]);
                begin = cut;
            }
            let (collected, done) = collect(&pieces);
            prop_assert_eq!(collected.text, "سلام");
            prop_assert_eq!(collected.model, "m");
            prop_assert_eq!(collected.usage.map(|usage| usage.prompt_tokens), Some(7));
            prop_assert!(collected.is_complete && done);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut lines = Lines::default();
            let mut all = lines.push(&bytes);
            all.extend(lines.finish());
            let mut collected = Collected::default();
            for line in all {
                if let Line::Data(json) = line {
                    let _ = collected.take(&json);
                }
            }
            let _ = collected.take(&bytes);
        }
    }
}
