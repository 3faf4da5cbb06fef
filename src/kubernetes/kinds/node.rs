//! This node's Node.

use svcnat_rules::cluster::Node;
use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;

use super::{Kind, Outbox};
use crate::convert::{self, Invalid};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::object;
use crate::source::News;

/// The taint of a node that the cluster autoscaler is about to remove (kube-proxy's `ToBeDeletedTaint`).
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// Tells the Node, and whether it is eligible for load balancers' traffic. The kubelet updates the object all the time
/// for other reasons, so what was told is kept and only differences are told.
pub(in crate::kubernetes) struct ThisNode {
    name: String,
    now: State,
    told: Option<State>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    node: Option<Node>,
    eligible: bool,
}

impl ThisNode {
    pub fn new(name: String) -> Self {
        Self { name, now: State::default(), told: None }
    }
}

impl Kind for ThisNode {
    const RESOURCE: Resource = Resource::Node;
    const PATH: &'static str = "/api/v1/nodes";
    type Object = object::Node;
    type Told = ();

    fn fields(&self) -> Option<String> {
        Some(format!("metadata.name={}", self.name))
    }

    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<object::Node>,
        (): &mut (),
        _: &mut Outbox,
    ) -> Result<(), Invalid> {
        // A server that ignores the selector must not make us another node.
        if name.name() != self.name {
            return Ok(());
        }
        self.now = State::default();
        let Some(object) = object else { return Ok(()) };
        let object = k8s_openapi::api::core::v1::Node::from(object);
        let taints = object.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let leaving = taints.into_iter().any(|taint| taint.key == TO_BE_DELETED);
        self.now.eligible = object.metadata.deletion_timestamp.is_none() && !leaving;
        self.now.node = Some(convert::node(&object)?);
        Ok(())
    }

    fn gone(&mut self, name: &ObjectName, (): (), _: &mut Outbox) {
        if name.name() == self.name {
            self.now = State::default();
        }
    }

    fn settle(&mut self, out: &mut Outbox) {
        let told = self.told.as_ref();
        if told.is_none_or(|told| told.node != self.now.node) {
            out.change(Event::Node(self.now.node.clone()));
        }
        if told.is_none_or(|told| told.eligible != self.now.eligible) {
            out.news.push(News::Eligible(self.now.eligible));
        }
        if told != Some(&self.now) {
            self.told = Some(self.now.clone());
        }
    }
}
