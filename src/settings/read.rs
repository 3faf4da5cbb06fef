//! From the text of a configuration file to its documents.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};
use svcnat_rules::name::Name;

use super::document::{Document, KubeProxyConfiguration, SvcnatConfiguration};
use super::error::{At, Error, Errors, Problem, Reason};
use super::keys::{NO_EFFECT, NoEffect};
use super::note::Note;
use crate::convert::printable;
use crate::manifests::locate;
use crate::manifests::split::{self, documents};
use crate::manifests::yaml;

/// The most bytes of a configuration file: what a ConfigMap can hold.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file that has been read.
pub(super) struct Configuration {
    pub kube_proxy: KubeProxyConfiguration,
    pub svcnat: SvcnatConfiguration,
    pub notes: Vec<Note>,
    /// Whether it has a document that a mode can stand in.
    pub has_mode: bool,
    text: FileText,
}

/// A file and where its documents begin, for the lines of keys.
struct FileText {
    file: Name,
    text: String,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Configuration, Errors> {
    let file = Name::from(path.to_string_lossy().as_ref());
    let failed = |error: &io::Error| Error::of_file(&file, None, Reason::unreadable(error));
    let mut bytes = Vec::new();
    let opened = File::open(path).map_err(|error| failed(&error))?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::of_file(&file, None, Reason::TooLarge));
    }
    match String::from_utf8(bytes) {
        Ok(text) => parse(file, text),
        Err(_) => Err(Error::of_file(&file, None, Reason::NotUtf8)),
    }
}

/// Parses the text of a file.
pub(super) fn parse(file: Name, text: String) -> Result<Configuration, Errors> {
    let mut reader =
        Reader { text: FileText { file, text }, kube_proxy: None, svcnat: None, notes: Vec::new() };
    let text = reader.text.text.clone();
    let found = documents(&text);
    if found.is_empty() {
        return Err(Error::of_file(&reader.text.file, None, Reason::Empty));
    }
    let errors: Vec<Error> =
        found.into_iter().filter_map(|document| reader.document(document).err()).flatten().collect();
    if !errors.is_empty() {
        return Err(Errors::in_order(errors));
    }
    Ok(Configuration {
        has_mode: reader.kube_proxy.is_some(),
        kube_proxy: reader.kube_proxy.unwrap_or_default(),
        svcnat: reader.svcnat.unwrap_or_default(),
        notes: reader.notes,
        text: reader.text,
    })
}

impl Configuration {
    /// Where a key stands. A key that does not, stands where its nearest parent does.
    pub fn at(&self, key: &str) -> At {
        let first = key.split(['.', '[']).next().unwrap_or(key);
        let own = known::<SvcnatConfiguration>().contains_key(first);
        let kind = if own { SvcnatConfiguration::KIND } else { KubeProxyConfiguration::KIND };
        let of_kind = |document: &split::Document<'_>| {
            yaml::read_mapping(document.text)
                .is_ok_and(|fields| fields.get("kind").is_some_and(|found| found == kind))
        };
        match documents(&self.text.text).into_iter().find(of_kind) {
            Some(document) => self.text.at(document, key),
            None => At::File { file: self.text.file.clone(), line: None, key: key.to_owned() },
        }
    }
}

impl FileText {
    fn at(&self, document: split::Document<'_>, key: &str) -> At {
        let line = locate::lines(document.text, [key]).into_iter().next().flatten();
        let line = line.map_or(document.content_line, |line| document.first_line + line - 1);
        At::File { file: self.file.clone(), line: Some(line), key: key.to_owned() }
    }
}

struct Reader {
    text: FileText,
    kube_proxy: Option<KubeProxyConfiguration>,
    svcnat: Option<SvcnatConfiguration>,
    notes: Vec<Note>,
}

impl Reader {
    fn document(&mut self, document: split::Document<'_>) -> Result<(), Vec<Error>> {
        let mut fields =
            yaml::read_mapping(document.text).map_err(|error| vec![self.syntax(document, &error)])?;
        strip_nulls(&mut fields);
        let kind = fields.remove("kind");
        let version = fields.remove("apiVersion");
        let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
        let version = version.as_ref().and_then(Value::as_str).unwrap_or_default();
        let mut problems = Vec::new();
        match kind {
            KubeProxyConfiguration::KIND => {
                let no_effect = take_no_effect(&mut fields, &mut problems);
                let read = typed(version, fields, self.kube_proxy.is_some(), &mut problems);
                self.kube_proxy = Some(read);
                let note = |(key, why)| Note::NoEffect { at: self.text.at(document, key), why };
                self.notes.extend(no_effect.into_iter().map(note));
            }
            SvcnatConfiguration::KIND => {
                let read = typed(version, fields, self.svcnat.is_some(), &mut problems);
                self.svcnat = Some(read);
            }
            "ConfigMap" => problems.push(problem("kind", Reason::ConfigMap)),
            other => problems.push(problem("kind", Reason::Kind(other.to_owned()))),
        }
        if problems.is_empty() {
            return Ok(());
        }
        let error =
            |problem: Problem| Error { at: self.text.at(document, &problem.key), reason: problem.reason };
        Err(problems.into_iter().map(error).collect())
    }

