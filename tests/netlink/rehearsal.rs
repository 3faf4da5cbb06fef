//! A rehearsal: the kernel says what it would refuse, and nothing comes of it.

use svcnat::netlink::{Netlink, Options, encode};
use svcnat_rules::config::Config;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::{ProgramNeeds, program};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::resolve::View;
use svcnat_rules::ruleset::{Expr, Rule, Ruleset, Verdict};
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

use crate::namespace::{in_fresh_namespace, nft_load, read};

/// The program with session affinity, in both families.
fn whole() -> Ruleset {
    let config = Config::default();
    let needs = ProgramNeeds { affinity: [(60, Protocol::Tcp)].into(), ..ProgramNeeds::default() };
    let view = View { config: &config, node: None };
    Ruleset { tables: Family::ALL.map(|family| (family, program(view, family, &needs))).into() }
}

fn rehearse(transaction: &Transaction<'_>) -> Result<(), String> {
    let options = Options { rehearse: true, ..Options::default() };
    let batch = encode(transaction, &options).unwrap();
    let mut kernel = Netlink::open().unwrap();
    let before = kernel.generation().unwrap();
    let result = kernel.apply(&batch).map_err(|error| error.to_string());
    assert_eq!(kernel.generation().unwrap(), before, "something was committed");
    result
}

#[test]
fn what_the_kernel_takes_is_taken_back() {
    in_fresh_namespace(|| {
        let (whole, nothing) = (whole(), Installed::default());
        assert_eq!(rehearse(&diff(&whole, &nothing)), Ok(()));
        assert_eq!(Netlink::open().unwrap().tables().unwrap(), []);
        // Not even where a table of ours is there, with other things in it.
        nft_load("table ip svcnat {\n set frontends { type ipv4_addr; }\n chain services { }\n }");
        let before = read();
        assert_eq!(rehearse(&diff(&whole, &nothing)), Ok(()));
        assert_eq!(read(), before);
        assert_eq!(Netlink::open().unwrap().tables().unwrap(), [(2, "svcnat".to_owned())]);
    });
}

#[test]
fn what_the_kernel_refuses_is_named() {
    in_fresh_namespace(|| {
        let exprs = vec![Expr::Verdict(Verdict::Jump(Name::from("nowhere")))];
        let rule = Rule { exprs, comment: None };
        let name = Name::from("web");
        let changes = vec![
            Change::AddTable,
            Change::AddChain { name: &name, hook: None },
            Change::AddRule { chain: &name, rule: &rule, place: Place::End },
        ];
        let of = |change| Operation { family: Family::Ipv4, change };
        let refused = rehearse(&Transaction { operations: changes.into_iter().map(of).collect() });
        assert!(
            refused.as_ref().is_err_and(|error| error.contains("chain nowhere does not exist")),
            "{refused:?}"
        );
        assert_eq!(Netlink::open().unwrap().tables().unwrap(), []);
    });
}
