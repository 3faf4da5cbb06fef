//! What others are told of the state: load balancers by health checks, dashboards by metrics, people by Kubernetes Events.
//! All of it follows the Services that an update touched, and costs nothing for the others.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use svcnat_rules::cluster::{EndpointSlice, Node, Service, TrafficPolicy};
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::engine::Engine;
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::Family;

use crate::http::{HealthCheck, HealthChecks};
use crate::kubernetes::{Regarding, Report, Reporter, Severity};
use crate::metrics::{Metrics, Scope, State};
use crate::settings::{Mode, Settings};

/// Those who are told.
pub(super) struct Observers {
    pub(super) metrics: Metrics,
    /// None in a dry run.
    pub(super) health_checks: Option<HealthChecks>,
    /// None without Kubernetes.
    pub(super) reporter: Option<Reporter>,
    node_name: Name,
    /// Whether the mode is one with layouts.
    has_layouts: bool,
    /// Services that have a health check.
    checked: BTreeSet<ObjectName>,
    /// Services that traffic with policy Local finds no endpoint of here.
    without_local: HashMap<(Family, bool), BTreeSet<ObjectName>>,
    /// What each Service wants and does not get, as it was reported.
    lost: HashMap<ObjectName, Vec<Conflict>>,
}

impl Observers {
    pub(super) fn new(
        metrics: Metrics,
        health_checks: Option<HealthChecks>,
        reporter: Option<Reporter>,
        settings: &Settings,
    ) -> Self {
        Self {
            metrics,
            health_checks,
            reporter,
            node_name: settings.rules.node_name.clone(),
            has_layouts: settings.mode == Mode::Nftables,
            checked: BTreeSet::new(),
            without_local: HashMap::new(),
            lost: HashMap::new(),
        }
    }

    /// An update touched these Services.
    pub(super) fn updated(&mut self, engine: &Engine, services: &[ObjectName]) {
        for name in services {
            let locals =
                engine.service(name).map(|(service, slices)| Locals::of(service, slices, &self.node_name));
            self.check(name, locals.as_ref());
            self.count_local(name, locals.as_ref());
            self.conflicts(engine, name);
        }
        let extent = engine.extent();
        self.metrics.set_state(&State {
            services: extent.services,
            frontends: extent.frontends,
            backends: extent.backends,
            conflicts: extent.contested,
            picking: Some(extent.picking).filter(|_| self.has_layouts),
        });
    }

    /// The options or the Node are different.
    pub(super) fn moved(&self, config: &Config, node: Option<&Node>) {
        if let Some(health_checks) = &self.health_checks {
            health_checks.select(config, node);
        }
    }

    fn check(&mut self, name: &ObjectName, locals: Option<&Locals>) {
        let check = locals.and_then(|locals| locals.check);
        let Some(health_checks) = &self.health_checks else { return };
        let was =
            if check.is_some() { !self.checked.insert(name.clone()) } else { self.checked.remove(name) };
        if check.is_some() || was {
            health_checks.set(name, check);
        }
    }

    fn count_local(&mut self, name: &ObjectName, locals: Option<&Locals>) {
        for family in Family::ALL {
            for (scope, external) in [(Scope::Internal, false), (Scope::External, true)] {
                let missing = locals.is_some_and(|locals| locals.misses(family, external));
                let services = self.without_local.entry((family, external)).or_default();
                let changed = if missing { services.insert(name.clone()) } else { services.remove(name) };
                if changed {
                    self.metrics.set_no_local_endpoints(family, scope, services.len());
                }
            }
        }
    }

    /// Tells of frontends that a Service does not get, each once.
    fn conflicts(&mut self, engine: &Engine, name: &ObjectName) {
        let lost = engine.lost(name);
        let known = self.lost.get(name).map_or(&[][..], Vec::as_slice);
        for conflict in lost.iter().filter(|conflict| !known.contains(conflict)) {
            tracing::warn!("conflict: {conflict}");
            self.report(
                Regarding::Service(name.clone()),
                Severity::Warning,
                "FrontendConflict",
                "Program",
                conflict.to_string(),
            );
        }
        if lost.is_empty() {
            self.lost.remove(name);
        } else {
            self.lost.insert(name.clone(), lost);
        }
    }

    /// Posts a Kubernetes Event, where there is an API server.
    pub(super) fn report(
        &self,
        regarding: Regarding,
        severity: Severity,
        reason: &'static str,
        action: &'static str,
        note: String,
    ) {
        if let Some(reporter) = &self.reporter {
            reporter.report(Report { regarding, severity, reason, action, note });
        }
    }
}

/// What policies Local and health checks ask of a Service.
struct Locals {
    check: Option<HealthCheck>,
    /// By family and whether the policy is the external one: whether there are endpoints, but none here.
    missing: [[bool; 2]; 2],
}

impl Locals {
    fn of<'a>(service: &Service, slices: impl Iterator<Item = &'a EndpointSlice>, node: &Name) -> Self {
        let local_policies =
            [service.internal_policy, service.external_policy].map(|p| p == TrafficPolicy::Local);
        let mut locals = Self { check: None, missing: [[false; 2]; 2] };
        if service.health_check_node_port.is_none() && local_policies == [false; 2] {
            return locals;
        }
        let mut here: BTreeSet<IpAddr> = BTreeSet::new();
        let mut anywhere = [false; 2];
        for slice in slices {
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready) {
                anywhere[index(slice.family)] = true;
                if endpoint.node.as_ref() == Some(node) {
                    here.insert(endpoint.address);
                }
            }
        }
        for family in Family::ALL {
            let none_here = !here.iter().any(|address| Family::of(*address) == family);
            let missing = anywhere[index(family)] && none_here;
            locals.missing[index(family)] = local_policies.map(|local| local && missing);
        }
        locals.check = service
            .health_check_node_port
            .filter(|_| service.external_policy == TrafficPolicy::Local)
            .map(|port| HealthCheck { port, local_endpoints: here.len() });
        locals
    }

    fn misses(&self, family: Family, external: bool) -> bool {
        self.missing[index(family)][usize::from(external)]
    }
}

fn index(family: Family) -> usize {
    usize::from(family == Family::Ipv6)
}