    fn syntax(&self, document: split::Document<'_>, error: &serde_saphyr::Error) -> Error {
        let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
        let line = line.map_or(document.content_line, |line| document.first_line + line - 1);
        let at = At::File { file: self.text.file.clone(), line: Some(line), key: String::new() };
        Error { at, reason: Reason::Syntax(yaml::message(error)) }
    }
}

fn problem(key: impl Into<String>, reason: Reason) -> Problem {
    Problem { key: key.into(), reason }
}

fn no_mapping(key: String) -> Problem {
    problem(key, Reason::Type("must be a mapping".to_owned()))
}

/// The fields of a document as its type, or the problems with them.
fn typed<T: Document>(
    version: &str,
    mut fields: Map<String, Value>,
    again: bool,
    problems: &mut Vec<Problem>,
) -> T {
    if again {
        problems.push(problem("kind", Reason::Twice(T::KIND)));
    }
    if version != T::VERSION {
        let found = version.to_owned();
        problems.push(problem("apiVersion", Reason::Version { expected: T::VERSION, found }));
    }
    let mut misplaced = unknown(&fields, &known::<T>(), "");
    for problem in &mut misplaced {
        match &mut problem.reason {
            Reason::UnknownKey(key) => *key = meant(&problem.key, &known::<T>()),
            // The reader below would complain again.
            _ => drop(take(&mut fields, &problem.key)),
        }
    }
    problems.extend(misplaced);
    serde_path_to_error::deserialize(Value::Object(fields)).unwrap_or_else(|error| {
        let path = error.path().to_string();
        problems.push(problem(path, Reason::Type(printable(&error.inner().to_string()))));
        T::default()
    })
}

/// Every key that the type has. A section is a mapping with its keys, everything else is empty.
fn known<T: Document>() -> Map<String, Value> {
    match serde_json::to_value(T::default()) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Keys that are neither in `known` nor in [`NO_EFFECT`]. What has no effect has been taken out before, but for the
/// sections that it was in.
fn unknown(fields: &Map<String, Value>, known: &Map<String, Value>, section: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    for (key, value) in fields {
        let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        let begins = |entry: &NoEffect| {
            entry.key.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        match (value, known.get(key)) {
            (Value::Object(fields), Some(Value::Object(known))) if !known.is_empty() => {
                found.extend(unknown(fields, known, &path));
            }
            // A derived reader would take a list for a mapping whose keys are left out.
            (_, Some(Value::Object(known))) if !known.is_empty() => found.push(no_mapping(path)),
            (_, Some(_)) => {}
            (Value::Object(fields), None) if NO_EFFECT.iter().any(begins) => {
                found.extend(unknown(fields, &Map::new(), &path));
            }
            (_, None) if NO_EFFECT.iter().any(begins) => found.push(no_mapping(path)),
            (_, None) => found.push(problem(path, Reason::UnknownKey(None))),
        }
    }
    found
}

/// The known key that an unknown one may stand for: one of the same name but for upper and lower case, in any section.
fn meant(unknown: &str, known: &Map<String, Value>) -> Option<String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let wanted = last(unknown);
    let mut all = leaves(known);
    all.extend(NO_EFFECT.iter().map(|entry| entry.key.to_owned()));
    all.retain(|key| last(key) == wanted);
    // Of two sections, it is the one that counts.
    all.sort_by_key(|key| !key.starts_with("nftables."));
    all.into_iter().next()
}

/// The paths of all values that are no mappings, and of empty mappings.
pub(super) fn leaves(fields: &Map<String, Value>) -> Vec<String> {
    let below = |(key, value): (&String, &Value)| match value {
        Value::Object(fields) if !fields.is_empty() => {
            leaves(fields).into_iter().map(|path| format!("{key}.{path}")).collect()
        }
        _ => vec![key.clone()],
    };
    fields.iter().flat_map(below).collect()
}

/// Takes the keys without effect out of the fields. Gives those that say something, with why they have none.
fn take_no_effect(
    fields: &mut Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for entry in NO_EFFECT {
        let Some(value) = take(fields, entry.key) else { continue };
        if let Some(complaint) = entry.kind.complaint(&value) {
            problems.push(problem(entry.key, Reason::Type(complaint)));
        } else if entry.says_something(&value) {
            found.push((entry.key, entry.why));
        }
    }
    found
}

fn take(fields: &mut Map<String, Value>, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => fields.remove(path),
        Some((section, rest)) => take(fields.get_mut(section)?.as_object_mut()?, rest),
    }
}

/// To Kubernetes, null is no value.
pub(super) fn strip_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    fields.values_mut().filter_map(Value::as_object_mut).for_each(strip_nulls);
}
