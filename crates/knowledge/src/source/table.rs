//! Tables: questions with answers where the columns say so, otherwise a line a row, with the columns' names.

use serde_json::Value;

use super::{Builder, Content, Format, MAX_HEADING, tidy, unreadable};
use crate::KnowledgeError;

/// Columns that hold questions, answers, titles and texts.
const QUESTIONS: &[&str] = &["question", "questions", "q", "پرسش", "سوال", "سؤال"];
const ANSWERS: &[&str] = &["answer", "answers", "a", "پاسخ", "جواب"];
const TITLES: &[&str] = &["title", "name", "heading", "عنوان", "نام"];
const TEXTS: &[&str] = &["text", "content", "body", "description", "متن", "شرح"];
/// Columns that are read.
const MAX_COLUMNS: usize = 256;
/// Objects inside objects that become headings; what is deeper stays under the last.
const DEEPEST: u8 = 6;

fn is(name: &str, names: &[&str]) -> bool {
    let name = sotto_text::fold(name.trim());
    names.iter().any(|one| sotto_text::fold(one) == name)
}

/// A row that is being read, under the names of its columns. What these say is found out once, not for every row.
#[derive(Default)]
pub(super) struct Row {
    columns: Vec<Column>,
    /// The column of the questions, if there is one of answers as well.
    question: Option<usize>,
    cells: Vec<String>,
}

struct Column {
    name: String,
    /// Its cells need no name in front.
    plain: bool,
}

impl Row {
    pub fn cell(&mut self, text: &str) {
        if self.cells.len() < MAX_COLUMNS {
            self.cells.push(tidy(text));
        }
    }

    /// What was read is the names of the columns.
    pub fn is_head(&mut self) {
        let names = std::mem::take(&mut self.cells);
        let column = |which| names.iter().position(|name| is(name, which));
        self.question = column(QUESTIONS).filter(|_| column(ANSWERS).is_some());
        let column = |name: String| {
            let plain = name.is_empty() || is(&name, ANSWERS) || is(&name, TEXTS);
            Column { name: name.chars().take(MAX_HEADING).collect(), plain }
        };
        self.columns = names.into_iter().map(column).collect();
    }

    /// The row is whole: a line, or a question with the rest of the row under it.
    pub fn finish(&mut self, builder: &mut Builder) -> Result<(), KnowledgeError> {
        let cells = std::mem::take(&mut self.cells);
        let answers =
            cells.iter().enumerate().filter(|(at, cell)| Some(*at) != self.question && !cell.is_empty());
        let line: Vec<String> = answers
            .map(|(at, cell)| match self.columns.get(at) {
                Some(Column { name, plain: false }) => format!("{name}: {cell}"),
                _ => cell.clone(),
            })
            .collect();
        let line = line.join("; ");
        match self.question.and_then(|at| cells.get(at)) {
            Some(question) => builder.alone(&format!("{question}\n{line}")),
            None => builder.body(&line),
        }
    }
}

pub(super) fn csv(text: &str) -> Result<Content, KnowledgeError> {
    let head = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| head.bytes().filter(|byte| *byte == delimiter).count();
    let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|one| count(*one)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut builder = Builder::default();
    let mut row = Row::default();
    let mut record = csv::StringRecord::new();
    let mut first = true;
    while reader.read_record(&mut record).map_err(|error| unreadable(Format::Csv, error))? {
        record.iter().for_each(|cell| row.cell(cell));
        if std::mem::take(&mut first) {
            row.is_head();
        } else {
            row.finish(&mut builder)?;
        }
    }
    Ok(builder.finish())
}

pub(super) fn json(text: &str) -> Result<Content, KnowledgeError> {
    let value: Value = serde_json::from_str(text).map_err(|error| unreadable(Format::Json, error))?;
    let mut builder = Builder::default();
    walk(&mut builder, &value, 1)?;
    // The first object's name is no title.
    Ok(builder.content)
}

/// How deep it goes is bounded by the parser (128).
fn walk(builder: &mut Builder, value: &Value, level: u8) -> Result<(), KnowledgeError> {
    let deeper = (level + 1).min(DEEPEST);
    match value {
        Value::Null => Ok(()),
        Value::Array(all) => all.iter().try_for_each(|one| walk(builder, one, level)),
        Value::Object(fields) => {
            let field = |names| fields.iter().find(|(name, _)| is(name, names)).map(|(name, _)| name);
            let text = |name: &String| fields[name].as_str();
            let question = field(QUESTIONS).filter(|_| field(ANSWERS).is_some());
            let title =
                if question.is_some() { None } else { field(TITLES) }.filter(|name| text(name).is_some());
            let mut lines: Vec<String> = question.and_then(text).map(str::to_owned).into_iter().collect();
            if let Some(title) = title.and_then(text) {
                builder.heading(level, title)?;
            }
            let inner = if title.is_some() { deeper } else { level };
            let first = question.filter(|name| text(name).is_some()).or(title);
            for (name, value) in fields.iter().filter(|(name, _)| Some(*name) != first) {
                let Some(text) = scalar(value) else { continue };
                let own = is(name, ANSWERS) || is(name, TEXTS);
                lines.push(if own { text } else { format!("{name}: {text}") });
            }
            let lines = lines.join("\n");
            match question {
                Some(_) => builder.alone(&lines)?,
                None => builder.body(&lines)?,
            }
            for (name, value) in fields.iter().filter(|(_, value)| value.is_array() || value.is_object()) {
                builder.heading(inner, name)?;
                walk(builder, value, (inner + 1).min(DEEPEST))?;
            }
            Ok(())
        }
        value => builder.body(&scalar(value).unwrap_or_default()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
