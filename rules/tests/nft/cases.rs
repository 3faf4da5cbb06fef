//! Every kind of rule that the layouts have, for either family, with the line that says it.

use svcnat_rules::net::Protocol;
use svcnat_rules::ruleset::{
    CT_STATE_NEW, CT_STATUS_DNAT, CmpOp, CtKey, Expr, FibAddress, MetaKey, Register, Reject, Rule, Verdict,
};

use crate::build::*;

const FRONTEND: &[Load] = &[Daddr, L4Proto, Dport];
const CLIENT_FRONTEND: &[Load] = &[Saddr, Daddr, L4Proto, Dport];
const MARK: u32 = 0x4000;

/// Rules with their lines. In the lines, `ip ` is the family's keyword.
pub fn cases(b: Build) -> Vec<(String, Rule)> {
    let mut cases = dispatch(b);
    cases.extend(pick(b));
    cases.extend(addresses(b));
    cases.extend(bits());
    cases.extend(others(b));
    let keyword = b.0.keyword();
    cases.into_iter().map(|(line, rule)| (line.replace("ip ", &format!("{keyword} ")), rule)).collect()
}

fn dispatch(b: Build) -> Vec<(String, Rule)> {
    let restricted = b.in_set(FRONTEND, "source-restricted");
    let allowed = b.not_in_set(&[Daddr, L4ProtoSwapped, Dport, Saddr], "source-allowed");
    let frontend = [CtDaddr, L4Proto, CtDport];
    let client = [CtSaddr, CtDaddr, L4Proto, CtDport];
    let remember = |number, timeout| {
        rule([
            protocol(number),
            dport(CmpOp::Neq, 0),
            b.in_set(&frontend, "sticky-10800"),
            b.update(&client, &[Daddr, Dport], "affinity", timeout),
        ])
    };
    let remembered = |protocol, timeout| {
        format!(
            "{protocol} dport != 0 ct original ip daddr . meta l4proto . ct original proto-dst @sticky-10800 update @affinity {{ ct original ip saddr . ct original ip daddr . meta l4proto . ct original proto-dst{timeout} : ip daddr . th dport }}"
        )
    };
    vec![
        ("ip daddr . meta l4proto . th dport vmap @frontends".into(), rule([b.vmap(FRONTEND, "frontends")])),
        (
            "ip daddr @node-port-ips meta l4proto . th dport vmap @node-port-frontends".into(),
            rule([b.in_set(&[Daddr], "node-port-ips"), b.vmap(&[L4Proto, Dport], "node-port-frontends")]),
        ),
        ("ip daddr @cluster-ips reject".into(), rule([b.in_set(&[Daddr], "cluster-ips"), reject()])),
        (
            "ct state new ip daddr . meta l4proto . th dport @source-restricted ip daddr . meta l4proto . th dport . ip saddr != @source-allowed drop".into(),
            rule([any_bit(CtKey::State, CT_STATE_NEW), restricted, allowed, drop()]),
        ),
        (
            "ct status dnat ip saddr . ip daddr @hairpin masquerade fully-random".into(),
            rule([
                any_bit(CtKey::Status, CT_STATUS_DNAT),
                b.in_set(&[Saddr, Daddr], "hairpin"),
                vec![Expr::Masquerade],
            ]),
        ),
        (remembered("tcp", " timeout 3h"), remember(Protocol::Tcp, 10_800_000)),
        (remembered("udp", " timeout 1d"), remember(Protocol::Udp, 86_400_000)),
        (remembered("sctp", " timeout 1h1s"), remember(Protocol::Sctp, 3_601_000)),
        (remembered("tcp", " timeout 2d3h4m5s6ms"), remember(Protocol::Tcp, 183_845_006)),
        (remembered("tcp", ""), remember(Protocol::Tcp, 0)),
    ]
}

