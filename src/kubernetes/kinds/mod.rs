//! What is told of each kind of object.

mod cidrs;
mod endpoints;
mod node;
mod services;
mod slices;

use std::time::{Instant, SystemTime};

pub(super) use cidrs::ServiceCidrs;
pub(super) use endpoints::Endpoints;
pub(super) use node::ThisNode;
pub(super) use services::Services;
pub(super) use slices::Slices;
use svcnat_rules::engine::Event;
use svcnat_rules::name::ObjectName;

use super::handle::Resource;
use super::object::Object;
use crate::convert::Invalid;
use crate::source::{Change, News};

/// The selector of kube-proxy's informers, for Services and for their endpoints.
const OURS: &str = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";

/// A kind of object that is watched.
pub(super) trait Kind: Send + 'static {
    /// The resource.
    const RESOURCE: Resource;
    /// Its path in the API.
    const PATH: &'static str;
    /// Its objects.
    type Object: Object;
    /// What is remembered of an object that was told.
    type Told: Default + Send + 'static;

    /// The label selector.
    fn labels(&self) -> Option<String> {
        None
    }

    /// The field selector.
    fn fields(&self) -> Option<String> {
        None
    }

    /// An object is new or different. `None` is one that could not be read; it counts as gone.
    fn apply(
        &mut self,
        name: &ObjectName,
        object: Option<Self::Object>,
        told: &mut Self::Told,
        out: &mut Outbox,
    ) -> Result<(), Invalid>;

    /// An object is gone.
    fn gone(&mut self, name: &ObjectName, told: Self::Told, out: &mut Outbox);

    /// The objects are complete: after a list, and after each event of a watch.
    fn settle(&mut self, out: &mut Outbox);
}

/// Takes what there is to tell of one object.
#[derive(Debug)]
pub(super) struct Outbox {
    /// When the object was read.
    pub read: Instant,
    /// When what led to it happened.
    pub triggered: Option<SystemTime>,
    /// What is to be told, in this order.
    pub news: Vec<News>,
}

impl Outbox {
    pub fn new() -> Self {
        Self { read: Instant::now(), triggered: None, news: Vec::new() }
    }

    fn change(&mut self, event: Event) {
        self.news.push(News::Change(Change { event, read: self.read, triggered: self.triggered }));
    }
}
