//! Benchmarks of whole paths. The parts are measured by criterion (`benches/frames.rs`).

use serde::Serialize;

pub mod bridge;
pub mod media;
pub mod processor;
pub mod telephones;

/// One measured figure, printed as a line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
    /// What it has to reach or stay under, where something was promised.
    pub bar: Option<f64>,
    /// Whether it does.
    pub ok: bool,
}

impl Figure {
    /// Prints a figure, which has to stay at or under its bar.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn print(name: &str, value: f64, unit: &str, bar: Option<f64>) -> serde_json::Result<()> {
        let ok = bar.is_none_or(|bar| value <= bar);
        let figure = Self { name: name.into(), value, unit: unit.into(), bar, ok };
        println!("{}", serde_json::to_string(&figure)?);
        Ok(())
    }
}