fn pick(b: Build) -> Vec<(String, Rule)> {
    let backend = b.pick("10.244.0.2", "fd00:244::2");
    let backend_port = b.pick("10.244.0.2:8080", "[fd00:244::2]:8080");
    let slot = [Daddr, L4Proto, Dport, Numgen(4)];
    vec![
        (
            format!("meta l4proto tcp numgen random mod 3 0 dnat to {backend_port}"),
            rule([protocol(Protocol::Tcp), numgen(3), b.dnat_to(backend, Some(8080))]),
        ),
        (
            format!("meta l4proto sctp dnat to {backend_port}"),
            rule([protocol(Protocol::Sctp), b.dnat_to(backend, Some(8080))]),
        ),
        (format!("dnat to {backend}"), rule([b.dnat_to(backend, None)])),
        (
            "dnat ip to ip saddr . ip daddr . meta l4proto . th dport map @affinity".into(),
            rule([b.dnat_map(CLIENT_FRONTEND, "affinity")]),
        ),
        (
            "dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 4 map @backends".into(),
            rule([b.dnat_map(&slot, "backends")]),
        ),
        (
            "dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 1 map @backends".into(),
            rule([b.dnat_map(&[Daddr, L4Proto, Dport, Numgen(1)], "backends")]),
        ),
        (
            "dnat ip to meta l4proto . th dport . numgen random mod 2 map @node-port-backends".into(),
            rule([b.dnat_map(&[L4Proto, Dport, Numgen(2)], "node-port-backends")]),
        ),
    ]
}

fn addresses(b: Build) -> Vec<(String, Rule)> {
    use CmpOp::{Eq, Neq};
    use FibAddress::{Destination, Source};
    let network = b.pick("10.244.0.0", "fd00:244::");
    let (unaligned, unaligned_mask, bits) =
        (b.pick("10.96.0.0", "fd00:60::"), b.pick("255.240.0.0", "ffff:fff0::"), b.pick("12", "28"));
    let any = b.pick("0.0.0.0", "::");
    let (host, full) = (b.pick("10.0.0.1", "fd00::1"), b.addr_len());
    let holes = b.pick("255.0.255.0", "ffff:0:ffff::");
    let aligned = b.pick("255.255.0.0", "ffff:ffff::");
    vec![
        (
            format!("ip saddr {} goto service", b.pick("10.244.0.0/16", "fd00::/16")),
            rule([b.prefix(Source, Eq, network, 2), goto("service")]),
        ),
        (
            format!("ip daddr @cluster-ips ip saddr != {} jump service", b.pick("10.0.0.0/8", "fd00::/8")),
            rule([b.in_set(&[Daddr], "cluster-ips"), b.prefix(Source, Neq, network, 1), jump("service")]),
        ),
        (format!("ip daddr {host} accept"), rule([b.prefix(Destination, Eq, host, full), accept()])),
        (format!("ip daddr != {host} accept"), rule([b.prefix(Destination, Neq, host, full), accept()])),
        (
            format!("ip daddr {unaligned}/{bits} drop"),
            rule([b.masked(Destination, Eq, unaligned_mask, unaligned), drop()]),
        ),
        (
            format!("ip daddr != {unaligned}/{bits} drop"),
            rule([b.masked(Destination, Neq, unaligned_mask, unaligned), drop()]),
        ),
        (format!("ip saddr {any}/0 accept"), rule([b.masked(Source, Eq, any, any), accept()])),
        (format!("ip saddr & {holes} == {any} accept"), rule([b.masked(Source, Eq, holes, any), accept()])),
        (
            format!("ip saddr & {aligned} != {network} accept"),
            rule([b.masked(Source, Neq, aligned, network), accept()]),
        ),
        (
            format!("ct original ip saddr {host} accept"),
            rule([vec![ct(CtKey::OriginalSource), eq(&octets(host))], accept()]),
        ),
        (
            format!("ct original ip daddr {unaligned}/{bits} accept"),
            rule([
                vec![
                    ct(CtKey::OriginalDestination),
                    mask_by(&octets(unaligned_mask)),
                    eq(&octets(unaligned)),
                ],
                accept(),
            ]),
        ),
    ]
}

