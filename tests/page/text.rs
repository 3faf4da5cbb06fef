//! Names and words of others stay text, whatever they say.

use serde_json::json;

use crate::agent_support::holds;
use crate::agent_support::objects::{service, slice};
use crate::scene::{look, market};

/// The zone of an endpoint, which the API server takes as it is.
const ZONE: &str =
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>&amp;'\"";

/// The name of an interface, which the kernel would take.
const INTERFACE: &str = "<img&amp;'>";

#[test]
fn what_others_have_written_stays_text() {
    let mut endpoints = slice("web", &["10.244.0.2"]);
    endpoints["endpoints"][0]["zone"] = json!(ZONE);
    let objects = [service("web", 10, json!({})), endpoints];
    look(&objects, 1200, &[], |_scene, browser| {
        browser.run("location.hash = '#/services/shop/web'");
        let zone =
            "return document.querySelector('#backends-table tbody td:nth-child(5)')?.textContent ?? ''";
        browser.until("the zone as it is", zone, |found| holds(found == ZONE, found.to_string()));
        let question = format!(
            "'source=10.244.0.2&destination=10.96.0.10:80&interface=' + encodeURIComponent(`{INTERFACE}`)"
        );
        browser.run(&format!("location.hash = '#/trace?' + {question}"));
        let picture = "return document.querySelector('#trace-answer svg')?.textContent ?? ''";
        browser.until("the interface as it is", picture, |found| {
            let expected = format!("coming in on {INTERFACE}");
            holds(found.as_str().unwrap().contains(&expected), found.to_string())
        });
        let made = "return document.querySelectorAll('img:not([src=\"/assets/icon.svg\"]), script:not([src])').length";
        assert_eq!(browser.run(made), 0);
        assert_eq!(browser.text("return document.title"), "svcnat on node-a");
    });
}

#[test]
fn the_policy_would_stop_what_became_markup() {
    // So that the test above could see it, and no mistake in a script is enough.
    look(&market(), 1200, &["Content Security Policy"], |_scene, browser| {
        assert_eq!(browser.complaints(), Vec::<String>::new());
        let markup = "<img src=/assets/icon.svg onload=\\\"document.title='taken'\\\"><b style='color: red' id=red>x</b>";
        browser.run(&format!("document.querySelector('main').insertAdjacentHTML('beforeend', \"{markup}\")"));
        browser.run("const script = document.createElement('script'); script.textContent = \"document.title = 'taken'\";
            document.body.append(script)");
        browser.run("fetch('http://127.0.0.1:10256/healthz').catch(() => {})");
        let mut complaints = Vec::new();
        let kinds = ["inline event handler", "inline style", "inline script", "connect-src"];
        browser.until("the browser complains", "return null", |_| {
            complaints.extend(browser.complaints());
            let text = complaints.join("\n");
            let missing = kinds.iter().find(|kind| !text.contains(*kind));
            holds(missing.is_none(), format!("{missing:?} in {text}"))
        });
        assert_eq!(browser.text("return document.title"), "svcnat on node-a");
        let colour = browser.text("return getComputedStyle(document.getElementById('red')).color");
        assert_ne!(colour, "rgb(255, 0, 0)");
    });
}
