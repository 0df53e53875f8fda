//! coturn, a TURN server that is not ours (RFC 8656), for browsers that reach us in no other way.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::server::free_address;

/// Its one user, and the password.
pub const USER: (&str, &str) = ("sotto", "relay");

/// A TURN server on the loopback.
pub struct Turn {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Turn {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not answer.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sotto-turn-").tempdir()?;
        let address = free_address()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers", "--lt-cred-mech"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--realm", "sotto"])
            .args(["--listening-port", &address.port().to_string()])
            .args(["--user", &format!("{}:{}", USER.0, USER.1)])
            .args(["--log-file", "stdout", "--simple-log"])
            .arg(format!("--userdb={}", folder.path().join("turndb").display()))
            .arg(format!("--pidfile={}", folder.path().join("pid").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("turnserver does not start (Debian: apt-get install coturn)")?;
        let turn = Self { child, address, _folder: folder };
        turn.until_it_answers()?;
        Ok(turn)
    }

    /// Lines of `sotto.toml` by which browsers reach the server through this one alone.
    #[must_use]
    pub fn only_way(&self) -> Vec<(String, String)> {
        let (user, password) = USER;
        let server = format!(
            "ice_servers = [{{ urls = [\"turn:{}?transport=udp\"], username = \"{user}\", \
             credential = \"{password}\" }}]",
            self.address
        );
        [server, "relay_only = true".to_owned()].map(|line| ("webrtc".to_owned(), line)).to_vec()
    }

    /// Asks for our own address (STUN binding, RFC 8489 section 14) until that is answered.
    fn until_it_answers(&self) -> Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut request = [0; 20];
        request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        let until = Instant::now() + Duration::from_secs(20);
        let mut answer = [0; 512];
        loop {
            ensure!(Instant::now() < until, "the TURN server does not answer");
            // Refused while nobody listens there.
            let _ = socket.send_to(&request, self.address);
            if socket.recv_from(&mut answer).is_ok() {
                return Ok(());
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
