//! The machine's addresses, changed by the `ip` program.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};

use svcnat::addresses::follow;
use tokio::sync::watch;
use tokio::time::timeout;

use super::support::{PATIENCE, in_network, ip};

async fn until_they_are(addresses: &mut watch::Receiver<BTreeSet<IpAddr>>, expected: &[&str]) {
    let expected: BTreeSet<IpAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
    if timeout(PATIENCE, addresses.wait_for(|addresses| *addresses == expected)).await.is_err() {
        panic!("expected {expected:?}, found {:?}", *addresses.borrow());
    }
}

#[test]
fn addresses_are_followed_as_they_come_and_go() {
    in_network(async || {
        ip("address add 192.0.2.1/32 dev lo");
        let mut addresses = follow().await.unwrap();
        until_they_are(&mut addresses, &["127.0.0.1", "::1", "192.0.2.1"]).await;
        ip("address add 192.0.2.2 peer 192.0.2.3 dev lo");
        ip("address add 2001:db8::1/128 dev lo");
        until_they_are(&mut addresses, &["127.0.0.1", "::1", "192.0.2.1", "192.0.2.2", "2001:db8::1"]).await;
        // The same address on another interface is still there when one of them loses it.
        ip("link add one type veth peer name two");
        ip("address add 192.0.2.1/32 dev one");
        ip("address delete 192.0.2.1/32 dev lo");
        ip("address delete 2001:db8::1/128 dev lo");
        until_they_are(&mut addresses, &["127.0.0.1", "::1", "192.0.2.1", "192.0.2.2"]).await;
        ip("link delete one");
        until_they_are(&mut addresses, &["127.0.0.1", "::1", "192.0.2.2"]).await;
    });
}

#[test]
fn an_address_is_there_when_something_can_listen_on_it() {
    in_network(async || {
        ip("link add one type veth peer name two");
        ip("link set one up");
        ip("link set two up");
        let mut addresses = follow().await.unwrap();
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        // Until duplicate address detection ends, a second later, it cannot be used.
        ip("address add 2001:db8::1/64 dev one");
        TcpListener::bind((address, 0)).expect_err("a tentative address");
        let there = addresses.wait_for(|addresses| addresses.contains(&address));
        drop(timeout(PATIENCE, there).await.expect("the address in time").unwrap());
        TcpListener::bind((address, 0)).expect("an address that is there");
    });
}
