//! What others have put into our tables is read precisely enough to be removed.

use svcnat_rules::installed::Installed;
use svcnat_rules::net::Family;
use svcnat_rules::transaction::Change;

use crate::namespace::{apply, in_fresh_namespace, nft_list, nft_load, read};

/// What is in the IPv4 table that has this content.
fn read_table(content: &str) -> Installed {
    nft_load(&format!("table ip svcnat {{\n{content}\n}}"));
    read()
}

#[test]
fn rules_of_others_have_a_handle_and_no_content() {
    #[track_caller]
    fn check(statement: &str) {
        let installed = in_fresh_namespace(|| {
            let installed = read_table(&format!(
                "chain other {{ }}
                chain c {{ type nat hook prerouting priority -100; return; {statement}; accept; }}"
            ));
            let chain = "c".into();
            let handle = installed.tables[&Family::Ipv4].chains["c"].rules[1].handle.unwrap();
            apply(vec![Change::DeleteRule { chain: &chain, handle }]).unwrap();
            let left = nft_list("ip");
            assert!(left.contains("return") && left.contains("accept"), "{left}");
            assert_eq!(read().tables[&Family::Ipv4].chains["c"].rules.len(), 2, "{left}");
            installed
        });
        let rules = &installed.tables[&Family::Ipv4].chains["c"].rules;
        let known: Vec<_> = rules.iter().map(|rule| rule.rule.is_some()).collect();
        assert_eq!(known, [true, false, true], "{statement}");
        assert!(installed.tables[&Family::Ipv4].sets.is_empty(), "{statement}: its anonymous set is listed");
    }
    check("counter");
    check("counter drop");
    check("log prefix \"x\"");
    check("limit rate 1/second accept");
    check("tcp dport 80-90 accept");
    check("tcp dport { 80, 443 } accept");
    check("tcp dport vmap { 80 : accept, 443 : drop }");
    check("meta oifname eth0 accept");
    check("ct direction reply accept");
    check("ct reply ip saddr 10.0.0.1 accept");
    check("numgen inc mod 2 0 accept");
    check("numgen random mod 2 offset 5 5 accept");
    check("dnat to 10.0.0.1-10.0.0.9");
    check("meta l4proto tcp dnat to 10.0.0.1:80-90");
    check("dnat to 10.0.0.1 persistent");
    check("redirect");
    check("fib saddr . iif oif 0 accept");
    check("ip ttl 1 meta mark set 1 ct mark set 1");
    check("jump { accept; }");
    check("jhash ip saddr mod 2 0 accept");
}

#[test]
fn sets_of_others_have_no_definition() {
    #[track_caller]
    fn check(declaration: &str) {
        let installed = in_fresh_namespace(|| {
            let installed = read_table(&format!("counter n {{ }}\n{declaration}"));
            apply(vec![Change::DeleteSet { name: &"s".into() }]).unwrap();
            installed
        });
        let set = &installed.tables[&Family::Ipv4].sets["s"];
        assert_eq!(set.definition, None, "{declaration}");
        assert!(set.elements.is_empty(), "{declaration}");
    }
    check("set s { type ether_addr; }");
    check("set s { type mark; elements = { 1 } }");
    check("set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }");
    check("set s { type ipv4_addr; timeout 1h; elements = { 10.0.0.1 } }");
    check("set s { type ipv4_addr; flags timeout; }");
    check("set s { type ipv4_addr; flags dynamic; }");
    check("set s { type ipv4_addr; flags constant; elements = { 10.0.0.1 } }");
    check("set s { type ipv4_addr; policy memory; }");
    check("set s { type ipv4_addr; gc-interval 5s; flags timeout, dynamic; }");
    check("set s { type ipv4_addr; limit rate 1/second; elements = { 10.0.0.1 } }");
    check("set s { type ipv4_addr; counter limit rate 1/second; elements = { 10.0.0.1 } }");
    check("set s { type ipv4_addr; elements = { 10.0.0.1, * } }");
    check("map s { type ipv4_addr : counter; elements = { 10.0.0.1 : \"n\" } }");
    check("map s { type ipv4_addr : mark; elements = { 10.0.0.1 : 1 } }");
    check("map s { type ipv4_addr : interval inet_service; flags interval; }");
}

#[test]
fn chains_of_others_have_no_hook() {
    #[track_caller]
    fn check(kind: &str) {
        let installed = in_fresh_namespace(|| {
            let installed = read_table(&format!("chain c {{ {kind} ; accept; }}"));
            apply(vec![Change::FlushChain { name: &"c".into() }, Change::DeleteChain { name: &"c".into() }])
                .unwrap();
            installed
        });
        let chain = &installed.tables[&Family::Ipv4].chains["c"];
        assert_eq!(chain.hook, None, "{kind}");
        assert_eq!(chain.rules.len(), 1, "{kind}");
    }
    check("type filter hook input priority 0; policy drop");
    check("type route hook output priority 0");
}

#[test]
fn tables_of_others_are_not_read() {
    in_fresh_namespace(|| {
        nft_load(
            "table ip other { set s { type ipv4_addr; }
              chain c { type filter hook input priority 0; accept; }
             }

             table inet svcnat { chain c { }
 }
             table ip svcnat { chain mine { }
 }",
        );
        let installed = read();
        assert_eq!(installed.tables.len(), 1);
        let table = &installed.tables[&Family::Ipv4];
        assert_eq!(table.chains.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["mine"]);
        assert!(table.sets.is_empty());
    });
}
