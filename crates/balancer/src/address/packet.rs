//! Owns the bytes that neighbours are told: gratuitous ARP (RFC 826, RFC 5227 3) and unsolicited neighbour advertisements (RFC 4861 7.2.6),
//! and what can be read from theirs. No I/O. Always holds: bytes of others are read within their bounds and never trusted to be whole.

use std::net::{Ipv4Addr, Ipv6Addr};

pub type Mac = [u8; 6];

/// An Ethernet frame that says to all: this address is at this card. `reply`: as an answer, which some take more to heart; else as a
/// question for itself, which others do.
pub fn gratuitous_arp(mac: Mac, address: Ipv4Addr, reply: bool) -> [u8; ARP_FRAME_BYTES] {
    let mut frame = [0; ARP_FRAME_BYTES];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
    frame[14..20].copy_from_slice(&ARP_ETHERNET_IPV4);
    frame[21] = if reply { 2 } else { 1 };
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&address.octets());
    // A question has no target card yet.
    frame[32..38].fill(if reply { 0xff } else { 0 });
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

/// An Ethernet frame that asks all who has an address, and says nothing of whoever asks (an ARP probe, RFC 5227 2.1.1): a gratuitous
/// question is not answered by one who has it, this one is.
pub fn arp_probe(mac: Mac, address: Ipv4Addr) -> [u8; ARP_FRAME_BYTES] {
    let mut frame = gratuitous_arp(mac, address, false);
    frame[28..32].fill(0);
    frame
}

/// Whose card a frame says that an IPv4 address is at: its sender's.
pub fn arp_sender(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let body = frame.get(12..ARP_FRAME_BYTES)?;
    if body[..2] != ETHERTYPE_ARP || body[2..8] != ARP_ETHERNET_IPV4 || !matches!(body[8..10], [0, 1 | 2]) {
        return None;
    }
    let mac = <Mac>::try_from(&body[10..16]).ok()?;
    let address = <[u8; 4]>::try_from(&body[16..20]).ok()?;
    Some((address.into(), mac))
}

/// An ICMPv6 message that says to all: this address is at this card, forget what you knew. The kernel fills the checksum in.
pub fn advertisement(mac: Mac, address: Ipv6Addr) -> [u8; ADVERTISEMENT_BYTES] {
    let mut message = [0; ADVERTISEMENT_BYTES];
    message[0] = ADVERTISEMENT;
    message[4] = OVERRIDE;
    message[8..24].copy_from_slice(&address.octets());
    message[24..26].copy_from_slice(&TARGET_CARD);
    message[26..32].copy_from_slice(&mac);
    message
}

/// An ICMPv6 message that asks who has an address (RFC 4861 4.3). It goes to [`solicited_node`]; the kernel fills the checksum in.
pub fn solicitation(mac: Mac, address: Ipv6Addr) -> [u8; ADVERTISEMENT_BYTES] {
    let mut message = advertisement(mac, address);
    (message[0], message[4]) = (SOLICITATION, 0);
    message[24..26].copy_from_slice(&SOURCE_CARD);
    message
}

/// The group that whoever has an address listens to (RFC 4291 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Whose card an ICMPv6 message says that an address is at.
pub fn advertised(message: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    let fixed = message.get(..24)?;
    if fixed[..2] != [ADVERTISEMENT, 0] {
        return None;
    }
    let address = <[u8; 16]>::try_from(&fixed[8..24]).ok()?;
    // Options: type, length in units of 8 bytes. Without the option it says nothing about a card.
    let mut options = &message[24..];
    while let [kind, units, ..] = options {
        let bytes = usize::from(*units) * 8;
        if bytes == 0 || bytes > options.len() {
            return None;
        }
        if [*kind, *units] == TARGET_CARD {
            return Some((address.into(), <Mac>::try_from(&options[2..8]).ok()?));
        }
        options = &options[bytes..];
    }
    None
}

const ARP_FRAME_BYTES: usize = 42;
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// Hardware Ethernet, protocol IPv4, the lengths of their addresses.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const ADVERTISEMENT_BYTES: usize = 32;
const ADVERTISEMENT: u8 = 136;
const SOLICITATION: u8 = 135;
const OVERRIDE: u8 = 0x20;
/// The option "target link-layer address", one unit long.
const TARGET_CARD: [u8; 2] = [2, 1];
/// The option "source link-layer address".
const SOURCE_CARD: [u8; 2] = [1, 1];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    #[test]
    fn what_is_told_is_understood() {
        let (four, six) = (Ipv4Addr::new(192, 0, 2, 10), "2001:db8::10".parse::<Ipv6Addr>().unwrap());
        for reply in [false, true] {
            assert_eq!(arp_sender(&gratuitous_arp(MAC, four, reply)), Some((four, MAC)));
        }
        assert_eq!(gratuitous_arp(MAC, four, false)[20..22], [0, 1]);
        assert_eq!(advertised(&advertisement(MAC, six)), Some((six, MAC)));
        assert_eq!(arp_sender(&arp_probe(MAC, four)), Some((Ipv4Addr::UNSPECIFIED, MAC)), "who asks claims nothing");
        assert_eq!(advertised(&solicitation(MAC, six)), None, "a question");
        assert_eq!(solicited_node("fe80::2aa:ff:fe28:9c5a".parse().unwrap()).to_string(), "ff02::1:ff28:9c5a");
        let mut other = advertisement(MAC, six);
        other[24] = 1;
        assert_eq!(advertised(&other), None, "the source's card, not the target's");
    }

    proptest! {
        /// Bytes of strangers: no panic, and nothing is read from a part of a frame.
        #[test]
        fn parts_and_rubbish_say_nothing(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..42) {
            arp_sender(&bytes);
            advertised(&bytes);
            let mut message = advertisement(MAC, Ipv6Addr::LOCALHOST).to_vec();
            message.truncate(24);
            message.extend(&bytes);
            advertised(&message);
            prop_assert_eq!(arp_sender(&gratuitous_arp(MAC, Ipv4Addr::LOCALHOST, true)[..cut]), None);
        }
    }
}
