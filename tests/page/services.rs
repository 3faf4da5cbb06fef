//! Services, backends and the status, as they are and as they change.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::agent_support::holds;
use crate::agent_support::objects::{service, slice};
use crate::browser::Browser;
use crate::scene::{Scene, look, market};

/// A table's rows without the heading, each as its cells.
pub const ROWS: &str = "
    return [...document.querySelectorAll('#services-table tbody tr')].map((row) =>
        [...row.cells].filter((cell) => !cell.matches('.counted')).map((cell) => cell.textContent));";

const BACKENDS: &str = "
    return [...document.querySelectorAll('#backends-table tbody tr')].map((row) =>
        [...row.cells].map((cell) => cell.textContent));";

/// The rows of a table that a command prints, each as its cells, which are three blanks apart.
fn cells(table: &str) -> Value {
    let row = |line: &str| {
        let cells = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(Value::from).collect::<Vec<_>>()
    };
    table.lines().skip(1).map(row).collect::<Vec<_>>().into()
}

#[track_caller]
fn until_as_told(browser: &Browser, scene: &Scene, body: &str, command: &str) {
    browser.until(command, body, |shown| {
        let told = cells(&scene.svcnat(command));
        holds(*shown == told, format!("\n{shown}\n{told}"))
    });
}

#[test]
fn the_table_says_what_svcnat_services_says_as_it_changes() {
    look(&market(), 1600, &[], |scene, browser| {
        let services = "services -A -o wide";
        until_as_told(browser, scene, ROWS, services);
        // All of this is seen without loading the page again.
        browser.run("window.loaded = 'once'");
        scene.apply(&slice("idle", &["10.244.0.9", "10.244.1.9"]));
        browser.until("backends are counted", ROWS, |rows| {
            let idle = rows.as_array().unwrap().iter().find(|row| row[1] == "idle").unwrap();
            holds(idle[6] == "2" && idle[7] == "1" && idle[8] == "2", idle.to_string())
        });
        scene.apply(&service("new", 60, json!({ "externalIPs": ["203.0.113.9"] })));
        browser.until("a new Service", ROWS, |rows| {
            holds(rows.to_string().contains("203.0.113.9"), "not there")
        });
        scene.delete("Service", "web");
        browser.until("a Service goes, and its node port is free", ROWS, |rows| {
            let names: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row[1]).collect();
            let rival = rows.as_array().unwrap().iter().find(|row| row[1] == "rival").unwrap();
            holds(!names.contains(&&json!("web")) && rival[11] == "0", format!("{names:?} {rival}"))
        });
        until_as_told(browser, scene, ROWS, services);
        assert_eq!(browser.text("return window.loaded"), "once");
    });
}

#[test]
fn rows_are_chosen_and_sorted() {
    let mut objects = market();
    let mut other = service("web", 70, json!({}));
    other["metadata"]["namespace"] = json!("garden");
    // Its file has another name than that of the other `web`.
    objects.push(json!({ "apiVersion": "v1", "kind": "List", "items": [other] }));
    look(&objects, 1600, &[], |_scene, browser| {
        let names = "return [...document.querySelectorAll('#services-table tbody tr')].map((row) =>
            `${row.cells[0].textContent}/${row.cells[1].textContent}`).join(' ')";
        let expect = |what: &str, expected: &str| {
            browser.until(what, names, |names| holds(names == expected, names.to_string()));
        };
        expect("all by their names", "garden/web shop/api shop/everything shop/idle shop/rival shop/web");
        browser.type_into("#filter", "WEB");
        expect("a word in any column, in any case", "garden/web shop/rival shop/web");
        browser.type_into("#filter", " 30080");
        expect("each of several words", "shop/rival shop/web");
        assert_eq!(browser.text("return document.getElementById('count').textContent"), "2 Services of 6");
        browser.clear("#filter");
        browser.click("#namespace option[value=garden]");
        expect("a namespace", "garden/web");
        browser.click("#namespace option[value='']");
        // By `Ready`: numbers are numbers, and what is equal stays in the order of its names.
        browser.click("#services-table th:nth-child(7) button");
        expect("upwards", "garden/web shop/everything shop/idle shop/rival shop/web shop/api");
        browser.click("#services-table th:nth-child(7) button");
        expect("downwards", "shop/api shop/web garden/web shop/everything shop/idle shop/rival");
        let sorted =
            "return document.querySelector('#services-table th:nth-child(7)').getAttribute('aria-sort')";
        assert_eq!(browser.text(sorted), "descending");
    });
}

