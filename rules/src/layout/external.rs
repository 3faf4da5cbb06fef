//! Rules for connections from outside, which both layouts put in front of the picking of a backend.

use super::names::chain;
use super::statement::Statements;
use crate::config::DetectLocal;
use crate::name::Name;
use crate::net::Family;
use crate::resolve::View;
use crate::ruleset::{CmpOp, FibAddress, Rule};

/// `externalTrafficPolicy: Cluster`: any backend, masqueraded.
pub(super) fn external_rules(family: Family, every: &Name) -> Vec<Rule> {
    vec![Statements::new(family).jump(chain::MASQUERADE_LATER), Statements::new(family).goto(every)]
}

/// `externalTrafficPolicy: Local`: traffic from this cluster's pods and from the node itself may use every backend, all
/// other traffic only the local ones, with its source kept.
pub(super) fn external_local_rules(
    view: View<'_>,
    family: Family,
    every: &Name,
    local: Option<&Name>,
) -> Vec<Rule> {
    let rule = || Statements::new(family);
    let from_pods: Vec<Statements> = match &view.config.detect_local {
        DetectLocal::Off => Vec::new(),
        DetectLocal::BridgeInterface(name) => vec![rule().interface(CmpOp::Eq, name)],
        DetectLocal::InterfaceNamePrefix(prefix) => vec![rule().interface_prefix(CmpOp::Eq, prefix)],
        DetectLocal::ClusterCidr(_) | DetectLocal::NodeCidr => {
            view.pod_networks(family).into_iter().map(|network| rule().source(CmpOp::Eq, network)).collect()
        }
    };
    let mut rules: Vec<Rule> = from_pods.into_iter().map(|rule| rule.goto(every)).collect();
    rules.push(rule().local(FibAddress::Source).jump(chain::MASQUERADE_LATER));
    rules.push(rule().local(FibAddress::Source).goto(every));
    rules.extend(local.map(|local| rule().goto(local)));
    rules
}
