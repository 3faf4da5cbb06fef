//! Where the counts come from: the agent, or the kernel without one.

use std::path::PathBuf;
use std::slice;
use std::time::Instant;

use svcnat_rules::describe::{BackendSummary, Counted, Listed, counted};
use svcnat_rules::explain::understand;
use svcnat_rules::name::ObjectName;

use super::model::{OneService, Sample};
use crate::agent_api::{self, Client, FrontendConnections};
use crate::cli::Failure;
use crate::connections;
use crate::netlink::Netlink;

/// Who is asked, and about what.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The agent's socket; none for the kernel.
    pub(super) socket: Option<PathBuf>,
    /// The namespace; none for all.
    pub(super) namespace: Option<String>,
}

/// Who tells counts.
pub(super) struct Source {
    teller: Teller,
    namespace: Option<String>,
}

enum Teller {
    Agent(Client),
    Kernel(Kernel),
}

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Whether the frontends of all Services are.
    pub(super) services: bool,
    /// The Service whose backends are.
    pub(super) service: Option<ObjectName>,
}

impl Source {
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let teller = match &place.socket {
            Some(socket) => Teller::Agent(Client::new(socket)?),
            None => Teller::Kernel(Kernel { netlink: Netlink::open()?, rules: None }),
        };
        Ok(Self { teller, namespace: place.namespace.clone() })
    }

    /// Reads what is asked for, no more.
    pub(super) fn read(&mut self, question: &Question) -> Result<Sample, Failure> {
        let services = if question.services { Some(self.services()?) } else { None };
        let at = Instant::now();
        let service = question.service.as_ref().map(|name| self.service(name)).transpose()?;
        Ok(Sample { at, services, service })
    }

    fn services(&mut self) -> Result<Vec<FrontendConnections>, Failure> {
        let namespace = self.namespace.as_deref();
        match &mut self.teller {
            Teller::Agent(client) => Ok(client.connections(namespace)?.items),
            Teller::Kernel(kernel) => {
                connections::frontends(&mut kernel.netlink, namespace)?.ok_or(Failure::NotCounted)
            }
        }
    }

    fn service(&mut self, name: &ObjectName) -> Result<OneService, Failure> {
        match &mut self.teller {
            Teller::Agent(client) => of_agent(client, name).map_err(|error| match error {
                agent_api::Error::NotFound(_) => Failure::NoService(name.clone()),
                error => error.into(),
            }),
            Teller::Kernel(kernel) => kernel.service(name),
        }
    }
}

fn of_agent(client: &Client, name: &ObjectName) -> Result<OneService, agent_api::Error> {
    let frontends = client.service_connections(name)?.items;
    let backends = client.backends(name)?.items;
    Ok(OneService { name: name.clone(), frontends, backends })
}

/// The kernel, and what its rules say of one Service.
struct Kernel {
    netlink: Netlink,
    rules: Option<Rules>,
}

/// What rules of one generation say of one Service.
struct Rules {
    generation: u32,
    counted: (ObjectName, Vec<Counted>),
    backends: Vec<BackendSummary>,
}

impl Kernel {
    /// All rules are read only where they, or the Service, are others than before.
    fn service(&mut self, name: &ObjectName) -> Result<OneService, Failure> {
        let generation = self.netlink.generation()?;
        let is_known = |rules: &Rules| rules.generation == generation && rules.counted.0 == *name;
        let rules = match self.rules.take().filter(is_known) {
            Some(rules) => rules,
            None => self.look_up(name)?,
        };
        let rules = self.rules.insert(rules);
        let frontends = connections::with_backends(&mut self.netlink, slice::from_ref(&rules.counted))?;
        Ok(OneService { name: name.clone(), frontends, backends: rules.backends.clone() })
    }

    fn look_up(&mut self, name: &ObjectName) -> Result<Rules, Failure> {
        let installed = self.netlink.read()?;
        let ruleset = understand(&installed).ruleset;
        let backends = Listed::of(&ruleset).backends(name);
        let backends = backends.ok_or_else(|| Failure::NoService(name.clone()))?;
        let counted = counted(&ruleset, name);
        if counted.is_empty() {
            return Err(Failure::NotCounted);
        }
        Ok(Rules { generation: installed.generation, counted: (name.clone(), counted), backends })
    }
}
