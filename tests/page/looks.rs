//! How the page looks: colours, widths, labels.

use std::{env, fs};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::scene::{look, market};

/// Opens each view in turn.
fn each_view(browser: &Browser, mut see: impl FnMut(&str)) {
    for (name, hash, ready) in [
        ("services", "#/services", "document.querySelectorAll('#services-table tbody tr').length === 5"),
        (
            "service",
            "#/services/shop/api",
            "document.querySelectorAll('#backends-table tbody tr').length === 3",
        ),
        (
            "trace",
            "#/trace?protocol=tcp&source=10.244.0.3&destination=10.96.0.11%3A80",
            "document.querySelector('#trace-answer svg') !== null",
        ),
        ("status", "#/status", "document.getElementById('status-facts').children.length > 5"),
    ] {
        browser.run(&format!("location.hash = '{hash}'"));
        browser.until_true(ready);
        see(name);
    }
}

/// Keeps what the window shows where `PICTURES` names a folder, for people to look at.
fn keep(browser: &Browser, name: &str) {
    if let Some(folder) = env::var_os("PICTURES") {
        fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), browser.picture()).unwrap();
    }
}

/// How much text stands out from what is behind it (WCAG 2, contrast ratio): the least of all texts that are shown, with the text.
const CONTRAST: &str = "
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if ((channels(colour)[3] ?? 1) === 1) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let worst = [Infinity, ''];
    while (walker.nextNode()) {
        const { parentElement: parent, textContent: text } = walker.currentNode;
        if (text.trim() === '' || !parent.checkVisibility() || parent.closest('svg, option, noscript')) continue;
        const [a, b] = [light(getComputedStyle(parent).color), light(behind(parent))].sort((a, b) => b - a);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < worst[0]) worst = [ratio, text];
    }
    return worst;";

#[test]
fn every_view_can_be_read_in_light_and_dark_colours() {
    look(&market(), 1280, &[], |_scene, browser| {
        let mut papers = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            each_view(browser, |view| {
                keep(browser, &format!("{view}-{scheme}"));
                let worst = browser.run(CONTRAST);
                assert!(worst[0].as_f64().unwrap() >= 4.5, "{view} {scheme}: {worst}");
            });
            // The picture has its own style, which the policy lets in by a script alone.
            let colours = "return [document.body, document.querySelector('#trace-answer svg .paper')].map((paper) =>
                getComputedStyle(paper)).map((style) => style.fill !== 'rgb(0, 0, 0)' ? style.fill : style.backgroundColor)";
            papers.push(browser.run(colours));
        }
        let [light, dark] = papers.as_slice() else { panic!("two schemes") };
        assert_eq!(*light, json!(["rgb(255, 255, 255)", "rgb(255, 255, 255)"]));
        assert_eq!(*dark, json!(["rgb(22, 24, 29)", "rgb(22, 24, 29)"]));
    });
}

#[test]
fn every_view_fits_into_a_narrow_window() {
    look(&market(), 800, &[], |_scene, browser| {
        each_view(browser, |view| {
            keep(browser, &format!("{view}-narrow"));
            let width = browser.run("return document.documentElement.scrollWidth - innerWidth");
            assert_eq!(width, 0, "{view} is wider than the window");
        });
        browser.run("location.hash = '#/services'");
        let scroll = "const { scrollWidth, clientWidth } = document.querySelector('#services .scroll');
            return scrollWidth - clientWidth";
        assert_eq!(browser.run(scroll), 0, "the table of Services");
    });
}

#[test]
fn everything_that_can_be_used_has_a_name() {
    look(&market(), 1280, &[], |_scene, browser| {
        each_view(browser, |view| {
            let nameless = browser.run(
                "return [...document.querySelectorAll('a, button, input, select, table')].filter((element) =>
                    element.checkVisibility() && !(element.labels?.length > 0 || element.ariaLabel || element.textContent.trim() ||
                    element.ariaLabelledByElements?.length > 0)).map((element) => element.outerHTML)",
            );
            assert_eq!(nameless, json!([]), "{view}");
            let heads = browser.run(
                "return [...document.querySelectorAll('th')].filter((head) => !head.scope).map((head) => head.textContent)",
            );
            assert_eq!(heads, json!([]), "{view}");
            let current = browser.run("return document.querySelectorAll('nav [aria-current=page]').length");
            assert_eq!(current, Value::from(1), "{view}");
        });
    });
}
