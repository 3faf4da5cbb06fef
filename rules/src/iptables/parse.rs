//! From the words of `iptables-save` to what is ours.
//!
//! Rules of others are passed over. Of ours, every option that we use is understood in any order; a rule with anything
//! else is kept as it is, so that the differ takes it for one that should not be there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use thiserror::Error;

use super::chain::{TableName, built_in};
use super::installed::{InstalledRule, InstalledTable, Jump, is_ours};
use super::names::PREFIX;
use super::rule::{AddressType, Interface, Match, Odds, Recent, Rule, State, Target};
use crate::name::Name;
use crate::net::{Cidr, Protocol};
use crate::ruleset::{Hook, Reject};

/// What is not the output of `iptables-save`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// A rule or chain that is in no table.
    #[error("line {line} belongs to no table")]
    NoTable {
        /// The line's number, from 1.
        line: usize,
    },
    /// The last table is not ended by COMMIT: the program was interrupted.
    #[error("the output ends within a table")]
    Truncated,
}

/// Reads what `iptables-save` or `ip6tables-save` prints: the tables that exist, with what is ours in them.
///
/// # Errors
///
/// Where it cannot be all that the program has to say.
pub fn parse(text: &str) -> Result<BTreeMap<TableName, InstalledTable>, ParseError> {
    let mut tables = BTreeMap::new();
    let mut current: Option<Reader> = None;
    for (line, number) in text.lines().map(str::trim_end).zip(1..) {
        match (line.chars().next(), &mut current) {
            (None | Some('#'), _) => {}
            (Some('*'), None) => current = Some(Reader::new(line.get(1..).unwrap_or_default())),
            (_, None) => return Err(ParseError::NoTable { line: number }),
            (Some('C'), Some(_)) => {
                if let Some(Reader { name: Some(name), table, .. }) = current.take() {
                    tables.insert(name, table);
                }
            }
            (_, Some(reader)) => reader.line(line),
        }
    }
    if current.is_some() { Err(ParseError::Truncated) } else { Ok(tables) }
}

/// A table that is being read.
struct Reader {
    /// `None` where it is one that we do not use.
    name: Option<TableName>,
    table: InstalledTable,
    /// How many rules each built-in chain has so far.
    seen: BTreeMap<Hook, usize>,
}

impl Reader {
    fn new(name: &str) -> Self {
        Self { name: TableName::from_keyword(name), table: InstalledTable::default(), seen: BTreeMap::new() }
    }

    fn line(&mut self, line: &str) {
        if let Some(chain) = line.strip_prefix(':') {
            let name = chain.split(' ').next().unwrap_or_default();
            if is_ours(name) {
                self.table.chains.entry(Name::from(name)).or_default();
            }
            return;
        }
        // With `-c`, counters come first.
        let rule =
            if line.starts_with('[') { line.split_once(' ').map_or("", |(_, rest)| rest) } else { line };
        let Some((chain, rest)) =
            rule.strip_prefix("-A ").map(|rule| rule.split_at(rule.find(' ').unwrap_or(rule.len())))
        else {
            return;
        };
        if is_ours(chain) {
            self.table.chains.entry(Name::from(chain)).or_default().push(understand(rest));
        } else if let Some(hook) = Hook::ALL.into_iter().find(|hook| built_in(*hook) == chain) {
            let seen = self.seen.entry(hook).or_default();
            let position = *seen;
            *seen += 1;
            if leads_to_us(rest) {
                self.table.jumps.entry(hook).or_default().push(Jump { position, rule: understand(rest) });
            }
        }
    }
}

/// Whether the target of a rule is a chain of ours.
fn leads_to_us(rule: &str) -> bool {
    let targets = [" -j ", " -g "].into_iter().flat_map(|word| rule.match_indices(word));
    targets
        .into_iter()
        .any(|(at, word)| rule.get(at + word.len()..).is_some_and(|rest| rest.starts_with(PREFIX)))
}

fn understand(text: &str) -> InstalledRule {
    let known = words(text).and_then(|words| Words { words: words.into_iter() }.rule());
    known.map_or_else(|| InstalledRule::Other(text.to_owned()), InstalledRule::Known)
}

/// The words of a rule, some of which are quoted. `None` where a quotation does not end.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().push(chars.next()?),
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

struct Words {
    words: std::vec::IntoIter<String>,
}

impl Words {
    fn next(&mut self) -> Option<String> {
        self.words.next()
    }

