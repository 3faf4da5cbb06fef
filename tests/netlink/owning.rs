//! Tables that nobody else can change, and hearing of it where others can.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use svcnat::netlink::{Error, Heard, Listen, Monitor, Netlink, Options, TableSizes, encode};
use svcnat_rules::installed::Owner;
use svcnat_rules::net::Family;
use svcnat_rules::transaction::{Change, Operation, Transaction};

use crate::namespace::{in_fresh_namespace, nft_list, nft_load};

/// Makes both tables the socket's own, each with a chain.
fn own(kernel: &mut Netlink) {
    let name = "c".into();
    let operations = Family::ALL.into_iter().flat_map(|family| {
        let changes = [Change::AddTable, Change::AddChain { name: &name, hook: None }];
        changes.map(|change| Operation { family, change })
    });
    let options = Options { own: true, ..Options::default() };
    kernel.apply(&encode(&Transaction { operations: operations.collect() }, &options).unwrap()).unwrap();
}

fn owners(kernel: &mut Netlink) -> Vec<Owner> {
    kernel.read().unwrap().tables.values().map(|table| table.owner).collect()
}

/// Waits until the owner of both tables has left them: a program that another test starts holds its socket open until its
/// exec.
fn until_left(kernel: &mut Netlink) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while owners(kernel) != [Owner::Left; 2] {
        assert!(Instant::now() < deadline, "{:?}", owners(kernel));
        sleep(Duration::from_millis(1));
    }
}

/// Runs nft; whether it succeeds.
fn nft(arguments: &[&str]) -> bool {
    Command::new("nft").args(arguments).output().unwrap().status.success()
}

#[test]
fn nobody_else_can_change_a_table_that_is_owned() {
    in_fresh_namespace(|| {
        let mut kernel = Netlink::open().unwrap();
        own(&mut kernel);
        let number = kernel.number();
        assert_eq!(owners(&mut kernel), [Owner::Socket(number); 2]);
        assert!(nft(&["flush", "ruleset"]), "other tables can be flushed");
        for command in [&["delete", "table", "ip", "svcnat"][..], &["add", "chain", "ip6", "svcnat", "d"]] {
            assert!(!nft(command), "{command:?}");
        }
        assert!(nft_list("ip").contains("chain c"), "nft can list it");
        let delete =
            Transaction { operations: vec![Operation { family: Family::Ipv4, change: Change::DeleteTable }] };
        let refused =
            Netlink::open().unwrap().apply(&encode(&delete, &Options::default()).unwrap()).unwrap_err();
        assert!(matches!(refused, Error::Owned { .. }), "{refused}");
        assert_eq!(owners(&mut kernel), [Owner::Socket(number); 2]);
    });
}

#[test]
fn a_program_that_was_started_does_not_keep_tables_owned() {
    in_fresh_namespace(|| {
        let mut kernel = Netlink::open().unwrap();
        own(&mut kernel);
        let mut program = Command::new("sleep").arg("600").spawn().unwrap();
        drop(kernel);
        until_left(&mut Netlink::open().unwrap());
        assert_eq!(program.try_wait().unwrap(), None);
        program.kill().unwrap();
        program.wait().unwrap();
    });
}

#[test]
fn a_table_stays_when_its_owner_ends_and_the_next_takes_it_over() {
    in_fresh_namespace(|| {
        let mut first = Netlink::open().unwrap();
        own(&mut first);
        drop(first);
        let mut next = Netlink::open().unwrap();
        until_left(&mut next);
        let installed = next.read().unwrap();
        assert!(next.take_over(&installed).unwrap());
        let installed = next.read().unwrap();
        assert!(installed.tables.values().all(|table| table.chains.len() == 1), "{installed:?}");
        assert_eq!(owners(&mut next), [Owner::Socket(next.number()); 2]);
        assert!(!next.take_over(&installed).unwrap(), "a second time there is nothing to do");
        drop(next);
        until_left(&mut Netlink::open().unwrap());
        assert!(nft(&["delete", "table", "ip", "svcnat"]), "who is left can be removed");
    });
}

/// Whether a monitor hears of a change by nft or by programs of iptables, with something of ours there.
#[track_caller]
fn check_heard(listen: Listen, change: &str, expected: bool) {
    in_fresh_namespace(|| {
        nft_load("table ip svcnat { set s { type ipv4_addr; elements = { 10.0.0.1 }\n}\nchain c {\n}\n}\n");
        iptables("-t nat -N SVCNAT-SERVICES");
        iptables("-t nat -A SVCNAT-SERVICES -d 192.0.2.1 -j RETURN");
        iptables("-t nat -I PREROUTING -j SVCNAT-SERVICES");
        iptables("-t nat -N OTHERS");
        let monitor = Monitor::open(listen).unwrap();
        assert_eq!(monitor.take().unwrap(), Heard::default());
        match change.strip_prefix("iptables ") {
            Some(arguments) => iptables(arguments),
            None => nft_load(change),
        }
        let heard = monitor.take().unwrap();
        assert_eq!((heard.disturbs(0), heard.lost), (expected, false), "{change}");
        assert_eq!(monitor.take().unwrap(), Heard::default(), "{change}: a second time");
    });
}

