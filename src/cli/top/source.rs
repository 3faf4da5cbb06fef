//! Where the counts come from.

use std::path::PathBuf;
use std::time::Instant;

use svcnat_rules::name::ObjectName;

use super::model::{OneService, Sample};
use crate::agent_api::{self, Client, FrontendConnections};
use crate::cli::Failure;

/// What is asked, and of what.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The agent's socket.
    pub(super) socket: PathBuf,
    /// The namespace; none for all.
    pub(super) namespace: Option<String>,
}

/// Who tells counts.
pub(super) struct Source {
    client: Client,
    namespace: Option<String>,
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
        Ok(Self { client: Client::new(&place.socket)?, namespace: place.namespace.clone() })
    }

    /// Reads what is asked for, no more.
    pub(super) fn read(&mut self, question: &Question) -> Result<Sample, Failure> {
        let services = if question.services { Some(self.services()?) } else { None };
        let at = Instant::now();
        let service = question.service.as_ref().map(|name| self.service(name)).transpose()?;
        Ok(Sample { at, services, service })
    }

    fn services(&mut self) -> Result<Vec<FrontendConnections>, Failure> {
        Ok(self.client.connections(self.namespace.as_deref())?.items)
    }

    fn service(&mut self, name: &ObjectName) -> Result<OneService, Failure> {
        of_agent(&self.client, name).map_err(|error| match error {
            agent_api::Error::NotFound(_) => Failure::NoService(name.clone()),
            error => error.into(),
        })
    }
}

fn of_agent(client: &Client, name: &ObjectName) -> Result<OneService, agent_api::Error> {
    let frontends = client.service_connections(name)?.items;
    let backends = client.backends(name)?.items;
    Ok(OneService { name: name.clone(), frontends, backends })
}