    /// The rule, if it is one that we might have made.
    fn rule(mut self) -> Option<Rule> {
        let mut rule = Rule::new(Target::Return);
        let mut recent = None;
        while let Some(word) = self.next() {
            match word.as_str() {
                "-s" => rule.source = Some(network(&self.next()?)?),
                "-d" => rule.destination = Some(network(&self.next()?)?),
                "-i" => rule.interface = Some(interface(&self.next()?)),
                "-p" => rule.protocol = Some(protocol(&self.next()?)?),
                "--dport" => rule.port = Some(self.next()?.parse().ok()?),
                "--comment" => rule.comment = Some(Name::from(self.next()?)),
                "-m" => {
                    rule.matches.extend(finish(&mut recent)?);
                    if self.next()? == "recent" {
                        recent = Some(PartOfRecent::default());
                    }
                }
                "--set" | "--update" | "--seconds" | "--reap" | "--name" | "--mask" | "--rsource" => {
                    recent.as_mut()?.option(&word, &mut self)?;
                }
                "--mode" => (self.next()? == "random").then_some(())?,
                "-j" | "-g" => {
                    rule.matches.extend(finish(&mut recent)?);
                    rule.target = self.target(&word)?;
                    return Some(rule);
                }
                _ => rule.matches.push(self.condition(&word)?),
            }
        }
        // Every rule of ours has a target.
        None
    }

    fn condition(&mut self, option: &str) -> Option<Match> {
        let value = self.next()?;
        Some(match (option, value.as_str()) {
            ("--src-type", "LOCAL") => Match::Local(AddressType::Source),
            ("--dst-type", "LOCAL") => Match::Local(AddressType::Destination),
            ("--ctstate", "NEW") => Match::State(State::New),
            ("--ctstate", "DNAT") => Match::State(State::Dnat),
            ("--mark", value) => {
                let (mark, mask) = bits(value)?;
                (mark == mask).then_some(Match::Mark(mark))?
            }
            ("--probability", value) => Match::Random(Odds::from_decimal(value)?),
            _ => return None,
        })
    }

    /// The target with its options, which end the rule.
    fn target(mut self, word: &str) -> Option<Target> {
        let name = self.next()?;
        let rest: Vec<String> = self.words.collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        if word == "-g" {
            return rest.is_empty().then(|| Target::Goto(Name::from(name)));
        }
        Some(match (name.as_str(), rest.as_slice()) {
            ("RETURN", []) => Target::Return,
            ("DROP", []) => Target::Drop,
            ("REJECT", ["--reject-with", "tcp-reset"]) => Target::Reject(Reject::TcpReset),
            ("REJECT", [] | ["--reject-with", "icmp-port-unreachable" | "icmp6-port-unreachable"]) => {
                Target::Reject(Reject::PortUnreachable)
            }
            ("DNAT", ["--to-destination", to]) => Target::Dnat(to.parse().ok()?),
            ("MASQUERADE", ["--random-fully"]) => Target::Masquerade,
            ("MARK", ["--set-xmark", value]) => {
                let (flip, clear) = bits(value)?;
                Target::Mark { clear, flip }
            }
            (chain, []) if is_ours(chain) => Target::Jump(Name::from(chain)),
            _ => return None,
        })
    }
}

/// A `-m recent` that is being read.
#[derive(Default)]
struct PartOfRecent {
    list: Option<String>,
    set: bool,
    update: bool,
    reap: bool,
    by_source: bool,
    seconds: Option<u32>,
}