fn iptables(arguments: &str) {
    let ended = Command::new("iptables-nft").args(arguments.split(' ')).status().unwrap();
    assert!(ended.success(), "iptables-nft {arguments}");
}

#[test]
fn changes_of_our_tables_by_others_are_heard() {
    let check = |script, expected| check_heard(Listen::Nftables, script, expected);
    check("flush ruleset\n", true);
    check("delete table ip svcnat\n", true);
    check("add element ip svcnat s { 10.0.0.2 }\n", true);
    check("delete element ip svcnat s { 10.0.0.1 }\n", true);
    check("add rule ip svcnat c accept\n", true);
    check("delete chain ip svcnat c\n", true);
    check("add table ip6 svcnat\n", true);
    check("add table ip svcnat2\n", false);
    check("table inet svcnat {\n}\n", false);
    check("iptables -t nat -F", false);
    check("", false);
}

#[test]
fn changes_of_our_chains_in_the_tables_of_iptables_are_heard() {
    let check = |change, expected| check_heard(Listen::Iptables, change, expected);
    check("flush ruleset\n", true);
    check("delete table ip nat\n", true);
    check("add table ip nat { flags dormant; }\n", true);
    check("iptables -t nat -F", true);
    check("iptables -t nat -F SVCNAT-SERVICES", true);
    check("iptables -t nat -A SVCNAT-SERVICES -j RETURN", true);
    check("iptables -t nat -R SVCNAT-SERVICES 1 -d 192.0.2.2 -j RETURN", true);
    check("iptables -t nat -D PREROUTING -j SVCNAT-SERVICES", true);
    check("iptables -t nat -D PREROUTING 1", true);
    check("iptables -t nat -E SVCNAT-SERVICES SVCNAT-RENAMED", true);
    check("iptables -t nat -N SVCNAT-MORE", true);
    check("iptables -t nat -I PREROUTING -j OTHERS", true);
    check("iptables -t nat -A PREROUTING -j OTHERS", false);
    check("iptables -t nat -I OTHERS -j RETURN", false);
    check("iptables -t nat -X OTHERS", false);
    check("iptables -t raw -I PREROUTING -j ACCEPT", false);
    check("delete table ip svcnat\n", false);
    check("table inet nat {\n}\n", false);
}

#[test]
fn our_own_changes_are_told_from_those_of_others() {
    in_fresh_namespace(|| {
        let monitor = Monitor::open(Listen::Nftables).unwrap();
        let mut kernel = Netlink::open().unwrap();
        own(&mut kernel);
        let heard = monitor.take().unwrap();
        assert_eq!(heard.senders.iter().copied().collect::<Vec<_>>(), [kernel.number()]);
        assert!(!heard.disturbs(kernel.number()));
    });
}

#[test]
fn lost_notifications_count_as_a_disturbance() {
    in_fresh_namespace(|| {
        let monitor = Monitor::open(Listen::Nftables).unwrap();
        let elements: Vec<String> =
            (0..60_000_u32).map(|n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255)).collect();
        nft_load(&format!(
            "table ip other {{ set s {{ type ipv4_addr; elements = {{ {} }}\n}}\n}}\n",
            elements.join(",")
        ));
        assert!(monitor.take().unwrap().disturbs(0));
    });
}

/// Whether the sizes of the tables of ip_tables are others after a change by the variant legacy.
#[track_caller]
fn check_sizes(change: &str, expected: bool) {
    in_fresh_namespace(|| {
        let legacy = |arguments: &str| {
            let arguments = ["-w", "60"].into_iter().chain(arguments.split(' '));
            assert!(Command::new("iptables-legacy").args(arguments).status().unwrap().success());
        };
        assert_eq!(TableSizes::read().unwrap(), TableSizes::default(), "nobody uses ip_tables here");
        legacy("-t nat -N SVCNAT-SERVICES");
        legacy("-t nat -A SVCNAT-SERVICES -d 192.0.2.1 -j RETURN");
        let before = TableSizes::read().unwrap();
        assert_ne!(before, TableSizes::default());
        legacy(change);
        assert_eq!(TableSizes::read().unwrap() != before, expected, "{change}");
    });
}

#[test]
fn rules_that_come_or_go_change_the_sizes_of_legacy_tables() {
    check_sizes("-t nat -F", true);
    check_sizes("-t nat -N SVCNAT-MORE", true);
    check_sizes("-t nat -I PREROUTING -j SVCNAT-SERVICES", true);
    check_sizes("-t nat -D SVCNAT-SERVICES 1", true);
    check_sizes("-t filter -A FORWARD -j ACCEPT", true);
    check_sizes("-t nat -R SVCNAT-SERVICES 1 -d 192.0.2.2 -j RETURN", false);
    check_sizes("-t nat -C SVCNAT-SERVICES -d 192.0.2.1 -j RETURN", false);
}
