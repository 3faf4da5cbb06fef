//! A cluster of many Services.

use serde_json::{Value, json};

use crate::agent_support::holds;
use crate::agent_support::objects::{node, service, slice};
use crate::scene::look;

const SERVICES: u16 = 10_000;

/// The `number`th Service with a backend of its own.
fn pair(number: u16) -> [Value; 2] {
    let name = format!("s-{number:04}");
    let [high, low] = number.to_be_bytes();
    let address = format!("10.97.{high}.{low}");
    [
        service(&name, 1, json!({ "clusterIP": address, "clusterIPs": [address] })),
        slice(&name, &[&format!("10.244.{high}.{low}")]),
    ]
}

#[test]
fn ten_thousand_services_are_shown_in_parts() {
    let all: Vec<Value> = (0..SERVICES).flat_map(pair).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": all });
    look(&[node(&["192.168.1.2"]), list], 1400, &[], |scene, browser| {
        let count = "return document.getElementById('count').textContent";
        let expect = |words: &str| {
            browser.until(words, count, |found| holds(found == words, found.to_string()));
        };
        let rows = || browser.run("return document.querySelectorAll('#services-table tbody tr').length");
        expect("10,000 Services, 9,800 of them not shown");
        assert_eq!(rows(), 200);
        browser.click("#more");
        expect("10,000 Services, 9,600 of them not shown");
        assert_eq!(rows(), 400);
        browser.type_into("#filter", "s-77");
        expect("100 Services of 10,000");
        assert_eq!(rows(), 100);
        browser.type_into("#filter", "77");
        expect("1 Service of 10,000");
        // A change is one line of the agent's, and soon seen.
        scene.apply(&service("s-77777", 1, json!({})));
        expect("2 Services of 10,001");
    });
}
