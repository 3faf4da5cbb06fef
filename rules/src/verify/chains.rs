//! Names and comments of chains and rules, and where jumps lead.

use std::collections::{BTreeMap, BTreeSet};

use super::sets::{is_comment, is_name};
use super::{Fault, MAX_JUMPS, Report};
use crate::name::Name;
use crate::ruleset::{BaseHook, ChainType, ElementData, Expr, Hook, LookupData, Rule, Table, Verdict};

pub(super) fn check(table: &Table, report: &mut Report<'_>) {
    for (name, chain) in &table.chains {
        if !is_name(name) {
            report(format!("chain {name}"), Fault::Name);
        }
        for (index, rule) in chain.rules.iter().enumerate() {
            check_rule(table, rule, &mut |fault| report(format!("rule {index} of chain {name}"), fault));
        }
    }
    Reach { table, targets: targets(table) }.check(report);
}

fn check_rule(table: &Table, rule: &Rule, report: &mut dyn FnMut(Fault)) {
    if !rule.comment.as_ref().is_none_or(is_comment) {
        report(Fault::Comment);
    }
    let ends = rule.exprs.iter().position(ends_rule);
    if ends.is_some_and(|end| end + 1 < rule.exprs.len()) {
        report(Fault::AfterEnd);
    }
    for expr in &rule.exprs {
        if let Expr::Verdict(verdict) = expr
            && let Some(name) = verdict.chain()
            && table.chains.get(name).is_none_or(|chain| chain.hook.is_some())
        {
            report(Fault::NoChain(name.clone()));
        }
    }
}

fn ends_rule(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Verdict(_)
            | Expr::Dnat { .. }
            | Expr::Masquerade
            | Expr::Reject(_)
            | Expr::Lookup { data: LookupData::Verdict, .. }
    )
}

/// Where each verdict map leads to, each chain once, however many elements there are.
fn targets(table: &Table) -> BTreeMap<&Name, BTreeSet<&Name>> {
    table
        .sets
        .iter()
        .map(|(name, set)| {
            (name, set.elements.values().filter_map(|element| chain_of(&element.data)).collect())
        })
        .collect()
}

fn chain_of(data: &ElementData) -> Option<&Name> {
    match data {
        ElementData::Verdict(verdict) => verdict.chain(),
        ElementData::None | ElementData::Value(_) => None,
    }
}

/// Walks from every base chain to all that it can reach.
struct Reach<'a> {
    table: &'a Table,
    targets: BTreeMap<&'a Name, BTreeSet<&'a Name>>,
}

impl<'a> Reach<'a> {
    fn check(&self, report: &mut Report<'_>) {
        let mut deep = BTreeSet::new();
        for (name, chain) in &self.table.chains {
            let Some(hook) = chain.hook else { continue };
            let mut depths = BTreeMap::new();
            self.walk(name, 0, &mut depths, &mut deep);
            for reached in depths.keys() {
                self.check_hook(reached, hook, report);
            }
        }
        for name in deep {
            report(format!("chain {name}"), Fault::Depth);
        }
    }

    /// Notes the greatest depth at which each chain is reached; a loop goes deeper without end and so is found.
    fn walk(
        &self,
        name: &'a Name,
        depth: usize,
        depths: &mut BTreeMap<&'a Name, usize>,
        deep: &mut BTreeSet<&'a Name>,
    ) {
        if depth > MAX_JUMPS {
            deep.insert(name);
            return;
        }
        if depths.get(name).is_some_and(|known| *known >= depth) || deep.contains(name) {
            return;
        }
        depths.insert(name, depth);
        let Some(chain) = self.table.chains.get(name) else { return };
        for expr in chain.rules.iter().flat_map(|rule| &rule.exprs) {
            match expr {
                Expr::Verdict(Verdict::Jump(to) | Verdict::Goto(to)) => {
                    self.walk(to, depth + 1, depths, deep);
                }
                Expr::Lookup { set, data: LookupData::Verdict, .. } => {
                    for to in self.targets.get(set).into_iter().flatten() {
                        self.walk(to, depth + 1, depths, deep);
                    }
                }
                _ => {}
            }
        }
    }

    fn check_hook(&self, name: &Name, at: BaseHook, report: &mut Report<'_>) {
        let Some(chain) = self.table.chains.get(name) else { return };
        for expr in chain.rules.iter().flat_map(|rule| &rule.exprs) {
            if let Some(what) = forbidden(expr, at) {
                report(format!("chain {name}"), Fault::Hook(what, at.hook.keyword()));
            }
        }
    }
}

/// What an expression does that the hook does not allow (`nft_chain_validate_hooks` and the expressions' `validate`).
fn forbidden(expr: &Expr, at: BaseHook) -> Option<&'static str> {
    let nat_at = |hooks: &[Hook]| at.kind == ChainType::Nat && hooks.contains(&at.hook);
    match expr {
        Expr::Dnat { .. } if !nat_at(&[Hook::Prerouting, Hook::Output]) => Some("dnat"),
        Expr::Masquerade if !nat_at(&[Hook::Postrouting]) => Some("masquerade"),
        Expr::Reject(_) if at.hook == Hook::Postrouting => Some("reject"),
        _ => None,
    }
}