fn bits() -> Vec<(String, Rule)> {
    let case = |line: &str, exprs: Vec<Expr>| (format!("{line} accept"), rule([exprs, accept()]));
    let masked_mark = |mask, compare| vec![meta(MetaKey::Mark), mask_by(&number(mask)), compare];
    let set = Expr::SetMark { source: Register::FIRST };
    let constant = Expr::Immediate {
        dest: Register::FIRST,
        value: svcnat_rules::ruleset::Value::from_bytes(&number(7)),
    };
    vec![
        case("ct state new", any_bit(CtKey::State, CT_STATE_NEW)),
        case("ct state established,new,untracked", any_bit(CtKey::State, 74)),
        case("ct state ! new", vec![ct(CtKey::State), mask_by(&number(CT_STATE_NEW)), eq(&number(0))]),
        case("ct state == new", vec![ct(CtKey::State), eq(&number(CT_STATE_NEW))]),
        case("ct state != invalid", vec![ct(CtKey::State), neq(&number(1))]),
        case("ct status dnat", any_bit(CtKey::Status, CT_STATUS_DNAT)),
        case("ct status snat,dnat", any_bit(CtKey::Status, 0x30)),
        case("ct status != dying", vec![ct(CtKey::Status), neq(&number(0x200))]),
        case("meta mark & 0x00004000 != 0x00000000", masked_mark(MARK, neq(&number(0)))),
        case("meta mark & 0x00004000 == 0x00004000", masked_mark(MARK, eq(&number(MARK)))),
        case("meta mark 0x00004000", vec![meta(MetaKey::Mark), eq(&number(MARK))]),
        case("meta mark != 0x00004000", vec![meta(MetaKey::Mark), neq(&number(MARK))]),
        case("meta mark set meta mark | 0x00004000", mark(!MARK, MARK)),
        case("meta mark set meta mark ^ 0x00004000", mark(u32::MAX, MARK)),
        case("meta mark set meta mark & 0xffffbfff", mark(!MARK, 0)),
        case("meta mark set meta mark & 0xffffbfff ^ 0x00000003", mark(!MARK, 3)),
        case("meta mark set 0x00000007", vec![constant, set]),
        (
            "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random".into(),
            rule([masked_mark(MARK, neq(&number(0))), mark(u32::MAX, MARK), vec![Expr::Masquerade]]),
        ),
    ]
}

fn others(b: Build) -> Vec<(String, Rule)> {
    use CmpOp::{Eq, Neq};
    let case = |line: &str, exprs: Vec<Expr>| (format!("{line} accept"), rule([exprs, accept()]));
    let fib = |address, compare| vec![Expr::FibType { address, dest: Register::FIRST }, compare];
    let tcp = || protocol(Protocol::Tcp);
    let sport = || vec![load_port(0, Register::FIRST), eq(&[0, 53])];
    let ct_port = || vec![ct(CtKey::OriginalDestinationPort), eq(&[0, 80])];
    let numgen = |modulus, compare| vec![Expr::Numgen { modulus, dest: Register::FIRST }, compare];
    let reset = || vec![Expr::Reject(Reject::TcpReset)];
    vec![
        case("fib saddr type local", fib_local(FibAddress::Source)),
        case("fib daddr type local", fib_local(FibAddress::Destination)),
        case("fib daddr type != broadcast", fib(FibAddress::Destination, neq(&number(3)))),
        case("fib saddr type 11", fib(FibAddress::Source, eq(&number(11)))),
        case("iifname \"cbr0\"", interface(Eq, "cbr0", 16)),
        case("iifname != \"cbr0\"", interface(Neq, "cbr0", 16)),
        case("iifname \"fifteen-letters\"", interface(Eq, "fifteen-letters", 16)),
        case("iifname \"veth*\"", interface(Eq, "veth", 4)),
        case("iifname != \"veth*\"", interface(Neq, "veth", 4)),
        case("numgen random mod 1 0", numgen(1, eq(&number(0)))),
        case("numgen random mod 65536 != 256", numgen(65536, neq(&number(256)))),
        case("meta l4proto tcp", tcp()),
        case("meta l4proto 47", vec![meta(MetaKey::L4Proto), eq(&[47])]),
        case("meta l4proto != udp", vec![meta(MetaKey::L4Proto), neq(&[17])]),
        case("th dport 80", dport(Eq, 80)),
        case("th sport 53", sport()),
        case("tcp dport 80", [tcp(), dport(Eq, 80)].concat()),
        case("udp sport 53", [protocol(Protocol::Udp), sport()].concat()),
        case("tcp dport 80 ct original proto-dst 80", [tcp(), dport(Eq, 80), ct_port()].concat()),
        case(
            "meta l4proto tcp ip daddr . meta l4proto . th dport @source-restricted",
            [tcp(), b.in_set(FRONTEND, "source-restricted")].concat(),
        ),
        ("meta l4proto tcp reject with tcp reset".into(), rule([tcp(), reset()])),
        ("tcp dport 80 reject with tcp reset".into(), rule([tcp(), dport(Eq, 80), reset()])),
        ("meta l4proto tcp reject".into(), rule([tcp(), reject()])),
        ("reject".into(), rule([reject()])),
        ("masquerade fully-random".into(), rule([vec![Expr::Masquerade]])),
        ("jump service".into(), rule([jump("service")])),
        ("goto service".into(), rule([goto("service")])),
        ("drop".into(), rule([drop()])),
        ("return".into(), rule([vec![Expr::Verdict(Verdict::Return)]])),
    ]
}

fn reject() -> Vec<Expr> {
    vec![Expr::Reject(Reject::PortUnreachable)]
}
