//! A place of its own for a browser (a network namespace), with two ways to us, of which one can be cut: what a laptop
//! sees that goes from cable to radio.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, ensure};

/// Two ways, the first of which is taken while it is there. Dropped, both are gone.
pub struct Network {
    name: String,
    /// Our ends of them.
    ways: [String; 2],
    /// Where we are, for whoever is there: the same address by both ways.
    pub here: Ipv4Addr,
}

impl Network {
    /// Makes it.
    ///
    /// # Errors
    /// Where we may not (root), or there is no `ip`: says so.
    pub fn with_two_ways() -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number =
            (std::process::id() as u8).wrapping_mul(8).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
                % 120;
        let (name, [a, b]) = (format!("sotto-{number}"), [number * 2, number * 2 + 1]);
        let here = Ipv4Addr::new(10, 77, a, 1);
        let ways = ["a", "b"].map(|way| format!("{name}{way}"));
        let network = Self { name, ways, here };
        // Left behind by somebody who was killed.
        network.remove();
        ip(&["netns", "add", &network.name])?;
        network.ip(&["link", "set", "lo", "up"])?;
        for (near, far, subnet, metric) in
            [(&network.ways[0], "way-a", a, "100"), (&network.ways[1], "way-b", b, "200")]
        {
            ip(&["link", "add", near, "type", "veth", "peer", "name", far, "netns", &network.name])?;
            ip(&["addr", "add", &format!("10.77.{subnet}.1/24"), "dev", near])?;
            ip(&["link", "set", near, "up"])?;
            network.ip(&["addr", "add", &format!("10.77.{subnet}.2/24"), "dev", far])?;
            network.ip(&["link", "set", far, "up"])?;
            let gateway = format!("10.77.{subnet}.1");
            network.ip(&["route", "add", "default", "via", &gateway, "dev", far, "metric", metric])?;
        }
        Ok(network)
    }

    /// A program that is there.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Cuts the first way, with the address that whoever is there has had so far.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn cut_first(&self) -> Result<()> {
        self.ip(&["link", "set", "way-a", "down"])
    }

    fn remove(&self) {
        // The ways first: those that go with their place go some time after it.
        for way in &self.ways {
            let _ = ip(&["link", "del", way]);
        }
        let _ = ip(&["netns", "del", &self.name]);
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", self.name.as_str()][..], arguments].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let made = Command::new("ip").args(arguments).output();
    let made = made.context("no `ip` (Debian: apt-get install iproute2)")?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "ip {}: {said}", arguments.join(" "));
    Ok(())
}
