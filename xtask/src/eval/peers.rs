//! What a bridged call costs, side by side with what others carry: the same telephones, one carrier after the other,
//! processor time as the kernel counts it.
//!
//! - G.711 from telephone to telephone: rtpengine forwards in user space. Ours is the bridge alone, and a whole server
//!   that records every call and writes its log, without recognition.
//! - Opus between a telephone and a browser: Janus decrypts, encrypts and forwards. Ours is a whole server, which
//!   besides decodes both sides for the recording.

use anyhow::{Context, Result, ensure};
use sotto_tests::audio::Audio;
use sotto_tests::browser::{Browser, Microphone};
use sotto_tests::server::{Setup, Sotto};
use sotto_tests::sipp::Signalling;

use super::Figure;
use super::janus::Janus;
use super::media::figures_of;
use super::rtpengine::Rtpengine;
use super::setup::Bench;
use super::traffic::{Exchange, OPUS, PCMU, Talked, Telephones};
use crate::machine;

/// Calls from telephone to telephone.
const CALLS: usize = 20;

/// Calls with a browser. Each of ours is a Chromium of its own.
const BROWSERS: usize = 4;

/// The model is a file that is not there: nothing is recognised.
const DEAF: &str = "/nowhere/model.bin";

pub fn measure(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    machine::needed_for_peers()?;
    g711(bench, sink)?;
    webrtc(bench, sink)
}

fn seconds(bench: &Bench) -> u64 {
    if bench.quick { 3 } else { 15 }
}

fn g711(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let seconds = seconds(bench);
    let relay = Rtpengine::start()?;
    let telephones = Telephones::new(CALLS, &[PCMU, PCMU], seconds, relay.pid())?;
    let [callers, answerers] = telephones.ports.as_slice() else { anyhow::bail!("calls of two") };
    let calls = callers.iter().zip(answerers).enumerate().map(|(n, (caller, answerer))| {
        let [to, back] = relay.relay(&format!("call-{n}"), [*caller, *answerer])?;
        Ok(vec![(*caller, to), (*answerer, back)])
    });
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let theirs = telephones.talk(&calls)?;
    drop(relay);
    let theirs = carried("peers.g711.rtpengine", CALLS, theirs, sink);

    let ours = Exchange::start(bench, DEAF)?.carry(CALLS, PCMU, seconds)?;
    let ours = carried("peers.g711.server", CALLS, ours, sink);
    let alone = figures_of("bridge", &["--calls", &CALLS.to_string(), "--only", "passed"], bench)?;
    let alone = alone.iter().find(|figure| figure.name == "bridge.passed_calls_per_core");
    let alone = alone.context("no figure of the bridge")?.value;
    sink(Figure::reported("peers.g711.bridge_alone_calls_per_core", alone, "calls"));
    sink(Figure::reported("peers.g711.bridge_alone_to_rtpengine", alone / theirs, ""));
    sink(Figure::reported("peers.g711.server_to_rtpengine", ours / theirs, ""));
    Ok(())
}

fn webrtc(bench: &Bench, sink: &mut dyn FnMut(Figure)) -> Result<()> {
    let seconds = seconds(bench);
    let voice = Audio::tone(500, 2);
    let janus = Janus::start()?;
    let telephones = Telephones::new(BROWSERS, &[OPUS], seconds, janus.pid())?;
    let [ports] = telephones.ports.as_slice() else { anyhow::bail!("calls of one") };
    let mut page = janus.page(ports, &voice)?;
    let calls: Vec<_> = ports.iter().zip(&page.to_send).map(|(port, to)| vec![(*port, *to)]).collect();
    let before = page.received()?;
    let theirs = telephones.talk(&calls)?;
    both_ways("Janus", theirs, page.received()? - before, seconds)?;
    drop(page);
    drop(janus);
    let theirs = carried("peers.webrtc.janus", BROWSERS, theirs, sink);

    let setup = Setup { model: DEAF.into(), max_calls: Some(200), ..Setup::desk("[]") };
    let server = bench.server_with(&setup)?;
    let mut agents = (0..BROWSERS).map(|n| agent(&server, n, &voice)).collect::<Result<Vec<_>>>()?;
    let telephones = Telephones::new(BROWSERS, &[OPUS], seconds, server.pid())?;
    let [ports] = telephones.ports.as_slice() else { anyhow::bail!("calls of one") };
    let to_call: Vec<_> = ports.iter().enumerate().map(|(n, port)| (name(n), *port)).collect();
    let mut calling = Signalling::call(server.sip, &to_call, OPUS.spoken)?;
    agents.iter_mut().try_for_each(Browser::accept)?;
    let to = calling.callers_send_to()?;
    let call = |(name, port): &(String, u16)| Ok(vec![(*port, *to.get(name).context("a call is missing")?)]);
    let calls = to_call.iter().map(call).collect::<Result<Vec<_>>>()?;
    let received = |agents: &mut [Browser]| -> Result<u64> {
        let each = agents.iter_mut().map(|agent| Ok(agent.packets()?.received));
        each.sum()
    };
    let before = received(&mut agents)?;
    let ours = telephones.talk(&calls)?;
    both_ways("Sotto", ours, received(&mut agents)?.saturating_sub(before), seconds)?;
    let ours = carried("peers.webrtc.server", BROWSERS, ours, sink);
    sink(Figure::reported("peers.webrtc.server_to_janus", ours / theirs, ""));
    Ok(())
}

/// Someone at a page who can be called by name.
fn agent(server: &Sotto, n: usize, voice: &Audio) -> Result<Browser> {
    let (name, password) = (name(n), "a long enough password");
    server.add_user((&name, password), "agent")?;
    let mut browser = Browser::sign_in(server.http, (&name, password), Microphone::Tone(voice))?;
    browser.ready()?;
    Ok(browser)
}

fn name(n: usize) -> String {
    format!("agent{n}")
}

/// Calls per core; a relay that loses packets does not carry calls.
fn carried(name: &str, calls: usize, talked: Talked, sink: &mut dyn FnMut(Figure)) -> f64 {
    let per_core = (calls as f64 / talked.busy).floor();
    sink(Figure::reported(&format!("{name}_calls_per_core"), per_core, "calls"));
    if talked.p99_ms > 0.0 {
        sink(Figure::reported(&format!("{name}_delay_ms_p99"), talked.p99_ms, "ms"));
        sink(Figure::at_most(&format!("{name}_packets_missing"), talked.missing as f64, "packets", 0.0));
    }
    per_core
}

/// Audio came through, to the telephones and to the pages.
fn both_ways(who: &str, talked: Talked, received: u64, seconds: u64) -> Result<()> {
    // Of 50 packets a second, until the page was asked.
    let at_least = BROWSERS as u64 * seconds * 50 * 9 / 10;
    ensure!(
        talked.packets >= at_least && received >= at_least,
        "{who}: {} packets came to the telephones, {received} to the pages, not {at_least}",
        talked.packets
    );
    Ok(())
}
