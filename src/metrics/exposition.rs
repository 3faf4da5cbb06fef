//! What a scrape sees: the text format, the metrics in a fixed order.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::registry::Registry;

use super::connections::Connections;
use super::kube_proxy::KubeProxy;
use super::own::Own;
use super::process;

/// The type of what [`Metrics::text`](super::Metrics::text) gives.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Takes the metrics of one group down, one after the other.
pub(super) struct Page<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    /// Adds a metric. The suffix `_total` of a counter is added to the name.
    ///
    /// The registry of the crate would end each help text with a full stop, which kube-proxy's do not have.
    pub(super) fn add(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }
}

/// All metrics.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) kube_proxy: KubeProxy,
    pub(super) own: Own,
    /// None where connections are not counted.
    pub(super) connections: Mutex<Option<Connections>>,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        self.kube_proxy.encode(&mut page)?;
        self.own.encode(&mut page)?;
        if let Some(connections) = &*self.connections.lock().unwrap_or_else(PoisonError::into_inner) {
            connections.encode(&mut page)?;
        }
        process::encode(&mut page)
    }
}

/// The metrics in the text format 0.0.4, which is what kube-proxy gives whatever the scraper would rather have: in
/// OpenMetrics, values of the label `le` would look different (`1.0`), so series of kube-proxy's would not go on.
pub(super) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, and neither do the metrics themselves.
    if prometheus_text::encode(&mut text, registry).is_err() {
        tracing::error!("svcnat cannot write its metrics; please report it");
    }
    text
}
