//! The form that draws the way of a packet.

use std::collections::BTreeSet;

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::agent_support::holds;
use crate::agent_support::objects::service;
use crate::scene::{PAGE, look, market};

/// All texts of a picture in SVG.
fn texts(svg: &str) -> BTreeSet<String> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_form_draws_the_way_of_a_packet() {
    look(&market(), 1400, &[], |scene, browser| {
        browser.run("location.hash = '#/services/shop/web'");
        browser.until_true("document.querySelector('#service-facts a') !== null");
        // From the frontend of a Service to the form, which knows it by then.
        browser.click("#service-facts a");
        browser.until_true("document.activeElement.name === 'source'");
        browser.type_into("input[name=source]", "10.244.0.3");
        browser.type_into("input[name=source]", &Key::Enter);
        browser.until_true("document.querySelector('#trace-answer svg') !== null");
        let question = "trace tcp 10.244.0.3 10.96.0.10:80";
        let told: Value = serde_json::from_str(&scene.svcnat(&format!("{question} -o json"))).unwrap();
        let answer = browser.text("return document.getElementById('trace-answer').innerText");
        assert!(answer.contains(told["reason"].as_str().unwrap()), "{answer}");
        for words in [
            "50.00 % (1/2)",
            "10.244.0.2:8080",
            "10.244.1.2:8080",
            "shop/web/http",
            "delivered to the network",
        ] {
            assert!(answer.contains(words), "{words}: {answer}");
        }
        // The picture is that of the command, word for word.
        let picture =
            "return [...document.querySelectorAll('#trace-answer svg text')].map((text) => text.textContent)";
        let Value::Array(drawn) = browser.run(picture) else { panic!("texts") };
        let drawn: BTreeSet<String> = drawn.iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        assert_eq!(drawn, texts(&scene.svcnat(&format!("{question} -o svg"))));
        for words in ["hook prerouting", "nat-prerouting", "@frontends", "Service shop/web", "1/2"] {
            assert!(drawn.iter().any(|text| text.contains(words)), "{words}: {drawn:?}");
        }
        // Step by step, as the command tells it.
        browser.click("#trace-answer summary");
        let steps = browser.text("return document.querySelector('#trace-answer details ol').innerText");
        let text = scene.svcnat(question);
        let way =
            text.split_once("A way to 10.244.0.2:8080:\n").expect(&text).1.split("\n\n").next().unwrap();
        let way: Vec<&str> = way.lines().map(|line| line.trim().trim_start_matches('@')).collect();
        assert_eq!(steps.lines().collect::<Vec<_>>(), way);
        // The address is the question: whoever is given it sees the same.
        let address = browser.text("return location.href");
        assert_eq!(
            address,
            format!("http://{PAGE}/#/trace?protocol=tcp&source=10.244.0.3&destination=10.96.0.10%3A80")
        );
        browser.run("document.querySelector('#trace-answer').remove(); location.reload()");
        browser.until_true("document.querySelector('#trace-answer svg') !== null");
    });
}

#[test]
fn each_field_of_the_form_is_part_of_the_question() {
    let away = ["status of 400"];
    let objects = [
        market(),
        vec![service(
            "six",
            60,
            json!({
                "clusterIP": "fd00:10:96::60", "clusterIPs": ["fd00:10:96::60"], "ipFamilies": ["IPv6"],
            }),
        )],
    ]
    .concat();
    look(&objects, 1400, &away, |_scene, browser| {
        browser.click("nav a[href='#/trace']");
        let ask = |source: &str, destination: &str| {
            for (field, text) in [("source", source), ("destination", destination)] {
                browser.clear(&format!("input[name={field}]"));
                browser.type_into(&format!("input[name={field}]"), text);
            }
            browser.click("#trace-form button");
        };
        let expect = |words: &str| {
            let answer = "return document.getElementById('trace').innerText";
            browser.until(words, answer, |found| {
                holds(found.as_str().unwrap().contains(words), found.to_string())
            });
        };
        ask("10.244.0.3", "10.96.0.12:80");
        expect("rejected at forward with tcp-reset");
        browser.click("select[name=protocol] option:nth-child(2)");
        ask("10.244.0.3", "10.96.0.40:53");
        expect("udp 10.244.0.3:49152 → 10.96.0.40:53");
        browser.click("select[name=protocol] option:nth-child(1)");
        browser.type_into("input[name=interface]", "cni7");
        ask("10.244.0.3", "10.96.0.10:80");
        expect("tcp 10.244.0.3:49152 → 10.96.0.10:80");
        let title = "return document.querySelector('#trace-answer svg title').textContent";
        browser.until("the interface", title, |title| {
            holds(title.as_str().unwrap().ends_with("coming in on cni7"), title.to_string())
        });
        browser.clear("input[name=interface]");
        browser.click("input[name=fromHost]");
        ask("10.244.0.3", "10.96.0.11:80");
        browser.until("the host", title, |title| {
            holds(title.as_str().unwrap().ends_with("sent by this host"), title.to_string())
        });
        browser.click("input[name=fromHost]");
        ask("fd00:10:244::7", "[fd00:10:96::60]:80");
        expect("shop/six/http has no ready endpoints");
        // What is no question is told where it was asked, and what was told before goes.
        ask("10.244.0.3", "10.96.0.10");
        expect("destination: the port is missing");
        assert_eq!(browser.run("return document.querySelector('#trace-answer svg')"), Value::Null);
    });
}
