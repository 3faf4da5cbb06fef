//! From the bytes of one file to its objects.

use std::collections::BTreeMap;

use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use svcnat_rules::name::Name;

use super::document::{Objects, RawObject};
use super::error::{ManifestError, Place, Reason};
use super::note::Note;
use super::object::{self, Object, ObjectRef};
use super::progress::Told;
use super::split::{Document, documents};
use super::{locate, yaml};

/// What was found in a file, or in several.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The objects of the kinds that are read, in their order.
    pub objects: Vec<Object>,
    /// What was passed over.
    pub notes: Vec<Note>,
    /// What could not be read, in order.
    pub errors: Vec<ManifestError>,
}

impl Parsed {
    /// Adds what was found in the files that follow.
    pub fn append(&mut self, mut other: Self) {
        self.objects.append(&mut other.objects);
        self.notes.append(&mut other.notes);
        self.errors.append(&mut other.errors);
    }
}

/// Parses the bytes of a file: YAML or JSON, with any number of documents, each an object or a list of objects.
///
/// `file` names it in places. A document that cannot be read does not keep the others from being read.
#[must_use]
pub fn parse(file: &Name, bytes: &[u8]) -> Parsed {
    parse_and_tell(file, bytes, &mut Told::new(&mut |_| {}, None))
}

/// The same, which tells how far it is.
pub(super) fn parse_and_tell(file: &Name, bytes: &[u8], told: &mut Told<'_>) -> Parsed {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        Ok(_) => return whole_file(file, None, Reason::Binary),
        Err(error) => return not_text(file, bytes, error.valid_up_to()),
    };
    let mut reader = Reader::new(file, told);
    for document in documents(text) {
        reader.document(document);
        reader.told.bytes(document.text.len());
    }
    if reader.count == 0 {
        return whole_file(file, None, Reason::Empty);
    }
    reader.finish()
}

fn whole_file(file: &Name, line: Option<u64>, reason: Reason) -> Parsed {
    let place = Place { line, ..Place::file(file) };
    let error = ManifestError { place, object: None, field: String::new(), reason };
    Parsed { errors: vec![error], ..Parsed::default() }
}

fn not_text(file: &Name, bytes: &[u8], valid: usize) -> Parsed {
    if bytes.contains(&0) {
        return whole_file(file, None, Reason::Binary);
    }
    let before = bytes.iter().take(valid);
    let line = 1 + before.filter(|byte| **byte == b'\n').count() as u64;
    whole_file(file, Some(line), Reason::NotUtf8)
}

struct Reader<'a, 'b> {
    file: &'a Name,
    told: &'a mut Told<'b>,
    parsed: Parsed,
    others: BTreeMap<String, usize>,
    /// How many documents were met.
    count: usize,
}

/// Something wrong in the document being read, whose line is not known yet.
struct Fault {
    item: String,
    object: Option<ObjectRef>,
    fault: object::Fault,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(file: &'a Name, told: &'a mut Told<'b>) -> Self {
        Self { file, told, parsed: Parsed::default(), others: BTreeMap::new(), count: 0 }
    }

    fn finish(mut self) -> Parsed {
        if !self.others.is_empty() {
            self.parsed.notes.push(Note::OtherKinds { file: self.file.clone(), kinds: self.others });
        }
        self.parsed
    }

    /// Reads a document. One that begins like JSON may be several values one after the other, as jq and kubectl write
    /// them; or it is YAML in JSON's brackets.
    fn document(&mut self, document: Document<'_>) {
        let start =
            document.text.trim_start_matches("---").trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let json = start.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']));
        if json && !document.text.starts_with("---") {
            self.json(document);
        } else {
            self.yaml(document);
        }
    }

    fn yaml(&mut self, document: Document<'_>) {
        let end = self.read(document, |objects| yaml::read(document.text, objects));
        if let Err(error) = end {
            let line = error.location().map(|location| location.line());
            let line = line.filter(|line| *line > 0).map(|line| document.first_line + line - 1);
            self.syntax(document, line, yaml::message(&error));
        }
    }

