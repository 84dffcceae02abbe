//! A TCP relay on loopback that can be cut (connections end, new ones are refused) or made to swallow (all stays open, nothing
//! passes): what a firewall and a dead switch do.

use cluster::etcd::Endpoint;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Cut,
    Swallow,
}

pub struct Relay {
    port: u16,
    mode: Arc<watch::Sender<Mode>>,
}

impl Relay {
    /// Relays a new port to `to`.
    pub async fn start(to: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(watch::channel(Mode::Pass).0);
        let set = Arc::clone(&mode);
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                if *set.borrow() != Mode::Cut
                    && let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await
                {
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    tokio::spawn(pump(near_read, far_write, set.subscribe()));
                    tokio::spawn(pump(far_read, near_write, set.subscribe()));
                }
            }
        });
        Relay { port, mode }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://127.0.0.1:{}", self.port)).unwrap()
    }

    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    pub fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    pub fn mend(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
) {
    let mut bytes = [0; 16 << 10];
    loop {
        tokio::select! {
            read = from.read(&mut bytes) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
                    if *mode.borrow() == Mode::Cut || to.write_all(&bytes[..n]).await.is_err() {
                        return;
                    }
                }
            },
            changed = mode.changed() => if changed.is_err() || *mode.borrow() == Mode::Cut { return },
        }
    }
}
