//! Telephones for calls that somebody else sets up. Prints their ports as a line of JSON, a list for each end of a
//! call; reads the calls, each a list of `[port, "address to send to"]`; talks; prints what came of it.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::json;
use sotto_audio::Codec;
use sotto_benches::processor::{Whose, processor_time};
use sotto_benches::telephones::{Telephone, WARM_UP, talk};

/// Talks.
#[derive(Parser)]
struct Arguments {
    /// Calls at the same time.
    #[arg(long, default_value_t = 20)]
    calls: usize,
    /// What each end of a call speaks: one end or two, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "PCMU,PCMU")]
    codecs: Vec<String>,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The process that carries the calls: its processor time is measured as well.
    #[arg(long)]
    carrier: Option<u32>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut sockets = HashMap::new();
    let mut ports: Vec<Vec<u16>> = Vec::new();
    for name in &arguments.codecs {
        let codec = Codec::by_name(name).with_context(|| format!("no codec {name}"))?;
        let mut ends = Vec::new();
        for _ in 0..arguments.calls {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let port = socket.local_addr()?.port();
            sockets.insert(port, (socket, codec));
            ends.push(port);
        }
        ports.push(ends);
    }
    println!("{}", json!(ports));

    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let calls: Vec<Vec<(u16, SocketAddr)>> = serde_json::from_str(&line).context("the calls")?;
    let mut end = |(port, to): (u16, SocketAddr)| {
        let (socket, codec) = sockets.remove(&port).with_context(|| format!("no telephone at {port}"))?;
        Ok(Telephone { socket, to, codec })
    };
    let calls = calls.into_iter().map(|call| call.into_iter().map(&mut end).collect());
    let calls: Vec<Vec<Telephone>> = calls.collect::<Result<_>>()?;

    let time = Duration::from_secs(arguments.seconds);
    let talking = std::thread::spawn(move || talk(calls, time));
    let busy = arguments.carrier.map(Whose::Process).map(|carrier| -> Result<f64> {
        std::thread::sleep(WARM_UP);
        let (before, begun) = (processor_time(carrier)?, Instant::now());
        std::thread::sleep(time);
        Ok((processor_time(carrier)? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
    });
    let Ok(talked) = talking.join() else { bail!("a telephone panicked") };
    let talked = talked?;
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let outcome = json!({
        "p50_ms": ms(talked.p50), "p99_ms": ms(talked.p99), "packets": talked.packets,
        "missing": talked.missing, "busy": busy.transpose()?.unwrap_or_default(),
    });
    println!("{outcome}");
    Ok(())
}
