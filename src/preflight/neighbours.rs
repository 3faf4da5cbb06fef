//! Who else is at work in this network namespace.

use svcnat_rules::iptables;

use crate::kube_proxy::Leftovers;
use crate::netlink::Netlink;
use crate::other_mode::remove_iptables;

/// `NFPROTO_INET`, the family of tables for both IPv4 and IPv6.
const INET: u8 = 1;

/// What of others may be in the way, a sentence each. It runs the programs of iptables.
#[must_use]
pub fn neighbours() -> Vec<String> {
    let mut warnings = Vec::new();
    match Leftovers::find() {
        Ok(leftovers) if !leftovers.is_empty() => warnings.push(
            "kube-proxy has rules here: where it runs, stop it, then `svcnat cleanup --kube-proxy` removes them".to_owned(),
        ),
        Ok(_) => {}
        Err(error) => warnings.push(format!("rules of kube-proxy were not looked for: {error}")),
    }
    let tables = Netlink::open().and_then(|mut kernel| kernel.tables()).unwrap_or_default();
    let has = |family: Option<u8>, name: &str| {
        tables.iter().any(|(of, table)| family.is_none_or(|family| *of == family) && table == name)
    };
    let ours = has(None, svcnat_rules::ruleset::TABLE);
    match remove_iptables(None, true) {
        Ok(chains) if ours && chains != iptables::Summary::default() => warnings.push(
            "rules of both of svcnat's modes, nftables and iptables, are here: `svcnat cleanup` removes both, and applying again \
             brings back one"
                .to_owned(),
        ),
        Ok(_) => {}
        Err(error) => warnings.push(format!("rules of mode iptables were not looked for: {error}")),
    }
    if has(Some(INET), "firewalld") {
        warnings.push(
            "firewalld is at work (table inet firewalld): it may refuse connections to pods and node ports that its zones do \
             not allow"
                .to_owned(),
        );
    }
    warnings
}
