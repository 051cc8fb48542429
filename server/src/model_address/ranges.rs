//! Which addresses are on the Internet: the special ranges of IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::BaseUrl;

/// Whether the address leads into a private network without asking a resolver.
pub fn is_plainly_private(url: &BaseUrl) -> bool {
    url.is_localhost() || url.literal().is_some_and(|ip| !is_public(ip))
}

/// Whether an address is on the Internet: neither this machine, nor a private or special network.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Networks of IPv4 that are not on the Internet, with the lengths of their prefixes.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),           // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by a carrier's customers
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // this machine
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, where clouds keep their credentials
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays to IPv6
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3),     // multicast, reserved, broadcast
];
/// The one block of IPv6 that is on the Internet. Outside are this machine, unique local,
/// link-local, site-local, multicast, and all that is not assigned.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What is special within that block.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, tunnels among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];
/// Prefixes behind which an IPv4 address stands, and how many bits behind it. Such an address is as
/// public as what it stands for.
const EMBEDDED_V4: &[(Ipv6Addr, u32, u32)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 0), // mapped
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 0), // translated
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 80), // tunneled
];

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let is_in = |(network, len): &(Ipv4Addr, u32)| {
        (u32::from(ip) ^ u32::from(*network)) >> (u32::BITS - len) == 0
    };
    !SPECIAL_V4.iter().any(is_in)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let is_in = |network: Ipv6Addr, len: u32| {
        (u128::from(ip) ^ u128::from(network)) >> (u128::BITS - len) == 0
    };
    if let Some((_, _, shift)) = EMBEDDED_V4.iter().find(|(network, len, _)| is_in(*network, *len))
    {
        let [.., a, b, c, d] = (u128::from(ip) >> shift).to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let (global, len) = GLOBAL_V6;
    is_in(global, len) && !SPECIAL_V6.iter().any(|(network, len)| is_in(*network, *len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "\
        0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 \
        169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 \
        192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 \
        239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1 \
        ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 \
        100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 fc00::1 fd12:3456::1 \
        fe80::1 fec0::1 ff02::1 5f00::1";
    const PUBLIC: &str = "\
        1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 \
        169.253.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 198.17.0.1 198.20.0.1 \
        223.255.255.255 ::ffff:1.1.1.1 64:ff9b::101:101 2001:200::1 2001:4860:4860::8888 \
        2002:101:101::1 2606:4700::1111 3ffe::1";

    #[test]
    fn every_special_range_is_private_and_its_neighbors_are_not() {
        for text in PRIVATE.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in PUBLIC.split_whitespace() {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
