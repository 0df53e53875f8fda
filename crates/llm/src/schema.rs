//! The form of an answer: found in what a model says, and checked.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::LlmError;

/// Problems that are told.
const PROBLEMS: usize = 5;
/// Characters of each.
const CHARACTERS: usize = 200;

/// A JSON Schema with a name.
#[derive(Debug)]
pub struct Schema {
    name: &'static str,
    value: Value,
    validator: jsonschema::Validator,
}

/// What is wrong with an answer, without its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    fn one(problem: impl fmt::Display) -> Self {
        Self(vec![limited(&problem.to_string())])
    }

    /// One line each.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Schema {
    /// Takes a JSON Schema. Servers that see to it want all `properties` to be `required`, and no
    /// `additionalProperties`.
    ///
    /// # Errors
    /// [`LlmError::Settings`] when it is none.
    pub fn new(name: &'static str, value: Value) -> Result<Self, LlmError> {
        let validator = jsonschema::validator_for(&value)
            .map_err(|error| LlmError::Settings(format!("the schema {name}: {error}")))?;
        Ok(Self { name, value, validator })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The schema itself.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value that a model's answer is: all of it, or what stands in a fenced block or between the first and the last
    /// brace, behind what it has thought.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<T: DeserializeOwned>(&self, answer: &str) -> Result<T, Problems> {
        let value = find(answer).ok_or_else(|| Problems::one("there is no complete JSON object in it"))?;
        let problems: Vec<String> = (self.validator.iter_errors(&value).take(PROBLEMS))
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { place.as_str() };
                limited(&format!("{place}: {}", error.masked()))
            })
            .collect();
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        serde_json::from_value(value).map_err(|_| Problems::one("a value is of another type"))
    }
}

fn limited(text: &str) -> String {
    text.chars().take(CHARACTERS).collect()
}

/// The JSON object in a text.
fn find(answer: &str) -> Option<Value> {
    let said = answer.rsplit_once("</think>").map_or(answer, |(_, said)| said).trim();
    let fenced = said.split("```").skip(1).step_by(2).map(|block| {
        let line = block.split_once('\n').map_or(block, |(_, rest)| rest);
        if block.starts_with(['{', '[']) { block } else { line }
    });
    let braces = said.find('{').zip(said.rfind('}')).and_then(|(first, last)| said.get(first..=last));
    std::iter::once(said)
        .chain(fenced)
        .chain(braces)
        .find_map(|text| serde_json::from_str(text.trim()).ok().filter(Value::is_object))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let word = json!({ "type": "string", "maxLength": 8 });
        let value = json!({
            "type": "object", "properties": { "word": word }, "required": ["word"], "additionalProperties": false
        });
        Schema::new("word", value).unwrap()
    }

    #[test]
    fn an_answer_is_found_in_what_stands_around_it() {
        for said in [
            r#"{"word":"green"}"#,
            "  {\"word\": \"green\"}\n",
            "Sure!\n```json\n{\"word\": \"green\"}\n```\nAnything else?",
            "```{\"word\": \"green\"}```",
            "<think>{\"word\": \"table\"}?</think>\n{\"word\": \"green\"}",
            "The answer is {\"word\": \"green\"}, I think.",
        ] {
            assert_eq!(schema().read::<Value>(said), Ok(json!({ "word": "green" })), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_words() {
        let wrong = |said: &str| schema().read::<Value>(said).unwrap_err().to_string();
        assert!(wrong("{\"word\": \"gre").contains("no complete JSON"));
        assert!(wrong("[]").contains("no complete JSON"));
        let problems = wrong(r#"{"word": "secret-secret", "more": 1}"#);
        assert!(problems.contains("/word") && !problems.contains("secret"), "{problems}");
        assert!(Schema::new("none", json!({ "type": 7 })).is_err());
        #[derive(Debug, serde::Deserialize)]
        struct Other {
            #[allow(dead_code, reason = "only whether it is there")]
            number: u32,
        }
        assert!(schema().read::<Other>(r#"{"word": "green"}"#).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_or_refused(said in "(\\PC|[{}\\[\\]\":`\n]|word|</think>){0,60}") {
            let _ = schema().read::<Value>(&said);
        }
    }
}
