//! ServiceCIDR (networking.k8s.io/v1).

use k8s_openapi::api::networking::v1 as networking;
use svcnat_rules::net::Cidr;

use super::check::{self, Checks};
use super::invalid::Invalid;

/// The networks of a ServiceCIDR, sorted, each once.
///
/// One that is being deleted still counts: Services may have addresses in it until it is gone.
///
/// # Errors
///
/// No network at all, or one that is not in CIDR notation.
pub fn service_cidr(object: &networking::ServiceCIDR) -> Result<Vec<Cidr>, Invalid> {
    let mut checks = Checks::default();
    let cidrs = object.spec.as_ref().and_then(|spec| spec.cidrs.as_ref());
    if cidrs.is_none_or(Vec::is_empty) {
        checks.refuse("spec.cidrs", super::Problem::Required);
    }
    let networks = check::networks(cidrs, "spec.cidrs", &mut checks);
    checks.finish(Some(networks))
}
