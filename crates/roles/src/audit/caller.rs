//! Whose process is at the other end of a connection within this machine: the kernel's word, and not the caller's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use world::World;

/// The user whose process made the connection from `client` to our `server`; nothing where the client is another machine, or the system
/// does not say. Blocks for reading two files.
pub fn unix_user(world: &World, client: SocketAddr, server: SocketAddr) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let read = |file: &str| world.disk.read_all(Path::new(file)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let uid = tables.iter().find_map(|table| owner(&read(table)?, client, server))?;
    let name = read("/etc/passwd").and_then(|passwd| name_of(&passwd, uid));
    Some(name.unwrap_or_else(|| format!("uid {uid}")))
}

/// The uid of the socket whose own end is `client` and whose other end is `server`.
fn owner(table: &str, client: SocketAddr, server: SocketAddr) -> Option<u32> {
    let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let (local, remote) = (columns.nth(1)?, columns.next()?);
        let is_it = socket(local)? == plain(client) && socket(remote)? == plain(server);
        // Behind the addresses: state, queues, timer, retransmissions.
        is_it.then(|| columns.nth(4)?.parse().ok()).flatten()
    })
}

/// `0100007F:1F90`: words of four bytes in the machine's order, then the port.
fn socket(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let words = (0..address.len() / 8).map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok());
    let words: Vec<[u8; 4]> = words.map(|word| word.map(u32::to_ne_bytes)).collect::<Option<_>>()?;
    let ip = match words[..] {
        [v4] => IpAddr::V4(Ipv4Addr::from(v4)),
        [a, b, c, d] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from([a, b, c, d].concat()).ok()?)).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut of_uid = fields.filter(|fields| fields.get(2).is_some_and(|found| *found == uid.to_string()));
    of_uid.next().map(|fields| fields[0].to_string())
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_names_the_owner_of_the_clients_end() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F59 0100007F:D431 01 00000000:00000000 00:00000000 00000000     7        0 1 1 0\n   \
                     1: 0100007F:D431 0100007F:1F59 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0\n";
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(owner(table, at("127.0.0.1:54321"), at("127.0.0.1:8025")), Some(1000));
        assert_eq!(owner(table, at("127.0.0.1:54322"), at("127.0.0.1:8025")), None);
        let six = "head\n 0: 0000000000000000FFFF00000100007F:D431 0000000000000000FFFF00000100007F:1F59 01 0:0 0:0 0 5 0 1\n";
        assert_eq!(owner(six, at("127.0.0.1:54321"), at("127.0.0.1:8025")), Some(5));
        assert_eq!(name_of("root:x:0:0::/:\nann:x:1000:1000::/:\n", 1000).as_deref(), Some("ann"));
        let world = World::real();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let found = unix_user(&world, ours.local_addr().unwrap(), ours.peer_addr().unwrap()).unwrap();
        let us = format!("uid {}", rustix::process::getuid().as_raw());
        let passwd = std::str::from_utf8(&world.disk.read_all(Path::new("/etc/passwd")).unwrap()).unwrap().to_string();
        let name = name_of(&passwd, rustix::process::getuid().as_raw());
        assert_eq!(found, name.unwrap_or(us));
    }
}
