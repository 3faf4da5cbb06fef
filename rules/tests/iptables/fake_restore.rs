//! A fake of `iptables-restore --noflush` and `iptables-save`: as strict as the real ones, one commit for each table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Chains by name, as lists of what stands behind `-A CHAIN`.
type Chains = BTreeMap<String, Vec<String>>;

/// One family's tables.
#[derive(Debug, Clone, Default)]
pub struct FakeHost {
    tables: BTreeMap<String, Chains>,
}

const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

impl FakeHost {
    /// Tables with rules of others in their built-in chains and a chain of others.
    pub fn with_others() -> Self {
        let mut host = Self::default();
        for table in ["mangle", "filter", "nat"] {
            let others = || vec![" -j OTHERS".to_owned(), " -s 10.0.0.0/8 -j LOG".to_owned()];
            let mut chains: Chains = BUILT_IN.iter().map(|name| ((*name).to_owned(), others())).collect();
            chains.insert("OTHERS".to_owned(), vec![" -j RETURN".to_owned()]);
            host.tables.insert(table.to_owned(), chains);
        }
        host
    }

    /// Loads a script.
    pub fn restore(&mut self, script: &str) {
        let mut current: Option<(String, Chains)> = None;
        for line in script.lines().filter(|line| !line.starts_with('#')) {
            if let Some(table) = line.strip_prefix('*') {
                current = Some((table.to_owned(), self.tables.get(table).cloned().unwrap_or_default()));
            } else if line == "COMMIT" {
                let (table, chains) = current.take().unwrap();
                check_jumps(&chains);
                self.tables.insert(table, chains);
            } else {
                execute(&mut current.as_mut().unwrap().1, line);
            }
        }
        assert!(current.is_none(), "no COMMIT at the end");
    }

    /// What `iptables-save` prints.
    pub fn save(&self) -> String {
        let mut text = String::new();
        for (table, chains) in &self.tables {
            let _ = writeln!(text, "*{table}");
            chains.keys().for_each(|chain| writeln!(text, ":{chain} - [0:0]").unwrap());
            for (chain, rules) in chains {
                rules.iter().for_each(|rule| writeln!(text, "-A {chain}{rule}").unwrap());
            }
            text.push_str("COMMIT\n");
        }
        text
    }
}

fn execute(chains: &mut Chains, line: &str) {
    if let Some(chain) = line.strip_prefix(':') {
        chains.insert(chain.split(' ').next().unwrap().to_owned(), Vec::new());
        return;
    }
    let (command, rest) = line.split_at(3);
    let (chain, rule) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    if command == "-X " {
        assert_eq!(chains.remove(chain), Some(Vec::new()), "only an empty chain goes: {line}");
        return;
    }
    let rules = chains.get_mut(chain).unwrap_or_else(|| panic!("no chain for {line}"));
    match command {
        "-A " => rules.push(rule.to_owned()),
        "-D " => {
            let at = rules.iter().position(|there| there == rule);
            rules.remove(at.unwrap_or_else(|| panic!("nothing to delete: {line}")));
        }
        "-I " => {
            let (position, rule) = rule[1..].split_at(rule[1..].find(' ').unwrap());
            rules.insert(position.parse::<usize>().unwrap() - 1, rule.to_owned());
        }
        _ => panic!("{line}"),
    }
}

/// Every chain that a rule leads to must exist.
fn check_jumps(chains: &Chains) {
    for rule in chains.values().flatten() {
        let mut words = rule.split(' ').skip_while(|word| !["-j", "-g"].contains(word)).skip(1);
        let target = words.next().unwrap();
        let is_chain = target.starts_with("SVCNAT-") || target == "OTHERS";
        assert!(!is_chain || chains.contains_key(target), "no chain for {rule}");
    }
}
