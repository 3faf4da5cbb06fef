//! By the rules in nftables.

use svcnat_rules::explain::{Explanation, Rules, Understood, understand};
use svcnat_rules::simulate::Environment;

use super::{Error, Question};
use crate::netlink::Netlink;

/// How often a dynamic map is read where packets changed it meanwhile.
const ATTEMPTS: usize = 3;

impl Question {
    pub(super) fn by_nftables(&self) -> Result<Explanation, Error> {
        let mut kernel = Netlink::open()?;
        let mut understood = understand(&kernel.read()?);
        let incomplete = self.read_dynamic(&mut kernel, &mut understood)?;
        let environment = Environment { local: self.addresses_here()?, dynamic: understood.dynamic };
        let mut explanation = self.by(Rules::Nftables(&understood.ruleset), &environment, None)?;
        explanation.notes.extend(understood.left_out);
        explanation.notes.extend(incomplete);
        Ok(explanation)
    }

    /// Reads what packets have put into the dynamic maps of the packet's family, and says of which maps that may not be
    /// all.
    fn read_dynamic(&self, kernel: &mut Netlink, understood: &mut Understood) -> Result<Vec<String>, Error> {
        let mut incomplete = Vec::new();
        let maps = understood.dynamic.iter_mut().filter(|((family, _), _)| *family == self.family());
        for ((family, map), entries) in maps {
            let mut is_complete = false;
            for _ in 0..ATTEMPTS {
                entries.clear();
                is_complete = kernel.dynamic_elements(*family, map, |key, data| {
                    entries.insert(key, data);
                })?;
                if is_complete {
                    break;
                }
            }
            if !is_complete {
                incomplete.push(format!(
                    "the map {map} changed while it was read, so clients that it knows may be missing here"
                ));
            }
        }
        Ok(incomplete)
    }
}
