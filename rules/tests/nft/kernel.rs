//! The program `nft` in a network namespace of its own, and what it says that it sends to the kernel.

use std::collections::BTreeMap;
use std::process::Command;

use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    CmpOp, CtKey, Expr, FibAddress, Header, LookupData, MetaKey, Register, Reject, Rule, Value, Verdict,
};

/// The expressions of each rule, by family and chain.
pub type Sent = BTreeMap<(String, String), Vec<Vec<String>>>;

/// Runs a shell script in a fresh network namespace, with files for it named `$0`, `$1` and so on; panics where it fails.
pub fn in_namespace(shell: &str, files: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let paths = files.iter().enumerate().map(|(i, content)| {
        let path = folder.path().join(i.to_string());
        std::fs::write(&path, content).unwrap();
        path
    });
    let is_root =
        std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap() == 0;
    let output = Command::new("unshare")
        .arg(if is_root { "-n" } else { "-rn" })
        .args(["sh", "-e", "-c", shell])
        .args(paths)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{shell}: {}\n{out}\n{err}\n{files:?}", output.status);
    out.into_owned()
}

/// The rules in the output of `nft --debug=netlink`.
pub fn sent(output: &str) -> Sent {
    let mut sent = Sent::new();
    let mut at = None;
    for line in output.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [family @ ("ip" | "ip6"), "svcnat", chain, ..] = words[..] {
            let key = (family.to_owned(), chain.to_owned());
            sent.entry(key.clone()).or_default().push(Vec::new());
            at = Some(key);
        } else if let Some(expr) = line.strip_prefix("  [ ") {
            let rules = sent.get_mut(at.as_ref().unwrap()).unwrap();
            rules.last_mut().unwrap().push(expr.strip_suffix(" ]").unwrap().to_owned());
        }
    }
    sent
}

/// What nft should say of these rules.
pub fn expected<'a>(rules: impl IntoIterator<Item = (Family, &'a str, &'a Rule)>) -> Sent {
    let mut sent = Sent::new();
    for (family, chain, rule) in rules {
        let exprs = rule.exprs.iter().map(|expr| debug(expr, family)).collect();
        sent.entry((family.keyword().into(), chain.into())).or_default().push(exprs);
    }
    sent
}

/// An expression as libnftnl prints it (`nftnl_rule_snprintf`).
fn debug(expr: &Expr, family: Family) -> String {
    match expr {
        Expr::Payload { header, offset, len, dest } => {
            let header = match header {
                Header::Network => "network",
                Header::Transport => "transport",
            };
            format!("payload load {len}b @ {header} header + {offset} => reg {}", reg(*dest))
        }
        Expr::Meta { key, dest } => {
            let key = match key {
                MetaKey::L4Proto => "l4proto",
                MetaKey::Mark => "mark",
                MetaKey::IifName => "iifname",
            };
            format!("meta load {key} => reg {}", reg(*dest))
        }
        Expr::SetMark { source } => format!("meta set mark with reg {}", reg(*source)),
        Expr::Ct { key, dest } => {
            let suffix = if family == Family::Ipv6 { "6" } else { "" };
            let (key, direction) = match key {
                CtKey::State => ("state".to_owned(), ""),
                CtKey::Status => ("status".to_owned(), ""),
                CtKey::OriginalSource => (format!("src_ip{suffix}"), " , dir original"),
                CtKey::OriginalDestination => (format!("dst_ip{suffix}"), " , dir original"),
                CtKey::OriginalDestinationPort => ("proto_dst".to_owned(), " , dir original"),
            };
            format!("ct load {key} => reg {}{direction}", reg(*dest))
        }
        Expr::FibType { address, dest } => {
            let address = match address {
                FibAddress::Source => "saddr",
                FibAddress::Destination => "daddr",
            };
            format!("fib {address} type => reg {}", reg(*dest))
        }
        Expr::Numgen { modulus, dest } => format!("numgen reg {} = random mod {modulus}", reg(*dest)),
        Expr::Cmp { op, source, value } => {
            let op = match op {
                CmpOp::Eq => "eq",
                CmpOp::Neq => "neq",
            };
            format!("cmp {op} reg {} {}", reg(*source), words(value))
        }
        Expr::Bitwise { source, dest, mask, xor } => {
            let (source, mask, xor) = (reg(*source), words(mask), words(xor));
            format!("bitwise reg {} = ( reg {source} & {mask} ) ^ {xor}", reg(*dest))
        }
        Expr::HostToNetwork { source, dest, len } => {
            format!("byteorder reg {} = hton(reg {}, {len}, 1)", reg(*dest), reg(*source))
        }
        Expr::Lookup { set, source, data, invert } => {
            let data = match data {
                LookupData::None => String::new(),
                LookupData::Verdict => " dreg 0".to_owned(),
                LookupData::Load(dest) => format!(" dreg {}", reg(*dest)),
            };
            let invert = if *invert { " 0x1" } else { "" };
            format!("lookup reg {} set {set}{data}{invert}", reg(*source))
        }
        Expr::Immediate { dest, value } => format!("immediate reg {} {}", reg(*dest), words(value)),
        Expr::Verdict(verdict) => match verdict {
            Verdict::Jump(chain) => format!("immediate reg 0 jump -> {chain}"),
            Verdict::Goto(chain) => format!("immediate reg 0 goto -> {chain}"),
            other => format!("immediate reg 0 {other}"),
        },
        Expr::Dnat { address, port, port_specified } => {
            let port = port.map(|port| format!(" proto_min reg {}", reg(port))).unwrap_or_default();
            let flags = if *port_specified { " flags 0x2" } else { "" };
            format!("nat dnat {} addr_min reg {}{port}{flags}", family.keyword(), reg(*address))
        }
        Expr::Masquerade => "masq flags 0x10".to_owned(),
        Expr::Reject(Reject::PortUnreachable) => match family {
            Family::Ipv4 => "reject type 0 code 3".to_owned(),
            Family::Ipv6 => "reject type 0 code 4".to_owned(),
        },
        Expr::Reject(Reject::TcpReset) => "reject type 1 code 0".to_owned(),
        Expr::Update { set, key, data, timeout } => {
            let timeout = if *timeout > 0 { format!(" timeout {timeout}ms") } else { String::new() };
            format!("dynset update reg_key {} set {set} sreg_data {}{timeout}", reg(*key), reg(*data))
        }
    }
}

fn reg(register: Register) -> u32 {
    register.kernel_number()
}

/// Bytes as words of the host, the last one padded with zeros.
fn words(value: &Value) -> String {
    let words = value.as_bytes().chunks(4).map(|chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        format!("{:#010x}", u32::from_ne_bytes(word))
    });
    words.collect::<Vec<_>>().join(" ")
}
