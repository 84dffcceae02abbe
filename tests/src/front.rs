//! A node that balances, members that only greet, and clients that count who greeted them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::eventually;
use crate::process::{Node, Process};
use crate::wire::Wire;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A node with services. In documents `@SMTP@` is the port of its own connector.
pub struct Front {
    pub node: Node,
}

impl Front {
    /// Not started; `own` is the rest of `posthouse.toml`.
    pub fn new(own: &str, org: &str) -> Front {
        let front = Front { node: Node::new(&["--config", "posthouse.toml", "--org", "org.toml"]) };
        fs::write(front.node.dir.join("posthouse.toml"), format!("name = \"front.test\"\n{own}")).unwrap();
        front.write(org);
        front
    }

    /// Started.
    pub fn started(own: &str, org: &str) -> Front {
        let mut front = Front::new(own, org);
        front.node.start();
        front
    }

    /// Starts it with this document.
    pub fn start(&mut self, org: &str) {
        self.write(org);
        self.node.start();
    }

    fn write(&self, org: &str) {
        let connector = "[[receive_connector]]\nname = \"own\"\nlisten = [\"127.0.0.1:@SMTP@\"]\n";
        let text = format!("{connector}{org}").replace("@SMTP@", &self.node.smtp.to_string());
        fs::write(self.node.dir.join("org.toml"), text).unwrap();
    }

    /// Another document from now on.
    pub fn change(&self, org: &str) {
        self.write(org);
        let (code, out, err) = self.node.verb(&["reload"]);
        assert_eq!(code, 0, "{out}{err}");
    }

    /// Waits until its balancer sees a member so.
    pub fn until(&self, service: &str, member: &str, standing: &str) {
        eventually(&format!("{member} of {service} is {standing}"), PATIENCE, || {
            self.node.standing(service, &format!("{member}-{service}")) == standing
        });
    }

    /// Bytes of memory that it has now.
    pub fn memory_bytes(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.node.process().pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Descriptors that it has open now.
    pub fn descriptors(&mut self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.node.process().pid())).unwrap().count()
    }
}

/// A service and its members (name, address, further lines) as they are written. The name of a member is that and its service's: each is
/// there once.
pub fn service(name: &str, protocol: &str, listen: SocketAddr, more: &str, members: &[(&str, String, &str)]) -> String {
    let mut text = format!(
        "[[service]]\nname = \"{name}\"\nhostname = \"{name}.test\"\nprotocol = \"{protocol}\"\nlisten = [\"{listen}\"]\n\
         probe_interval = \"200ms\"\nslow_start = \"0s\"\n{more}\n"
    );
    for (member, address, more) in members {
        text +=
            &format!("[[member]]\nname = \"{member}-{name}\"\nservice = \"{name}\"\naddress = \"{address}\"\n{more}\n");
    }
    text
}

/// Writes a certificate for `name` and its key into a folder, as `NAME.pem` and `NAME.key`; gives the certificate.
pub fn certificate(dir: &Path, file: &str, name: &str) -> Vec<u8> {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
    // The key first: who looks in between finds a pair that does not fit, and waits.
    fs::write(dir.join(format!("{file}.key")), signing_key.serialize_pem()).unwrap();
    fs::write(dir.join(format!("{file}.pem")), cert.pem()).unwrap();
    cert.der().to_vec()
}

/// A connection from an address of loopback.
pub fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<Wire> {
    stream_from(from, to).map(Wire::over)
}

/// The same, as it is.
pub fn stream_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Ok(socket.into())
}

/// A way from an address of this machine to a member.
pub fn door(ip: &str, port: u16, to: SocketAddr) -> Process {
    let dir = tempfile::tempdir().unwrap().keep();
    let conf = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5m\n  timeout server 5m\nlisten door\n  bind {ip}:{port}\n  server to {to}\n"
    );
    fs::write(dir.join("haproxy.cfg"), conf).unwrap();
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-f"]).arg(dir.join("haproxy.cfg"));
    let process = Process::start(&mut command, &dir.join("log"));
    eventually("the door is open", PATIENCE, || TcpStream::connect((ip, port)).is_ok());
    process
}

/// A connection under TLS to the server of that name, with the first line that it says.
pub fn secured(to: SocketAddr, name: &str) -> Option<Wire> {
    let mut wire = Wire::over(TcpStream::connect(to).unwrap());
    wire.start_tls_to(name).then_some(wire)
}

/// A member that greets with its name, says yes to everything, and counts nothing.
pub struct Greeter {
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Greeter {
    pub fn start(name: &str) -> Greeter {
        Greeter::saying(&format!("220 greets {name}"))
    }

    /// The same with another first line.
    pub fn saying(greeting: &str) -> Greeter {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let greeting: Arc<str> = format!("{greeting}\r\n").into();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(([127, 0, 0, 1], crate::free_port()).into())?;
            socket.listen(4096)
        });
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(greet(listener, greeting));
        Greeter { address, _runtime: runtime }
    }
}

async fn greet(listener: TcpListener, greeting: Arc<str>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let greeting = greeting.clone();
        tokio::spawn(async move {
            let _ = stream.write_all(greeting.as_bytes()).await;
            let mut heard = [0; 256];
            while let Ok(1..) = stream.read(&mut heard).await {
                let answer: &[u8] = if heard.starts_with(b"QUIT") { b"221 bye\r\n" } else { b"250 yes\r\n" };
                let _ = stream.write_all(answer).await;
            }
        });
    }
}

/// Connects once from each of `sources`, several at a time, and says by whom each was greeted: the last word of the first line.
pub fn greeted(to: SocketAddr, sources: Vec<IpAddr>) -> BTreeMap<usize, String> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (turns, mut asked) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for (number, source) in sources.into_iter().enumerate() {
            let turns = turns.clone();
            asked.spawn(async move {
                let _turn = turns.acquire().await;
                (number, greeter_of(to, source).await.unwrap_or_else(|error| error.to_string()))
            });
        }
        asked.join_all().await.into_iter().collect()
    })
}

/// Clients of [`greeted`] at the same time.
const AT_ONCE: usize = 64;

async fn greeter_of(to: SocketAddr, source: IpAddr) -> io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut stream = BufReader::new(socket.connect(to).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().rsplit(' ').next().unwrap_or_default().to_string())
}

/// An address of this machine, with a port that was free a moment ago.
pub fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], crate::free_port()))
}

/// A port on 127.0.0.1 as it is written.
pub fn here(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The first line that somebody says, and nothing if it closes instead.
pub fn greeting(wire: &mut Wire) -> String {
    wire.line().ok().flatten().unwrap_or_default()
}

/// The answer to one line of IMAP, up to the line with its tag.
pub fn imap(wire: &mut Wire, command: &str) -> String {
    wire.send(format!("t {command}\r\n").as_bytes()).unwrap();
    loop {
        let line = wire.line().unwrap().unwrap_or_else(|| panic!("closed at {command}"));
        if line.starts_with("t ") {
            return line;
        }
    }
}

/// Somebody reads mail.
pub fn logs_on(wire: &mut Wire) {
    for command in ["LOGIN anna pencil", "SELECT INBOX"] {
        let answer = imap(wire, command);
        assert!(answer.starts_with("t OK"), "{command}: {answer}");
    }
}
