//! Ranges of addresses: `192.0.2.1`, `192.0.2.1-192.0.2.9`, `192.0.2.0/24` (host bits may be set), and the same for IPv6.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One range, both ends included. IPv4 and IPv6 never meet; IPv4-mapped IPv6 counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

/// Several ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(pub Vec<IpRange>);

impl IpRange {
    /// Reads any of the three forms; the error says what is wrong.
    pub fn parse(text: &str) -> Result<IpRange, String> {
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first.trim())?, address(last.trim())?);
            if first.is_ipv4() != last.is_ipv4() {
                return Err(format!("\"{text}\" mixes IPv4 and IPv6"));
            }
            if first > last {
                return Err(format!("\"{text}\" ends before it starts; write the lower address first"));
            }
            return Ok(IpRange { first, last });
        }
        if text.contains('/') {
            let net: IpNet =
                text.parse().map_err(|_| format!("\"{text}\" is no network; write it like 192.0.2.0/24"))?;
            return Ok(IpRange { first: net.network(), last: net.broadcast() });
        }
        let only = address(text)?;
        Ok(IpRange { first: only, last: only })
    }

    /// `ip` is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && self.first <= ip && ip <= self.last
    }

    /// All of `other` is in it.
    pub fn covers(&self, other: &IpRange) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    /// They have addresses in common and neither covers the other.
    pub fn crosses(&self, other: &IpRange) -> bool {
        let meets = self.contains(other.first) || other.contains(self.first);
        meets && !self.covers(other) && !other.covers(self)
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Addresses in it, less one (so that the whole of IPv6 fits).
    pub fn span(&self) -> u128 {
        number(self.last) - number(self.first)
    }

    /// Only loopback addresses are in it.
    pub fn is_loopback(&self) -> bool {
        self.first.is_loopback() && self.last.is_loopback()
    }
}

impl Ranges {
    /// `ip` is in one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(ip))
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An IPv6 zone (`fe80::1%eth0`) is accepted and says nothing about who the peer is.
fn address(text: &str) -> Result<IpAddr, String> {
    let bare = match text.split_once('%') {
        Some((bare, zone)) if !zone.is_empty() && bare.contains(':') => bare,
        _ => text,
    };
    let ip: IpAddr = bare.parse().map_err(|_| format!("\"{text}\" is no IP address, range or network"))?;
    Ok(ip.to_canonical())
}

/// An address as a number within its family.
pub fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits: u32 = if self.first.is_ipv4() { 32 } else { 128 };
        let host_bits = (self.span().checked_add(1))
            .map_or(128, |count| if count.is_power_of_two() { count.ilog2() } else { u32::MAX });
        let aligned = host_bits != u32::MAX && (host_bits == 128 || number(self.first).is_multiple_of(1 << host_bits));
        match (host_bits, aligned) {
            (0, _) => write!(f, "{}", self.first),
            (_, true) => write!(f, "{}/{}", self.first, bits - host_bits),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Every address of both families.
pub const EVERYBODY: [IpRange; 2] = [
    IpRange { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(Ipv4Addr::BROADCAST) },
    IpRange { first: IpAddr::V6(Ipv6Addr::UNSPECIFIED), last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)) },
];
