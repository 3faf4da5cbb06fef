//! By the rules that the programs of iptables tell of.

use svcnat_rules::explain::{Explanation, Rules, client_lists, understand_iptables};
use svcnat_rules::ruleset::Value;
use svcnat_rules::simulate::Environment;

use super::{Error, Question};
use crate::iptables::{Iptables, clients};

impl Question {
    /// By the rules of the variant of iptables that this host uses.
    pub(super) fn by_iptables(&self) -> Result<Explanation, Error> {
        let family = self.family();
        let understood = understand_iptables(&Iptables::in_use()?.read()?);
        let mut environment = Environment::with_local(&self.addresses_here()?);
        let mut unread = Vec::new();
        for list in client_lists(&understood.ruleset, family) {
            match clients(&list.name, list.seconds) {
                Ok(clients) => clients.into_iter().for_each(|client| {
                    let key = Value::new().addr(client);
                    environment.insert(family, list.name.clone(), key, Value::new());
                }),
                Err(error) => unread.push(format!(
                    "the list of clients {} cannot be read ({error}), so whom session affinity keeps is not known here",
                    list.name
                )),
            }
        }
        let mut explanation = self.by(Rules::Iptables(&understood.ruleset), &environment, None)?;
        explanation.notes.extend(understood.left_out);
        explanation.notes.extend(unread);
        Ok(explanation)
    }
}
