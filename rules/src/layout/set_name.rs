//! Which set an element belongs to, in a few bytes: there may be a million elements.

use std::borrow::Cow;

use super::names::set;

/// A set that Services contribute elements to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the constant of that name, and so described there")]
pub enum SetName {
    Frontends,
    NodePortFrontends,
    NoEndpoints,
    NodePortNoEndpoints,
    Backends,
    LocalBackends,
    NodePortBackends,
    NodePortLocalBackends,
    ClusterIps,
    SourceRestricted,
    SourceAllowed,
    Hairpin,
    FrontendConnections,
    NodePortFrontendConnections,
    BackendConnections,
    NodePortBackendConnections,
    /// See [`set::sticky`].
    Sticky(u32),
    /// See [`set::sticky_node_ports`].
    StickyNodePorts(u32),
}

impl SetName {
    /// The name in the kernel.
    #[must_use]
    pub fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Frontends => set::FRONTENDS,
            Self::NodePortFrontends => set::NODE_PORT_FRONTENDS,
            Self::NoEndpoints => set::NO_ENDPOINTS,
            Self::NodePortNoEndpoints => set::NODE_PORT_NO_ENDPOINTS,
            Self::Backends => set::BACKENDS,
            Self::LocalBackends => set::LOCAL_BACKENDS,
            Self::NodePortBackends => set::NODE_PORT_BACKENDS,
            Self::NodePortLocalBackends => set::NODE_PORT_LOCAL_BACKENDS,
            Self::ClusterIps => set::CLUSTER_IPS,
            Self::SourceRestricted => set::SOURCE_RESTRICTED,
            Self::SourceAllowed => set::SOURCE_ALLOWED,
            Self::Hairpin => set::HAIRPIN,
            Self::FrontendConnections => set::FRONTEND_CONNECTIONS,
            Self::NodePortFrontendConnections => set::NODE_PORT_FRONTEND_CONNECTIONS,
            Self::BackendConnections => set::BACKEND_CONNECTIONS,
            Self::NodePortBackendConnections => set::NODE_PORT_BACKEND_CONNECTIONS,
            Self::Sticky(seconds) => return Cow::Owned(set::sticky(seconds)),
            Self::StickyNodePorts(seconds) => return Cow::Owned(set::sticky_node_ports(seconds)),
        })
    }
}
