//! The dashboard and the alerts: understood by Prometheus, and made of metrics that the agent has.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use svcnat::metrics::Metrics;

use crate::tools::{read, repository, run, yaml};

const DASHBOARD: &str = "deploy/monitoring/dashboard.json";
const RULES: &str = "deploy/monitoring/rules.yaml";
const TESTS: &str = "deploy/monitoring/rules.test.yaml";

/// How names of the agent's metrics begin.
const PREFIXES: [&str; 3] = ["svcnat_", "kubeproxy_", "process_"];

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// The panels that show something, without the rows between them.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

/// What the panels and the variables ask for, with values in the places of Grafana's variables.
fn expressions(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let queries = variables.filter_map(|variable| variable["definition"].as_str());
    let selectors = queries.map(|query| {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", "));
        inner.unwrap_or_else(|| panic!("{query}")).0.to_owned()
    });
    asked
        .chain(selectors)
        .map(|expression| {
            let expression = expression.replace("$__rate_interval", "5m");
            expression.replace("$job", ".*").replace("$instance", ".*")
        })
        .collect()
}

/// The alerts as they are written.
fn alerts() -> Vec<Value> {
    let rules = yaml(&read(RULES)).remove(0);
    let groups = rules["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Names of the agent's metrics in a text, with the labels that are asked of them to have a value.
fn selectors(text: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.char_indices().filter(|(at, _)| !text[..*at].ends_with(is_name));
    starts
        .filter_map(|(at, _)| {
            let rest = &text[at..];
            PREFIXES.iter().any(|prefix| rest.starts_with(prefix)).then_some(())?;
            let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
            let labels =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inner, _)| inner);
            let exact = |label: &&str| label.contains("=\"") && !label.contains(".*");
            Some((name, labels.split(", ").filter(exact).collect()))
        })
        .collect()
}

/// A page with all metrics that the agent may have.
fn everything() -> String {
    let metrics = Metrics::new();
    metrics.count_frontends(0, &[]);
    metrics.count_backends(0, &[]);
    metrics.text()
}

/// Fails where a text names what is not on the metrics page.
#[track_caller]
fn check_names(page: &str, text: &str, of: &str) {
    for (name, labels) in selectors(text) {
        let has = |line: &str| {
            let series = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
            series.is_some_and(|series| labels.iter().all(|label| series.contains(label)))
        };
        assert!(page.lines().any(has), "{of}: the agent has no {name} {labels:?}");
    }
}

#[test]
fn prometheus_accepts_the_alerts_and_they_fire_when_they_should() {
    run("promtool", &["check", "rules", RULES]);
    run("promtool", &["test", "rules", TESTS]);
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let tests = yaml(&read(TESTS)).remove(0);
    let cases = tests["tests"].as_array().unwrap().iter();
    let cases: Vec<&Value> = cases.flat_map(|case| case["alert_rule_test"].as_array().unwrap()).collect();
    for alert in alerts() {
        let name = &alert["alert"];
        let of_alert = || cases.iter().filter(|case| case["alertname"] == *name);
        let fires = |case: &&&Value| !case["exp_alerts"].as_array().unwrap().is_empty();
        assert!(of_alert().any(|case| fires(&case)), "{name} never fires");
        assert!(of_alert().any(|case| !fires(&case)), "{name} always fires");
    }
}

#[test]
fn prometheus_understands_every_panel() {
    let expressions = expressions(&dashboard());
    assert!(expressions.len() > 30, "{expressions:?}");
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(number, expression)| json!({ "record": format!("panel:{number}"), "expr": expression }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    // JSON is YAML.
    fs::write(&file, json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()).unwrap();
    run("promtool", &["check", "rules", file.to_str().unwrap()]);
}

#[test]
fn what_is_shown_and_warned_of_is_what_the_agent_tells() {
    let page = everything();
    for expression in expressions(&dashboard()) {
        check_names(&page, &expression, DASHBOARD);
    }
    for alert in alerts() {
        check_names(&page, alert["expr"].as_str().unwrap(), RULES);
    }
    // People are told the name of a histogram as a whole, which has no sample of that name.
    let page = page.replace("# TYPE ", "");
    for document in fs::read_dir(repository("docs")).unwrap() {
        let path = document.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            check_names(&page, &fs::read_to_string(&path).unwrap(), &path.display().to_string());
        }
    }
}

#[test]
fn each_metric_of_our_own_is_explained_to_operators() {
    let page = everything();
    let told = read("docs/operating.md");
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("svcnat_"))
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(told.contains(&format!("`{name}")), "{name}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel:#}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel:#}");
    }
}
