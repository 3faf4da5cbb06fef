//! Which Service has which port.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU16;

use svcnat_rules::name::ObjectName;

use super::HealthCheck;

/// Services and the ports that they want. The API server gives no two of them the same port, but a port can be given
/// away again before it is told that its last Service is gone: until then the first keeps it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    services: HashMap<ObjectName, HealthCheck>,
    /// The Services that want a port, the one that has it first.
    ports: HashMap<NonZeroU16, Vec<ObjectName>>,
    touched: BTreeSet<NonZeroU16>,
}

impl Claims {
    /// What a Service wants by now. Gives the Service that has the port, if this one wants it anew and does not get it.
    pub(super) fn set(&mut self, service: &ObjectName, check: Option<HealthCheck>) -> Option<ObjectName> {
        let before = match check {
            Some(check) => self.services.insert(service.clone(), check),
            None => self.services.remove(service),
        };
        let (before, after) = (before.map(|check| check.port), check.map(|check| check.port));
        if before == after {
            return None;
        }
        if let Some(port) = before {
            self.leave(port, service);
        }
        after.and_then(|port| self.join(port, service))
    }

    fn leave(&mut self, port: NonZeroU16, service: &ObjectName) {
        let Some(services) = self.ports.get_mut(&port) else { return };
        services.retain(|other| other != service);
        if services.is_empty() {
            self.ports.remove(&port);
        }
        self.touched.insert(port);
    }

    fn join(&mut self, port: NonZeroU16, service: &ObjectName) -> Option<ObjectName> {
        let services = self.ports.entry(port).or_default();
        services.push(service.clone());
        self.touched.insert(port);
        services.first().filter(|holder| *holder != service).cloned()
    }

    /// The Service that has a port, and how many local endpoints it has.
    pub(super) fn holder(&self, port: NonZeroU16) -> Option<(&ObjectName, usize)> {
        let service = self.ports.get(&port)?.first()?;
        Some((service, self.services.get(service)?.local_endpoints))
    }

    /// The ports that somebody wants.
    pub(super) fn ports(&self) -> Vec<NonZeroU16> {
        self.ports.keys().copied().collect()
    }

    /// The ports whose Services have changed since this was asked last.
    pub(super) fn take_touched(&mut self) -> BTreeSet<NonZeroU16> {
        std::mem::take(&mut self.touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("default", name)
    }

    fn port(port: u16) -> NonZeroU16 {
        NonZeroU16::new(port).unwrap()
    }

    fn check(number: u16, local_endpoints: usize) -> Option<HealthCheck> {
        Some(HealthCheck { port: port(number), local_endpoints })
    }

    #[test]
    fn a_port_stays_with_its_service_and_goes_to_the_next_when_that_is_gone() {
        let (old, new) = (name("old"), name("new"));
        let mut claims = Claims::default();
        assert_eq!(claims.set(&old, check(30_000, 1)), None);
        assert_eq!(claims.set(&new, check(30_000, 2)), Some(old.clone()));
        assert_eq!(claims.take_touched().into_iter().collect::<Vec<_>>(), [port(30_000)]);
        // It is told once.
        assert_eq!(claims.set(&new, check(30_000, 3)), None);
        assert_eq!(claims.set(&old, check(30_000, 4)), None);
        assert!(claims.take_touched().is_empty());
        assert_eq!(claims.holder(port(30_000)), Some((&old, 4)));
        assert_eq!(claims.set(&old, check(30_001, 4)), None);
        assert_eq!(claims.holder(port(30_000)), Some((&new, 3)));
        assert_eq!(claims.holder(port(30_001)), Some((&old, 4)));
        claims.set(&old, None);
        claims.set(&new, None);
        assert_eq!(claims.holder(port(30_000)), None);
        assert!(claims.ports().is_empty() && claims.services.is_empty());
    }
}