impl PartOfRecent {
    fn option(&mut self, word: &str, words: &mut Words) -> Option<()> {
        match word {
            "--set" => self.set = true,
            "--update" => self.update = true,
            "--reap" => self.reap = true,
            "--rsource" => self.by_source = true,
            "--seconds" => self.seconds = Some(words.next()?.parse().ok()?),
            "--name" => self.list = Some(words.next()?),
            // The whole address, which is the default.
            "--mask" => {
                let mask: IpAddr = words.next()?.parse().ok()?;
                let whole = match mask {
                    IpAddr::V4(mask) => mask.to_bits() == u32::MAX,
                    IpAddr::V6(mask) => mask.to_bits() == u128::MAX,
                };
                whole.then_some(())?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// The match that was being read, if any; `None` where it is none of ours.
fn finish(part: &mut Option<PartOfRecent>) -> Option<Option<Match>> {
    let Some(part) = part.take() else { return Some(None) };
    let action = match part {
        PartOfRecent { set: true, update: false, reap: false, seconds: None, .. } => Recent::Set,
        PartOfRecent { set: false, update: true, reap: true, seconds: Some(seconds), .. } => {
            Recent::Update { seconds }
        }
        _ => return None,
    };
    let list = part.list.filter(|_| part.by_source)?;
    Some(Some(Match::Recent { list: Name::from(list), action }))
}

fn network(text: &str) -> Option<Cidr> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Some(super::program::host(address)),
        Err(_) => text.parse().ok(),
    };
    network.filter(|network| network.prefix() > 0)
}

fn interface(name: &str) -> Interface {
    match name.strip_suffix('+') {
        Some(prefix) => Interface::Prefix(Name::from(prefix)),
        None => Interface::Named(Name::from(name)),
    }
}

/// By name, or by number where the host has no names for protocols.
fn protocol(text: &str) -> Option<Protocol> {
    let named = Protocol::ALL.into_iter().find(|protocol| protocol.keyword() == text);
    named.or_else(|| Protocol::from_number(text.parse().ok()?))
}

/// `value/mask`, both with or without 0x.
fn bits(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    Some((number(value)?, number(mask)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nat(rules: &str) -> InstalledTable {
        let text = format!("# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n{rules}COMMIT\n# Completed\n");
        parse(&text).unwrap().remove(&TableName::Nat).unwrap()
    }

    #[test]
    fn rules_of_others_are_passed_over_and_counted() {
        let table = nat(":KUBE-SVC - [0:0]\n:SVCNAT-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SVC\n\
             [1:60] -A PREROUTING -m comment --comment \"a -x b\" -j SVCNAT-SERVICES\n\
             -A PREROUTING -m comment --comment \"to SVCNAT-SERVICES\" -j KUBE-SVC\n\
             -A PREROUTING -i eth0 -m length --length 5 -j SVCNAT-SERVICES\n-A KUBE-SVC -j RETURN\n");
        assert_eq!(table.chains, BTreeMap::from([(Name::from("SVCNAT-SERVICES"), Vec::new())]));
        let jump = Rule::jump("SVCNAT-SERVICES").comment(Some(Name::from("a -x b")));
        let other = " -i eth0 -m length --length 5 -j SVCNAT-SERVICES".to_owned();
        let expected = vec![
            Jump { position: 1, rule: InstalledRule::Known(jump) },
            Jump { position: 3, rule: InstalledRule::Other(other) },
        ];
        assert_eq!(table.jumps, BTreeMap::from([(Hook::Prerouting, expected)]));
    }

    #[test]
    fn what_we_never_make_is_kept_as_it_is() {
        for rule in [
            "! -s 10.0.0.0/8 -j RETURN",
            "-p icmp -j RETURN",
            "-p tcp",
            "-m conntrack --ctstate NEW,ESTABLISHED -j RETURN",
            "-m mark --mark 0x1/0x3 -j RETURN",
            "-m statistic --mode nth --every 2 --packet 0 -j RETURN",
            "-m recent --rcheck --seconds 5 --name x --rsource -j RETURN",
            "-m recent --set --name x --mask 255.255.255.0 --rsource -j RETURN",
            "-m recent --set --name x --rdest -j RETURN",
            "-j DNAT --to-destination 10.0.0.1",
            "-j DNAT --to-destination 10.0.0.1:80 --random",
            "-j MASQUERADE",
            "-j LOG",
            "-j RETURN \"",
        ] {
            let table = nat(&format!("-A SVCNAT-X {rule}\n"));
            let expected = vec![InstalledRule::Other(format!(" {rule}"))];
            assert_eq!(table.chains.get("SVCNAT-X"), Some(&expected), "{rule}");
        }
    }

    #[test]
    fn the_forms_of_several_versions_are_one_rule() {
        for rule in [
            " -d 10.0.0.1/32 -p sctp -m sctp --dport 80 -m comment --comment \"x\" -j SVCNAT-Y",
            " -p 132 -d 10.0.0.1 -m comment --comment x -m sctp --dport 80 -j SVCNAT-Y",
        ] {
            let table = nat(&format!("-A SVCNAT-X{rule}\n"));
            let host = super::super::program::host("10.0.0.1".parse().unwrap());
            let expected = Rule::jump("SVCNAT-Y").to(host).on(Protocol::Sctp, 80);
            let expected = expected.comment(Some(Name::from("x")));
            assert_eq!(table.chains.get("SVCNAT-X"), Some(&vec![InstalledRule::Known(expected)]));
        }
    }

    #[test]
    fn half_of_an_output_is_an_error() {
        let check = |text: &str, expected| assert_eq!(parse(text), expected, "{text:?}");
        check("", Ok(BTreeMap::new()));
        check("# Table `x' is incompatible, use 'nft' tool.\n", Ok(BTreeMap::new()));
        check("*raw\n-A PREROUTING -j SVCNAT-X\nCOMMIT\n", Ok(BTreeMap::new()));
        check("*nat\n:PREROUTING ACCEPT [0:0]\n", Err(ParseError::Truncated));
        check("\n-A PREROUTING -j SVCNAT-X\n", Err(ParseError::NoTable { line: 2 }));
    }
}