#[test]
fn a_row_leads_to_the_backends_which_change_too() {
    look(&market(), 1600, &[], |scene, browser| {
        until_as_told(browser, scene, ROWS, "services -A -o wide");
        // The middle of a row is a link as well as the name.
        browser.click("#services-table tbody tr:last-child td:nth-child(3)");
        browser.until_true("document.getElementById('service-heading').textContent === 'shop/web'");
        until_as_told(browser, scene, BACKENDS, "backends shop/web");
        let facts = browser.text("return document.getElementById('service-facts').innerText");
        for fact in
            ["NodePort", "10.96.0.10:80/TCP", "30080/TCP", "2 ready, 1 of them on this node, 2 in all"]
        {
            assert!(facts.contains(fact), "{fact}: {facts}");
        }
        // As many as before: the table of Services says nothing new.
        scene.apply(&slice("web", &["10.244.1.7", "10.244.1.2"]));
        browser.until("the new backend", BACKENDS, |rows| {
            holds(rows.to_string().contains("10.244.1.7:8080"), rows.to_string())
        });
        until_as_told(browser, scene, BACKENDS, "backends shop/web");
        // By the keyboard, and by an address.
        browser.run("history.back()");
        browser.type_into("#services-table tbody tr:nth-child(4) a", &Key::Enter);
        browser
            .until_true("document.getElementById('service-facts').innerText.includes('older shop/web/http')");
        browser.open("http://127.0.0.1:10247/#/services/shop/everything");
        browser.until_true("document.getElementById('service-message').innerText.includes('no backends')");
        let facts = browser.text("return document.getElementById('service-facts').innerText");
        for fact in
            ["for 600 seconds", "198.51.100.0/24", "30900", "203.0.113.100:53/UDP", "203.0.113.8:80/TCP"]
        {
            assert!(facts.contains(fact), "{fact}: {facts}");
        }
    });
}

#[test]
fn the_status_is_shown_and_an_agent_that_is_away_is_missed() {
    // What is asked of nobody is told to the console by the browser itself.
    let away =
        ["net::ERR_CONNECTION_REFUSED", "net::ERR_CONNECTION_RESET", "net::ERR_INCOMPLETE_CHUNKED_ENCODING"];
    look(&market(), 1200, &away, |scene, browser| {
        browser.run("window.loaded = 'once'");
        browser.click("nav a[href='#/status']");
        browser.until_true("document.getElementById('state').textContent === 'in step'");
        let status = browser.text("return document.getElementById('status-facts').innerText");
        let told = scene.svcnat("status");
        for line in told.lines().filter(|line| {
            ["mode", "tables", "pending", "failures"].iter().any(|what| line.starts_with(what))
        }) {
            let (_, words) = line.split_once(':').unwrap();
            assert!(status.contains(words.trim()), "{line}: {status}");
        }
        for words in ["svcnat 0.1.0 on node-a", "5 Services, 15 frontends, 5 backends, 1 conflict"] {
            assert!(status.contains(words), "{words}: {status}");
        }
        scene.restart(|| {
            browser.until_true("document.getElementById('state').textContent === 'no answer'");
            browser.until_true("document.getElementById('live').textContent.startsWith('not live')");
        });
        browser.until_true("document.getElementById('state').textContent === 'in step'");
        browser.until_true("document.getElementById('live').textContent === 'live'");
        scene.apply(&service("new", 60, json!({})));
        browser.run("location.hash = '#/services'");
        browser.until("what is new to the new agent", ROWS, |rows| {
            holds(rows.to_string().contains("10.96.0.60"), rows.to_string())
        });
        assert_eq!(browser.text("return window.loaded"), "once");
    });
}
