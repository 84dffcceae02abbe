//! Owns the addresses of network interfaces, over netlink. Knows no lease and no holder.
//!
//! Always holds: what it adds has an end that the kernel keeps; an address that is not there any more counts as removed; one that has no
//! end was not added by us, and is left alone. Nothing is routed by a virtual address that was not before: an IPv6 one is deprecated from
//! the start, so that it is never the source of a connection that does not ask for it.

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope, RouteType};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::task::JoinHandle;

/// The way to the kernel's interfaces. Dropping it closes its socket.
pub struct Interfaces {
    handle: rtnetlink::Handle,
    driver: JoinHandle<()>,
}

/// An interface as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// It is up, and the cable is in.
    pub carrier: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// With its prefix.
    pub net: IpNet,
    /// It has no end: somebody has configured it.
    pub permanent: bool,
}

/// What the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetError {
    /// We may not (EPERM).
    Permission,
    /// There is no such interface, or no such address.
    Absent,
    /// Anything else.
    Other(String),
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::Permission => f.write_str("not permitted: CAP_NET_ADMIN is missing"),
            NetError::Absent => f.write_str("there is no such interface"),
            NetError::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for NetError {}

impl From<rtnetlink::Error> for NetError {
    fn from(error: rtnetlink::Error) -> NetError {
        let rtnetlink::Error::NetlinkError(refusal) = &error else { return NetError::Other(error.to_string()) };
        let refused = refusal.to_io();
        match refused.raw_os_error() {
            Some(EPERM) => NetError::Permission,
            Some(ENODEV | EADDRNOTAVAIL) => NetError::Absent,
            _ => NetError::Other(refused.to_string()),
        }
    }
}

/// Where the kernel writes which addresses are its own.
const LOCAL_TABLE: u32 = 255;
const EPERM: i32 = 1;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;

impl Interfaces {
    /// Opens the way. Call it inside a tokio runtime.
    pub fn open() -> io::Result<Interfaces> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok(Interfaces { handle, driver: tokio::spawn(connection) })
    }

    /// An interface by its name.
    pub async fn link(&self, name: &str) -> Result<Link, NetError> {
        let found = self.handle.link().get().match_name(name.to_string()).execute().try_next().await?;
        let message = found.ok_or(NetError::Absent)?;
        let flags = message.header.flags;
        let mac = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            _ => None,
        });
        let carrier = flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp);
        Ok(Link { index: message.header.index, carrier, mac: mac.filter(|mac| *mac != [0; 6]) })
    }

    /// All addresses of an interface.
    pub async fn addresses(&self, index: u32) -> Result<Vec<Present>, NetError> {
        let mut messages = self.handle.address().get().set_link_index_filter(index).execute();
        let mut all = Vec::new();
        while let Some(message) = messages.try_next().await? {
            all.extend(present(&message));
        }
        Ok(all)
    }

    /// Adds an address for `lifetime_s` seconds, or gives it so many from now on. `routed`: the kernel routes its subnet to the interface
    /// as well; for one whose subnet no other address of the interface is in.
    pub async fn put(&self, index: u32, net: IpNet, lifetime_s: u32, routed: bool) -> Result<(), NetError> {
        let mut request = self.handle.address().add(index, net.addr(), net.prefix_len()).replace();
        let message = request.message_mut();
        let mut flags = AddressFlags::empty();
        if !routed {
            flags |= AddressFlags::Noprefixroute;
        }
        let mut times = CacheInfo::default();
        times.ifa_valid = lifetime_s;
        if net.addr().is_ipv6() {
            // Nobody else has it: etcd says so. Waiting a second for the network to say so too would be a second without the address.
            flags |= AddressFlags::Nodad;
        } else {
            times.ifa_preferred = lifetime_s;
        }
        message.attributes.push(AddressAttribute::Flags(flags));
        message.attributes.push(AddressAttribute::CacheInfo(times));
        Ok(request.execute().await?)
    }

    /// From now on nothing comes in to an address, though it is still there and can be sent from: between the end of its connections and its
    /// removal nobody connects who would then wait for ever. Silence is right: who asks asks again, and the next holder answers.
    pub async fn shut(&self, index: u32, net: IpNet) -> Result<(), NetError> {
        let message = match net.addr() {
            IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(address, 32)
                .scope(RouteScope::Host)
                .output_interface(index)
                .table_id(LOCAL_TABLE)
                .kind(RouteType::Local)
                .protocol(RouteProtocol::Kernel)
                .build(),
            IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(address, 128)
                .output_interface(index)
                .table_id(LOCAL_TABLE)
                .kind(RouteType::Local)
                .protocol(RouteProtocol::Kernel)
                .build(),
        };
        Ok(self.handle.route().del(message).execute().await?)
    }

    /// Removes an address; one that is not there is fine.
    pub async fn remove(&self, index: u32, net: IpNet) -> Result<(), NetError> {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = net.prefix_len();
        message.header.family = if net.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.attributes.push(AddressAttribute::Local(net.addr()));
        message.attributes.push(AddressAttribute::Address(net.addr()));
        match self.handle.address().del(message).execute().await.map_err(NetError::from) {
            Err(NetError::Absent) => Ok(()),
            done => done,
        }
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn present(message: &AddressMessage) -> Option<Present> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let valid_s = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(times) => Some(times.ifa_valid),
        _ => None,
    });
    let address: IpAddr = local.or(any)?;
    let net = IpNet::new(address, message.header.prefix_len).ok()?;
    Some(Present { net, permanent: valid_s.is_none_or(|seconds| seconds == u32::MAX) })
}
