//! Three supervisors on one call: one listens, one whispers, one barges.

use anyhow::{Result, ensure};
use sotto_tests::baresip::has_network;
use sotto_tests::ears::three_supervisors;
use sotto_tests::server::Setup;

use super::Figure;
use super::carried::NUMBERS;
use super::setup::Bench;

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    ensure!(has_network(), "baresip wants a network interface besides the loopback");
    let server = bench.server_with(&Setup::desk(NUMBERS))?;
    let outcome = three_supervisors(&server);
    let hears = f64::from(u8::from(outcome.is_ok()));
    sink(Figure::at_least("supervisors.each_hears_whom_they_should", hears, "", 1.0));
    outcome
}
