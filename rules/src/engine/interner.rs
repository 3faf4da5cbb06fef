//! Names that many objects hold, such as those of nodes and zones, kept once.

use crate::cluster::{EndpointSlice, Service};
use crate::hash::HashSet;
use crate::name::Name;

/// The names that are known.
#[derive(Debug, Default)]
pub(super) struct Interner {
    names: HashSet<Name>,
    /// How many names there may be until those go that nobody else holds any more.
    limit: usize,
}

/// Fewer names than this are not worth looking through.
const FEW: usize = 1024;

impl Interner {
    /// Makes a slice share its names with others.
    pub(super) fn slice(&mut self, slice: &mut EndpointSlice) {
        for port in &mut slice.ports {
            self.share(&mut port.name);
        }
        for endpoint in &mut slice.endpoints {
            let one = endpoint.node.iter_mut().chain(&mut endpoint.zone);
            let names = one.chain(&mut endpoint.zone_hints).chain(&mut endpoint.node_hints);
            names.for_each(|name| self.share(name));
        }
        self.sweep();
    }

    /// Makes a Service share the names of its ports with others.
    pub(super) fn service(&mut self, service: &mut Service) {
        for port in &mut service.ports {
            self.share(&mut port.name);
        }
        self.sweep();
    }

    fn share(&mut self, name: &mut Name) {
        match self.names.get(name) {
            Some(known) => known.clone_into(name),
            None => drop(self.names.insert(name.clone())),
        }
    }

    /// Forgets names that nobody else holds, when there are twice as many as after the last time: for each name that
    /// comes that is a constant effort.
    fn sweep(&mut self) {
        if self.names.len() > self.limit.max(FEW) {
            self.names.retain(Name::is_shared);
            self.limit = 2 * self.names.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_kept_once_and_not_for_ever() {
        let mut interner = Interner::default();
        let mut names: Vec<Name> =
            (0..3 * FEW).map(|number| Name::from((number % FEW).to_string())).collect();
        names.iter_mut().for_each(|name| interner.share(name));
        assert!(names[0].as_str().as_ptr() == names[FEW].as_str().as_ptr());
        assert!(names[0].as_str().as_ptr() != names[1].as_str().as_ptr());
        drop(names);
        interner.share(&mut Name::from("one more"));
        interner.sweep();
        assert_eq!(interner.names.len(), 0);
    }
}
