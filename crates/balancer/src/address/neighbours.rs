//! Owns what neighbours are told about an address and heard saying: a packet socket for ARP, a raw ICMPv6 socket for neighbour discovery.
//! Knows no lease. Always holds: reading never waits, and takes at most [`READ_MAX`] messages at a time, whatever the wire is flooded with.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use super::packet::{
    Mac, advertised, advertisement, arp_probe, arp_sender, gratuitous_arp, solicitation, solicited_node,
};

/// The neighbours on one interface.
pub struct Neighbours {
    index: u32,
    mac: Mac,
    interface: Box<str>,
    arp: Socket,
    icmp: Option<Socket>,
}

/// Somebody else says that an address of ours is at its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The address.
    pub address: IpAddr,
    /// Whose card.
    pub mac: [u8; 6],
}

impl Neighbours {
    /// Opens the sockets; the error is the kernel's (EPERM: CAP_NET_RAW is missing). Without IPv6 there is none for that.
    pub fn open(interface: &str, index: u32, mac: [u8; 6]) -> io::Result<Neighbours> {
        let arp = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ETHERTYPE_ARP.to_be()))))?;
        arp.bind(&link_address(index, [0xff; 6]))?;
        arp.set_nonblocking(true)?;
        let icmp = match discovery(interface, index, None) {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => None,
        };
        Ok(Neighbours { index, mac, interface: interface.into(), arp, icmp })
    }

    /// Tells all that `address` is at our card. For IPv6 the interface must have it.
    pub fn tell(&self, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                let to = link_address(self.index, [0xff; 6]);
                for reply in [false, true] {
                    self.arp.send_to(&gratuitous_arp(self.mac, address, reply), &to)?;
                }
                Ok(())
            }
            IpAddr::V6(address) => {
                // Its source is the address itself: neighbours ignore what comes from nobody.
                let socket = discovery(&self.interface, self.index, Some(address))?;
                let all = SocketAddrV6::new(ALL_NODES, 0, 0, self.index);
                socket.send_to(&advertisement(self.mac, address), &all.into()).map(drop)
            }
        }
    }

    /// Asks all who has `address`, without a word about us; [`Neighbours::hear`] says who answered.
    pub fn ask(&self, address: IpAddr) -> io::Result<()> {
        match (address, &self.icmp) {
            (IpAddr::V4(address), _) => {
                self.arp.send_to(&arp_probe(self.mac, address), &link_address(self.index, [0xff; 6])).map(drop)
            }
            (IpAddr::V6(address), Some(icmp)) => {
                let group = SocketAddrV6::new(solicited_node(address), 0, 0, self.index);
                icmp.send_to(&solicitation(self.mac, address), &group.into()).map(drop)
            }
            (IpAddr::V6(_), None) => Ok(()),
        }
    }

    /// What others have said about one of `addresses` since the last call.
    pub fn hear(&self, addresses: &[IpAddr]) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut note = |address: IpAddr, mac: Mac| {
            let told = Heard { address, mac };
            if mac != self.mac && addresses.contains(&address) && !heard.contains(&told) {
                heard.push(told);
            }
        };
        for frame in read(&self.arp) {
            if let Some((address, mac)) = arp_sender(&frame) {
                note(address.into(), mac);
            }
        }
        for message in self.icmp.iter().flat_map(read) {
            if let Some((address, mac)) = advertised(&message) {
                note(address.into(), mac);
            }
        }
        heard
    }
}

/// What waits in a socket.
fn read(socket: &Socket) -> impl Iterator<Item = Vec<u8>> {
    (0..READ_MAX).map_while(move |_| {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut socket = socket;
        let len = socket.read(&mut bytes).ok()?;
        bytes.truncate(len);
        Some(bytes)
    })
}

/// A raw socket for neighbour discovery on one interface, with this source.
fn discovery(interface: &str, index: u32, source: Option<Ipv6Addr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_multicast_if_v6(index)?;
    // Neighbours believe only what no router can have passed on (RFC 4861 7.1.2).
    socket.set_multicast_hops_v6(255)?;
    // What we ask is for others to answer.
    socket.set_multicast_loop_v6(false)?;
    if let Some(source) = source {
        socket.bind(&SocketAddrV6::new(source, 0, 0, 0).into())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address of a card on an interface, as the kernel has it (`struct sockaddr_ll`).
fn link_address(index: u32, mac: Mac) -> SockAddr {
    let mut bytes = [0u8; SOCKADDR_LL_BYTES];
    bytes[..2].copy_from_slice(&AF_PACKET.to_ne_bytes());
    bytes[2..4].copy_from_slice(&ETHERTYPE_ARP.to_be_bytes());
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[11] = 6;
    bytes[12..18].copy_from_slice(&mac);
    packet_address(&bytes)
}

/// No safe way: neither the standard library nor socket2 knows packet addresses.
#[allow(unsafe_code)]
fn packet_address(bytes: &[u8; SOCKADDR_LL_BYTES]) -> SockAddr {
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: the storage is larger than 20 bytes and has no bytes that must not be written; `sockaddr_ll` is made of plain integers, and
    // its family and its length are what the kernel expects of it.
    unsafe {
        *storage.view_as::<[u8; SOCKADDR_LL_BYTES]>() = *bytes;
        SockAddr::new(storage, SOCKADDR_LL_BYTES as socket2::socklen_t)
    }
}

const SOCKADDR_LL_BYTES: usize = 20;
const AF_PACKET: u16 = 17;
const ETHERTYPE_ARP: u16 = 0x0806;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Messages that are read at a time.
const READ_MAX: usize = 64;
/// Neighbour messages are shorter; what is longer is none.
const MESSAGE_BYTES_MAX: usize = 256;
