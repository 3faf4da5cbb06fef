//! What a rule asks of a packet, read from its expressions.

use std::net::IpAddr;

use crate::net::{Cidr, Family};
use crate::ruleset::{CmpOp, Expr, FibAddress, Header, MetaKey, Rule, Value};

/// `ip saddr 10.244.0.0/16` or `ip daddr != ...`: an address of the packet compared with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InNetwork {
    /// Which address.
    pub(super) address: FibAddress,
    /// Whether it must be inside.
    pub(super) op: CmpOp,
    /// The network.
    pub(super) network: Cidr,
}

/// `iifname "cbr0"` or `iifname != "veth*"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FromInterface {
    /// The name, or how it begins.
    pub(super) name: String,
    /// Whether only its beginning is compared.
    pub(super) prefix: bool,
}

/// The comparisons of addresses with networks in a rule.
pub(super) fn networks(rule: &Rule, family: Family) -> Vec<InNetwork> {
    let mut found = Vec::new();
    for (at, expr) in rule.exprs.iter().enumerate() {
        let Expr::Payload { header: Header::Network, offset, len, .. } = expr else { continue };
        let Some(address) = address_at(*offset, family) else { continue };
        let (mask, compared) = match (rule.exprs.get(at + 1), rule.exprs.get(at + 2)) {
            (Some(Expr::Bitwise { mask, .. }), Some(Expr::Cmp { op, value, .. })) => {
                (Some(mask), (op, value))
            }
            (Some(Expr::Cmp { op, value, .. }), _) => (None, (op, value)),
            _ => continue,
        };
        let prefix = mask.map_or(u32::from(*len) * 8, ones);
        found.extend(network(compared.1, prefix, family).map(|network| InNetwork {
            address,
            op: *compared.0,
            network,
        }));
    }
    found
}

/// The comparison of the incoming interface in a rule, if there is one.
pub(super) fn interface(rule: &Rule) -> Option<FromInterface> {
    let at = rule.exprs.iter().position(|expr| matches!(expr, Expr::Meta { key: MetaKey::IifName, .. }))?;
    let Some(Expr::Cmp { value, .. }) = rule.exprs.get(at + 1) else { return None };
    // A whole name is compared with its closing zeros.
    let name: Vec<u8> = value.as_bytes().iter().copied().take_while(|byte| *byte != 0).collect();
    let prefix = name.len() == value.len();
    Some(FromInterface { name: String::from_utf8_lossy(&name).into_owned(), prefix })
}

/// Whether a rule goes on only for packets from this host's own addresses.
pub(super) fn from_this_host(rule: &Rule) -> bool {
    rule.exprs.iter().any(|expr| matches!(expr, Expr::FibType { address: FibAddress::Source, .. }))
}

/// Whether a rule goes on with every packet.
pub(super) fn is_unconditional(rule: &Rule) -> bool {
    rule.exprs.len() == 1
}

/// Where the addresses are in the IP header (RFC 791, RFC 8200).
fn address_at(offset: u8, family: Family) -> Option<FibAddress> {
    let source = match family {
        Family::Ipv4 => 12,
        Family::Ipv6 => 8,
    };
    match offset.checked_sub(source)? {
        0 => Some(FibAddress::Source),
        behind if behind == family.address_len() => Some(FibAddress::Destination),
        _ => None,
    }
}

fn ones(mask: &Value) -> u32 {
    mask.as_bytes().iter().map(|byte| byte.count_ones()).sum()
}

/// The network of an address whose last bytes, where they are missing, are not compared.
fn network(value: &Value, prefix: u32, family: Family) -> Option<Cidr> {
    let prefix = u8::try_from(prefix).ok()?;
    let padded = |mut bytes: Vec<u8>, len| {
        bytes.resize(len, 0);
        bytes
    };
    let bytes = padded(value.as_bytes().to_vec(), usize::from(family.address_len()));
    let address = match family {
        Family::Ipv4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        Family::Ipv6 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Cidr::new(address, prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DetectLocal};
    use crate::layout::{ProgramNeeds, chain, program};
    use crate::name::Name;
    use crate::resolve::View;
    use crate::ruleset::Table;

    fn compiled(detect_local: DetectLocal, service_cidrs: &[Cidr], family: Family) -> Table {
        let config = Config { detect_local, ..Config::default() };
        let needs = ProgramNeeds { service_cidrs: service_cidrs.to_vec(), ..ProgramNeeds::default() };
        program(View { config: &config, node: None }, family, &needs)
    }

    #[test]
    fn networks_read_back_as_they_were_written() {
        let check = |text: &str| {
            let network: Cidr = text.parse().unwrap();
            let family = network.family();
            let table = compiled(DetectLocal::ClusterCidr(vec![network]), &[network], family);
            let read = |chain: &str, rule: usize| networks(&table.chains[chain].rules[rule], family);
            let source = InNetwork { address: FibAddress::Source, op: CmpOp::Neq, network };
            assert_eq!(read(chain::SERVICES, 0), [source], "{text}");
            let destination = InNetwork { address: FibAddress::Destination, op: CmpOp::Eq, network };
            assert_eq!(read(chain::CHECK_CLUSTER_IPS, 1), [destination], "{text}");
        };
        for text in
            ["10.244.0.0/16", "10.96.0.0/12", "128.0.0.0/1", "192.0.2.1/32", "fd00::/7", "fd00:10::/56"]
        {
            check(text);
        }
    }

    #[test]
    fn interfaces_read_back_as_they_were_written() {
        let check = |detect_local, expected: Option<(&str, bool)>| {
            let table = compiled(detect_local, &[], Family::Ipv4);
            let read = interface(&table.chains[chain::SERVICES].rules[0]);
            let expected = expected.map(|(name, prefix)| FromInterface { name: name.to_owned(), prefix });
            assert_eq!(read, expected);
        };
        check(DetectLocal::BridgeInterface(Name::from("cbr0")), Some(("cbr0", false)));
        check(DetectLocal::InterfaceNamePrefix(Name::from("veth")), Some(("veth", true)));
        check(DetectLocal::Off, None);
    }
}
