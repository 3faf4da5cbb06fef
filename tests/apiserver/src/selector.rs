//! Selectors: which objects a client wants to hear of.

use std::collections::BTreeMap;

use crate::object::Object;

/// What the path and the parameters of a request select.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub namespace: Option<String>,
    pub labels: Vec<Requirement>,
    pub fields: Vec<FieldRequirement>,
}

impl Selection {
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| object.namespace() == namespace)
            && self.labels.iter().all(|requirement| requirement.matches(object.labels()))
            && self.fields.iter().all(|requirement| requirement.matches(object))
    }

    /// Whether clients are told how many objects remain: only where the server need not look at each.
    pub(crate) fn is_countable(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// One requirement on labels:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            // An object without the label is selected too.
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
        }
    }
}

/// Reads a label selector; the error is the part that is no requirement.
pub(crate) fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    split_outside_parentheses(text)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| requirement(part).ok_or_else(|| part.to_owned()))
        .collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some((key, values)) = set_based(part, " notin ") {
        return Some(Requirement::NotIn(label_key(key)?, values?));
    }
    if let Some((key, values)) = set_based(part, " in ") {
        return Some(Requirement::In(label_key(key)?, values?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(label_key(key)?, vec![label_value(value)?]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Requirement::In(label_key(key)?, vec![label_value(value)?]));
    }
    match part.strip_prefix('!') {
        Some(key) => Some(Requirement::Absent(label_key(key)?)),
        None => Some(Requirement::Exists(label_key(part)?)),
    }
}

/// Splits `KEY in (A, B)`; the values are missing where the parentheses are.
fn set_based<'a>(part: &'a str, operator: &str) -> Option<(&'a str, Option<Vec<String>>)> {
    // `in(A)` without a blank is allowed as well.
    let (key, values) = part.split_once(operator).or_else(|| {
        let (head, _) = part.split_once('(')?;
        let key = head.strip_suffix(operator.trim_end())?;
        Some((key, part.get(head.len()..)?))
    })?;
    let inside = values.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    Some((key, inside.and_then(|inside| inside.split(',').map(label_value).collect())))
}

fn label_key(text: &str) -> Option<String> {
    let text = text.trim();
    let name = text.rsplit('/').next().unwrap_or(text);
    (!name.is_empty() && text.chars().all(|c| is_label_character(c) || c == '/')).then(|| text.to_owned())
}

fn label_value(text: &str) -> Option<String> {
    let text = text.trim();
    text.chars().all(is_label_character).then(|| text.to_owned())
}

fn is_label_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// One requirement on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldRequirement {
    field: Field,
    equal: bool,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl FieldRequirement {
    fn matches(&self, object: &Object) -> bool {
        let value = match self.field {
            Field::Name => object.name(),
            Field::Namespace => object.namespace(),
        };
        (value == self.value) == self.equal
    }
}

/// Reads a field selector of the fields that every resource has; the error is the part that is none.
pub(crate) fn parse_fields(text: &str) -> Result<Vec<FieldRequirement>, String> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| field_requirement(part).ok_or_else(|| part.to_owned()))
        .collect()
}

fn field_requirement(part: &str) -> Option<FieldRequirement> {
    let (equal, (field, value)) = match part.split_once("!=") {
        Some(split) => (false, split),
        None => (true, part.split_once("==").or_else(|| part.split_once('='))?),
    };
    let field = match field {
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        _ => return None,
    };
    Some(FieldRequirement { field, equal, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let matches = parse_labels(selector).unwrap().iter().all(|requirement| requirement.matches(&labels));
        assert_eq!(matches, expected, "{selector} on {labels:?}");
    }

    #[test]
    fn label_selectors_select_as_the_documentation_says() {
        let kube_proxy = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";
        check(kube_proxy, &[], true);
        check(kube_proxy, &[("app", "web")], true);
        check(kube_proxy, &[("service.kubernetes.io/headless", "")], false);
        check(kube_proxy, &[("service.kubernetes.io/service-proxy-name", "other")], false);
        check("", &[], true);
        check("app", &[("app", "")], true);
        check("app", &[], false);
        for equal in ["app=web", "app==web", "app = web", "app in (web, api)", "app in(web)"] {
            check(equal, &[("app", "web")], true);
            check(equal, &[("app", "db")], false);
            check(equal, &[], false);
        }
        for unequal in ["app!=web", "app notin (web,api)", "app notin(web)"] {
            check(unequal, &[("app", "web")], false);
            check(unequal, &[("app", "db")], true);
            check(unequal, &[], true);
        }
        check("app in (web,api),tier=front", &[("app", "api"), ("tier", "front")], true);
        check("app in (web,api),tier=front", &[("app", "api")], false);
        check("app=", &[("app", "")], true);
    }

    #[test]
    fn what_is_no_requirement_is_named() {
        for bad in ["a b", "=web", "!", "app in web", "app in (", "app=a=b", "app>1", "example.org/"] {
            assert_eq!(parse_labels(&format!("ok,{bad}")).unwrap_err(), bad);
        }
        for bad in ["metadata.name", "spec.nodeName=a", "name=a"] {
            assert_eq!(parse_fields(bad).unwrap_err(), bad);
        }
    }
}
