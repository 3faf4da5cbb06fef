//! Compiling with a look at the result: nothing that breaks the verifier's invariants leaves this module.

use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::{self, Compiled};
use svcnat_rules::config::Config;
use svcnat_rules::iptables;
use svcnat_rules::layout::Slots;
use svcnat_rules::verify::{Violation, verify};

/// Compiles and verifies.
///
/// # Errors
///
/// The first violation: a defect of the compiler.
pub fn compile(cluster: &Cluster, config: &Config, slots: &Slots) -> Result<Compiled, Violation> {
    let compiled = compile::compile(cluster, config, slots);
    match verify(&compiled.ruleset).into_iter().next() {
        None => Ok(compiled),
        Some(violation) => Err(violation),
    }
}

/// The same to iptables rules.
///
/// # Errors
///
/// The first violation: a defect of the compiler.
pub fn compile_iptables(
    cluster: &Cluster,
    config: &Config,
) -> Result<iptables::Compiled, iptables::Violation> {
    let compiled = iptables::compile(cluster, config);
    match iptables::verify(&compiled.ruleset).into_iter().next() {
        None => Ok(compiled),
        Some(violation) => Err(violation),
    }
}
