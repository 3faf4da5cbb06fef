//! Where settings come from: a file, flags, or both.

use std::path::PathBuf;

use serde_json::Value;
use svcnat_rules::name::Name;

use super::document::{Document, KubeProxyConfiguration, SvcnatConfiguration};
use super::error::{At, Error, Errors, Problem, Reason};
use super::keys::{NO_EFFECT, flag_of};
use super::note::Note;
use super::read::{self, Configuration, leaves, strip_nulls};
use super::{Settings, resolve};

/// A file and flags. Can be loaded again when the file has changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    /// The configuration file (`--config`).
    pub config: Option<PathBuf>,
    /// The command line.
    pub flags: Flags,
}

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flags {
    /// The flags that stand for keys of kube-proxy's file.
    pub kube_proxy: KubeProxyConfiguration,
    /// The flags that stand for keys of our own.
    pub svcnat: SvcnatConfiguration,
    /// `--master`, which no file has.
    pub master: Option<String>,
    /// The given flags, without the dashes, that have no effect here.
    pub no_effect: Vec<&'static str>,
    /// The given flags, without the dashes, that are deprecated, each with the one to use.
    pub deprecated: Vec<(&'static str, &'static str)>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What the operator should know.
    pub notes: Vec<Note>,
}

/// The keys of kube-proxy's file whose flags it honours beside a file.
const BESIDE_CONFIG: [&str; 2] = ["hostnameOverride", "logging.verbosity"];

impl Source {
    /// Reads the file, if there is one, and makes settings of it and the flags.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file or with the flags.
    pub fn load(&self) -> Result<Loaded, Errors> {
        let file = self.config.as_deref().map(read::read).transpose()?;
        self.with(file)
    }

    /// Makes settings of a file's text, here named `name`, and the flags.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text or with the flags.
    pub fn load_text(&self, name: &str, text: &str) -> Result<Loaded, Errors> {
        self.with(Some(read::parse(Name::from(name), text.to_owned())?))
    }

    fn with(&self, file: Option<Configuration>) -> Result<Loaded, Errors> {
        let merged = Merged::new(file, &self.flags);
        let resolved = resolve::resolve(&merged.kube_proxy, &merged.svcnat).map_err(|problems| {
            Errors::in_order(problems.into_iter().map(|problem| merged.error(problem)).collect())
        })?;
        let mut settings = resolved.settings;
        settings.client.master.clone_from(&self.flags.master);
        let mut notes = merged.notes(&self.flags);
        if let Some(file) = merged.file.as_ref().filter(|file| file.has_mode && resolved.empty_mode) {
            notes.push(Note::EmptyMode(file.at("mode")));
        }
        let no_effect = |(key, why): (String, _)| Note::NoEffect { at: merged.at(&key), why };
        notes.extend(resolved.no_effect.into_iter().map(no_effect));
        notes.sort_by_key(Note::line);
        // Several keys may come from one flag.
        notes.dedup();
        Ok(Loaded { settings, notes })
    }
}

/// A file with the flags that win over it; or the flags alone.
struct Merged {
    kube_proxy: KubeProxyConfiguration,
    svcnat: SvcnatConfiguration,
    file: Option<Configuration>,
    /// The keys that flags decided.
    by_flags: Vec<String>,
}

impl Merged {
    fn new(file: Option<Configuration>, flags: &Flags) -> Self {
        let own = given(&flags.svcnat);
        let mut by_flags: Vec<String> = leaves(&own);
        let Some(mut file) = file else {
            by_flags.extend(leaves(&given(&flags.kube_proxy)));
            let (kube_proxy, svcnat) = (flags.kube_proxy.clone(), flags.svcnat.clone());
            return Self { kube_proxy, svcnat, file: None, by_flags };
        };
        let mut kube_proxy = std::mem::take(&mut file.kube_proxy);
        let name = &flags.kube_proxy.hostname_override;
        if name.as_ref().is_some_and(|name| !name.is_empty()) {
            kube_proxy.hostname_override.clone_from(name);
        }
        kube_proxy.logging.verbosity = flags.kube_proxy.logging.verbosity.or(kube_proxy.logging.verbosity);
        let svcnat = flags.svcnat.clone().or(std::mem::take(&mut file.svcnat));
        let beside = leaves(&given(&flags.kube_proxy)).into_iter();
        by_flags.extend(beside.filter(|key| BESIDE_CONFIG.contains(&key.as_str())));
        Self { kube_proxy, svcnat, file: Some(file), by_flags }
    }

    /// Where a key was given, or could have been.
    fn at(&self, key: &str) -> At {
        let by_flag =
            self.file.is_none() || self.by_flags.iter().any(|given| key.starts_with(given.as_str()));
        match (&self.file, flag_of(key).filter(|_| by_flag)) {
            (_, Some(flag)) => At::Flag(flag),
            (Some(file), None) => file.at(key),
            (None, None) => At::File { file: Name::from("flags"), line: None, key: key.to_owned() },
        }
    }

    fn error(&self, problem: Problem) -> Error {
        let at = self.at(&problem.key);
        let reason = match (&at, problem.reason) {
            (At::Flag(_), Reason::Needs { mode, option }) => {
                let option = flag_of(&option).map_or(option, |flag| format!("--{flag}"));
                Reason::Needs { mode, option }
            }
            (_, reason) => reason,
        };
        Error { at, reason }
    }

    /// What the file and the flags have to say before they are looked at together.
    fn notes(&self, flags: &Flags) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut ignored = Vec::new();
        if let Some(file) = &self.file {
            notes.extend(file.notes.iter().cloned());
            let keys = leaves(&given(&flags.kube_proxy));
            let keys = keys.iter().filter(|key| !BESIDE_CONFIG.contains(&key.as_str()));
            ignored.extend(keys.filter_map(|key| flag_of(key)));
            ignored.dedup();
        }
        notes.extend(ignored.into_iter().map(Note::BesideConfig));
        for flag in &flags.no_effect {
            let why = NO_EFFECT.iter().find(|entry| entry.flag == Some(flag)).map(|entry| entry.why);
            let why = why.unwrap_or("svcnat does not read it");
            notes.push(Note::NoEffect { at: At::Flag(flag), why });
        }
        let deprecated = flags.deprecated.iter().copied();
        notes.extend(deprecated.map(|(flag, instead)| Note::Deprecated { flag, instead }));
        notes
    }
}

impl SvcnatConfiguration {
    /// What is given here, else there.
    fn or(self, other: Self) -> Self {
        Self {
            affinity_size: self.affinity_size.or(other.affinity_size),
            backend_comments: self.backend_comments.or(other.backend_comments),
            counters: self.counters.or(other.counters),
            counters_series: self.counters_series.or(other.counters_series),
            layout: self.layout.or(other.layout),
            own_tables: self.own_tables.or(other.own_tables),
            page_bind_address: self.page_bind_address.or(other.page_bind_address),
            reset_dead_connections: self.reset_dead_connections.or(other.reset_dead_connections),
            state_file: self.state_file.or(other.state_file),
        }
    }
}

/// The fields of a document that were given.
fn given<T: Document>(document: &T) -> serde_json::Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(document) else { return serde_json::Map::new() };
    strip_nulls(&mut fields);
    strip_empty(&mut fields);
    fields
}

fn strip_empty(fields: &mut serde_json::Map<String, Value>) {
    fields.values_mut().filter_map(Value::as_object_mut).for_each(strip_empty);
    fields.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
}
