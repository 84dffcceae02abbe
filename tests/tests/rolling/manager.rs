//! What the service manager keeps and is told.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tests::eventually;
use tests::process::Node;
use tests::wire::Wire;

use super::{Heir, asks, hears};

/// A service manager that keeps sockets: who connects while no process is there waits for the next one.
#[test]
fn the_service_manager_keeps_sockets_while_nobody_runs() {
    let mut node = Node::new(&[]);
    let place = node.dir.join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", &place);
    node.start_as(command);
    let kept = stored(&manager);
    assert!(kept.len() >= 3, "SMTP, submission and HTTP: {}", kept.len());
    node.stop();
    let mut waits =
        Wire::over(TcpStream::connect(("127.0.0.1", node.smtp)).expect("nobody runs, and nobody is refused"));
    for socket in &kept {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let moves: Vec<String> =
        kept.iter().enumerate().map(|(n, fd)| format!("{}<&{}", n + 200, fd.as_raw_fd())).collect();
    let backs: Vec<String> = (0..kept.len()).map(|n| format!("{}<&{}", n + 3, n + 200)).collect();
    let plain = node.command();
    let words: Vec<String> = std::iter::once(plain.get_program())
        .chain(plain.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let script = format!(
        "exec {} && exec {} && export LISTEN_PID=$$ LISTEN_FDS={} && exec {}",
        moves.join(" "),
        backs.join(" "),
        kept.len(),
        words.join(" ")
    );
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).current_dir(&node.dir);
    node.start_as(command);
    hears(&mut waits, "220").unwrap();
    asks(&mut waits, "QUIT", "221").unwrap();
}

/// The descriptors that came with `FDSTORE=1`.
fn stored(manager: &UnixDatagram) -> Vec<OwnedFd> {
    let mut kept = Vec::new();
    loop {
        let (mut bytes, mut space) = ([0; 512], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        if recvmsg(manager, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).is_err() {
            return kept;
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                kept.extend(descriptors);
            }
        }
    }
}

/// What it is told, from the first start to the end: who is the service, when it is ready, and that its watchdog may rest assured.
#[test]
fn the_service_manager_is_told_who_is_the_service() {
    let mut node = Node::new(&["--config", "posthouse.toml"]);
    let document = node.dir.join("posthouse.toml");
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    let place = node.dir.join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "2000000");
    node.start_as(command);
    let data = node.data();
    let heir = Heir(&data);
    assert_eq!(until(&manager, "READY=1"), ["READY=1"]);

    assert_eq!(node.verb(&["reload"]).0, 0);
    let said = until(&manager, "READY=1");
    assert!(said[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said:?}");
    assert_eq!(said[1..], ["READY=1"]);

    // One that cannot run is not the service, and the old one does not stop.
    std::fs::write(&document, "name = 7\n").unwrap();
    assert_eq!(node.verb(&["restart"]).0, 1);
    std::fs::write(&document, "name = \"mx.posthouse.test\"\n").unwrap();
    for _ in 0..2 {
        let (code, out, err) = node.verb(&["restart"]);
        assert_eq!(code, 0, "{out}{err}");
        let pid = heir.pid().unwrap();
        let said = until(&manager, &format!("MAINPID={pid}\nREADY=1"));
        assert_eq!(said.len(), 1, "nothing else is said of a restart: {said:?}");
        until(&manager, "WATCHDOG=1");
    }
    node.process().wait(Duration::from_secs(60));
    let pid = heir.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(until(&manager, "STOPPING=1"), ["STOPPING=1"]);
    eventually("it has ended", Duration::from_secs(60), || !std::path::Path::new("/proc").join(&pid).exists());
}

/// What is said until this is said, with it. Sockets that are to be kept, pleas for patience and signs of life are left out.
fn until(manager: &UnixDatagram, wanted: &str) -> Vec<String> {
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}; so far {said:?}"));
        let text = String::from_utf8_lossy(&buffer[..count]).trim_end().to_string();
        let is_wanted = text == wanted;
        if is_wanted || !["FDSTORE", "EXTEND_TIMEOUT", "WATCHDOG"].iter().any(|word| text.starts_with(word)) {
            said.push(text);
        }
        if is_wanted {
            return said;
        }
    }
}
