//! What is said to a model: templates in files, which have versions, and what they are filled with.

use crate::{LlmError, Sendable};

/// A file of `crates/llm/prompts`, `NAME.vN.md`: what the model is to do, a line `---`, and what is asked, with
/// `{{names}}` for what is filled in. A template that is in use does not change: it gets a successor, so that every
/// answer says by which one it came.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    name: &'static str,
    text: &'static str,
}

macro_rules! templates {
    ($($(#[$doc:meta])* $constant:ident = $file:literal;)*) => {
        impl Template {
            $($(#[$doc])* pub const $constant: Self =
                Self { name: $file, text: include_str!(concat!("../prompts/", $file, ".md")) };)*
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$constant,)*];
        }
    };
}

templates! {
    /// Answers a `question` from `passages`, each `<passage n="…">`, in sentences that name their passages.
    ANSWER = "answer.v1";
    /// One question that any model can answer, to see whether a server works.
    CHECK = "check.v1";
    /// Writes the body of what is sent to a customer about a `question`, from `passages` and facts, each between tags with its
    /// number, for a `channel`, in a `language` and a `tone`.
    DRAFT = "draft.v1";
    /// Says what a call came to, from the `utterances` of it or of a part of it, each `<said n="…">`, in statements that name
    /// their utterances.
    INSIGHT = "insight.v1";
    /// Makes one summary of what was said of the parts of a call: of `bullets`, each `<bullet n="…">`, in sentences that name
    /// their bullets.
    MERGE = "merge.v1";
    /// Says what form an answer must have, for servers that do not see to it: the JSON Schema `schema`.
    FORM = "form.v1";
    /// Says what is wrong with an answer: `problems`.
    REPAIR = "repair.v1";
}

const DIVIDER: &str = "\n---\n";

impl Template {
    /// Its name and version, such as `answer.v1`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Fills it. What is filled in is not looked through for names again.
    ///
    /// # Errors
    /// [`LlmError::Template`] when it has a name that `values` lacks.
    pub fn fill(&self, values: &[(&str, &Sendable)]) -> Result<Prompt, LlmError> {
        let (system, user) = self.text.split_once(DIVIDER).unwrap_or((self.text, ""));
        Ok(Prompt {
            template: self.name,
            system: self.filled(system, values)?,
            user: self.filled(user, values)?,
        })
    }

    fn filled(&self, text: &str, values: &[(&str, &Sendable)]) -> Result<Sendable, LlmError> {
        let mut parts = text.trim().split("{{");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
            let value = values.iter().find(|(known, _)| *known == name.trim());
            let Some((_, value)) = value else {
                return Err(LlmError::Template(format!("{}: nothing for {{{{{name}}}}}", self.name)));
            };
            out.push_str(value.as_str());
            out.push_str(rest);
        }
        Ok(Sendable::from_parts(out))
    }
}

/// A template that was filled.
#[derive(Clone, Debug)]
pub struct Prompt {
    template: &'static str,
    system: Sendable,
    user: Sendable,
}

impl Prompt {
    /// The template's name and version.
    #[must_use]
    pub fn template(&self) -> &'static str {
        self.template
    }

    /// What the model is to do.
    #[must_use]
    pub fn system(&self) -> &Sendable {
        &self.system
    }

    /// What is asked.
    #[must_use]
    pub fn user(&self) -> &Sendable {
        &self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_template_and_has_a_version() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut known: Vec<String> = Template::ALL.iter().map(|one| format!("{}.md", one.name)).collect();
        known.sort();
        assert_eq!(files, known);
        for template in Template::ALL {
            let version = template.name.rsplit_once(".v").unwrap().1;
            assert!(version.parse::<u32>().unwrap() > 0, "{}", template.name);
        }
    }

    #[test]
    fn values_are_filled_in_once_and_none_may_lack() {
        let [passages, question] = ["{{question}}", "why?"].map(Sendable::ours);
        let prompt = Template::ANSWER.fill(&[("passages", &passages), ("question", &question)]).unwrap();
        assert!(prompt.user().as_str().contains("{{question}}") && prompt.user().as_str().contains("why?"));
        assert!(!prompt.system().as_str().is_empty() && prompt.template() == "answer.v1");
        assert!(Template::ANSWER.fill(&[("passages", &passages)]).is_err());
        assert!(Template::CHECK.fill(&[]).is_ok());
    }
}