    fn json(&mut self, document: Document<'_>) {
        let text = document.text.trim_start_matches('\u{feff}');
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let (mut offset, mut line) = (0, document.first_line);
        let mut first = true;
        while let Some(value) = values.next() {
            let value = match value {
                Ok(value) => value.get(),
                // It may be YAML all the same, with values that need no quotes.
                Err(_) if first && self.is_yaml(document) => return self.yaml(document),
                Err(error) => {
                    self.count += 1;
                    let at = document.first_line + (error.line() as u64).saturating_sub(1);
                    return self.syntax(document, Some(at), json_message(&error));
                }
            };
            let start = values.byte_offset() - value.len();
            line += newlines(text.get(offset..start));
            let one = Document { text: value, first_line: line, content_line: line };
            let end =
                self.read(one, |objects| objects.deserialize(&mut serde_json::Deserializer::from_str(value)));
            if let Err(error) = end {
                let at = line + (error.line() as u64).saturating_sub(1);
                self.syntax(one, Some(at), json_message(&error));
            }
            (offset, first) = (start, false);
        }
    }

    /// Whether a document can be read as YAML, whatever it says.
    fn is_yaml(&self, document: Document<'_>) -> bool {
        yaml::read(document.text, Objects { sink: &mut |_| {} }).is_ok()
    }

    /// Takes in the objects that `read` finds in a document.
    fn read<E>(
        &mut self,
        document: Document<'_>,
        read: impl FnOnce(Objects<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.count += 1;
        let mut faults = Vec::new();
        let place = self.place(document.content_line);
        let end = read(Objects { sink: &mut |raw| self.object(&place, raw, &mut faults) });
        self.report(document, faults);
        end
    }

    fn object(&mut self, place: &Place, raw: RawObject, faults: &mut Vec<Fault>) {
        let place = Place { item: raw.path.clone(), ..place.clone() };
        self.told.object();
        match object::read(raw.fields) {
            object::Read::Object(key, content) => self.parsed.objects.push(Object { place, key, content }),
            object::Read::OtherKind(kind) => *self.others.entry(kind).or_default() += 1,
            object::Read::OtherVersion { object, found, expected } => {
                self.parsed.notes.push(Note::OtherVersion { place, object, found, expected });
            }
            object::Read::Faulty(object, found) => {
                let fault = |fault| Fault { item: raw.path.clone(), object: object.clone(), fault };
                faults.extend(found.into_iter().map(fault));
            }
        }
    }

    /// Reports faults with their lines.
    fn report(&mut self, document: Document<'_>, faults: Vec<Fault>) {
        if faults.is_empty() {
            return;
        }
        let paths: Vec<_> = faults.iter().map(Fault::path).collect();
        let lines = locate::lines(document.text, paths.iter().map(String::as_str));
        for (fault, line) in faults.into_iter().zip(lines) {
            let line = line.map_or(document.content_line, |line| document.first_line + line - 1);
            let place = Place { item: fault.item, ..self.place(line) };
            let object::Fault { field, reason } = fault.fault;
            let object = fault.object;
            self.parsed.errors.push(ManifestError { place, object, field, reason });
        }
    }

    fn syntax(&mut self, document: Document<'_>, line: Option<u64>, message: String) {
        let place = self.place(line.unwrap_or(document.content_line));
        let reason = Reason::Syntax(message);
        self.parsed.errors.push(ManifestError { place, object: None, field: String::new(), reason });
    }

    fn place(&self, line: u64) -> Place {
        Place { line: Some(line), document: Some(self.count), ..Place::file(self.file) }
    }
}

impl Fault {
    /// The path from the document's root.
    fn path(&self) -> String {
        match (self.item.as_str(), self.fault.field.as_str()) {
            ("", field) => field.to_owned(),
            (item, "") => item.to_owned(),
            (item, field) => format!("{item}.{field}"),
        }
    }
}

fn newlines(text: Option<&str>) -> u64 {
    text.unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count() as u64
}

/// The message without its position, which counts from the beginning of the document.
fn json_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}
