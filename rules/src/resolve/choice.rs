//! Why an endpoint is chosen or not, for people: what [`resolve`](super::resolve) decides, with its reasons.

use std::fmt;
use std::net::SocketAddr;

use super::View;
use super::backends::{Candidate, Near, for_cluster, for_local, is_local, merge};
use crate::cluster::{Endpoint, EndpointSlice, ServicePort};
use crate::net::Family;

/// An endpoint of a service port with what each traffic policy makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Under policy Cluster.
    pub cluster: Why,
    /// Under policy Local.
    pub local: Why,
}

/// Why an endpoint is used, or why not. Its words in JSON are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Why {
    /// Used: it is ready.
    Ready,
    /// Used: it is ready, and its topology hints name this node.
    HintedToNode,
    /// Used: it is ready, and its topology hints name this node's zone.
    HintedToZone,
    /// Used: it terminates and still serves, and nothing is ready.
    LastResort,
    /// Used: the rules in the kernel lead to it; more is not known.
    InRules,
    /// Not used: it is not ready, and does not serve while it terminates.
    NotReady,
    /// Not used: it terminates, and others are ready.
    Terminating,
    /// Not used: policy Local, and it is on another node.
    OnAnotherNode,
    /// Not used: topology hints name this node for others.
    HintedToOtherNode,
    /// Not used: topology hints name this node's zone for others.
    HintedToOtherZone,
    /// Not used: the rules in the kernel do not lead to it; more is not known.
    NotInRules,
}

impl Why {
    /// Whether the endpoint is used.
    #[must_use]
    pub fn is_used(self) -> bool {
        matches!(
            self,
            Self::Ready | Self::HintedToNode | Self::HintedToZone | Self::LastResort | Self::InRules
        )
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::HintedToNode => "hinted to this node",
            Self::HintedToZone => "hinted to this zone",
            Self::LastResort => "terminating, but nothing is ready",
            Self::InRules => "in the rules",
            Self::NotReady => "not ready",
            Self::Terminating => "terminating",
            Self::OnAnotherNode => "on another node",
            Self::HintedToOtherNode => "hinted to other nodes",
            Self::HintedToOtherZone => "hinted to other zones",
            Self::NotInRules => "not in the rules",
        })
    }
}

/// Every endpoint of a service port in a family, sorted by address, each once.
///
/// `slices` are those of the Service, in any order.
#[must_use]
pub fn choices<'a>(
    view: View<'_>,
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
) -> Vec<Choice<'a>> {
    let candidates = merge(port, family, slices);
    let local = for_local(view, &candidates);
    let (cluster, near) = for_cluster(view, candidates.clone());
    let choice = |candidate: Candidate<'a>| Choice {
        address: candidate.address,
        endpoint: candidate.endpoint,
        cluster: why(candidate, &cluster, near),
        local: if is_local(view, candidate.endpoint) {
            why(candidate, &local, Near::All)
        } else {
            Why::OnAnotherNode
        },
    };
    candidates.into_iter().map(choice).collect()
}

/// Why a candidate is among the chosen, which are sorted by address, or is not.
fn why(candidate: Candidate<'_>, chosen: &[Candidate<'_>], near: Near) -> Why {
    let conditions = candidate.endpoint.conditions;
    let is_chosen = chosen.binary_search_by_key(&candidate.address, |chosen| chosen.address).is_ok();
    match (is_chosen, conditions.ready, near) {
        (true, false, _) => Why::LastResort,
        (true, true, Near::All) => Why::Ready,
        (true, true, Near::Node) => Why::HintedToNode,
        (true, true, Near::Zone) => Why::HintedToZone,
        (false, true, Near::Node) => Why::HintedToOtherNode,
        (false, true, Near::Zone) => Why::HintedToOtherZone,
        (false, ..) if conditions.serving && conditions.terminating => Why::Terminating,
        (false, ..) => Why::NotReady,
    }
}
