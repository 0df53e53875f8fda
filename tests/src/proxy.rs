//! A network between a browser and the server, which can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::Result;

/// Passes TCP connections on until it is dropped.
pub struct Proxy {
    /// Where to connect to.
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// A way to `server`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn to(server: SocketAddr) -> Result<Self> {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0)), server)
    }

    /// The same from an address of ours; port 0 is any.
    ///
    /// # Errors
    /// When it is taken, or not ours.
    pub fn on(address: SocketAddr, server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let ours = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // Nobody else holds on to the list: the proxy is gone.
                if Arc::strong_count(&ours) == 1 {
                    return;
                }
                let Ok(far) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
                        std::thread::spawn(move || pass(from, to));
                    }
                }
                if let Ok(mut open) = ours.lock() {
                    open.extend([near, far]);
                }
            }
        });
        Ok(Self { address, open })
    }

    /// Cuts every connection there is; new ones are passed on. How many there were.
    #[must_use]
    pub fn cut(&self) -> usize {
        let Ok(mut open) = self.open.lock() else { return 0 };
        open.drain(..).filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count() / 2
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.cut();
        // Wakes the thread that waits for connections.
        self.open = Arc::default();
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_until_it_is_cut() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::to(server.local_addr().unwrap()).unwrap();
        let mut near = TcpStream::connect(proxy.address).unwrap();
        let (mut far, _) = server.accept().unwrap();
        near.write_all(b"there").unwrap();
        let mut word = [0; 5];
        far.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"there");
        far.write_all(b"back!").unwrap();
        near.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"back!");
        while proxy.cut() == 0 {}
        assert!(matches!(near.read(&mut word), Ok(0) | Err(_)));
    }
}
