//! All layers on top of each other, as they were written: nothing is opened or looked up yet.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::extract::{extract, overlay};
use super::key_path::KeyPath;
use super::layer::Layer;
use super::mistake::{ConfigErrors, Mistake};
use super::settings::Settings;
use super::units::{RATES, Rate};
use super::variable::{self, Environment};

/// A value the command line gives: key, option (`--keys`), text.
pub type Override = (KeyPath, String, String);

/// Where configuration comes from, in the order in which later ones win.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// TOML files.
    pub files: Vec<PathBuf>,
    /// All variables: those named `SEALGATE__…` are configuration, others may be named by `{ env = … }`.
    pub environment: Environment,
    /// Options of the command line.
    pub command_line: Vec<Override>,
}

/// Configuration that could be read, with the mistakes found so far.
pub struct Written {
    layers: Vec<Layer>,
    figment: Figment,
    /// With defaults, and with what could not be read.
    pub(super) values: Dict,
    pub(super) settings: Settings,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) environment: Environment,
}

impl Sources {
    /// Files from the command line, or else from `SEALGATE_CONFIG`; variables from the process.
    pub fn of_process(files: Vec<PathBuf>) -> Self {
        let environment: Environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .collect();
        let files = match environment.get(variable::CONFIG) {
            Some(list) if files.is_empty() => std::env::split_paths(list)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            _ => files,
        };
        Self {
            files,
            environment,
            command_line: Vec::new(),
        }
    }

    /// Reads every layer. An error here means that a layer cannot be read at all;
    /// other mistakes are kept, and reported together with those that are found later.
    pub fn read(self) -> Result<Written, ConfigErrors> {
        let mut layers = Vec::new();
        let mut mistakes = Vec::new();
        for file in &self.files {
            match Layer::file(file) {
                Ok(layer) => layers.push(layer),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        match Layer::environment(&self.environment) {
            Ok(layer) => layers.push(layer),
            Err(more) => mistakes.extend(more),
        }
        layers.push(Layer::command_line(&self.command_line));
        if !mistakes.is_empty() {
            return Err(ConfigErrors::new(mistakes));
        }
        for (place, layer) in layers.iter_mut().enumerate() {
            layer.place = place;
        }
        replace_secrets_as_a_whole(&mut layers);
        let figment = layers.iter().cloned().fold(Figment::new(), Figment::merge);
        let mut said = figment
            .data()
            .map_err(|error| internal(&error.to_string()))?
            .remove(&Profile::Default)
            .unwrap_or_default();
        let mut values = said.clone();
        overlay(&mut values, &defaults(&said));
        let (settings, found) = extract(&mut said, defaults);
        let Some(settings) = settings else {
            return Err(internal("the defaults cannot be read"));
        };
        let mut written = Written {
            layers,
            figment,
            values,
            settings,
            mistakes: Vec::new(),
            environment: self.environment,
        };
        written.mistakes = found
            .into_iter()
            .map(|found| Mistake {
                origin: written.origin_of(&found.path),
                path: found.path,
                what: found.what,
                remedy: found.remedy,
            })
            .collect();
        Ok(written)
    }
}

impl Written {
    /// Who said what stands at `path`: `shop.toml:12`, a variable, `default`, `not set`.
    pub(super) fn origin_of(&self, path: &KeyPath) -> String {
        match (value_at(&self.values, path.keys()), self.layer_of(path)) {
            (None, _) => "not set".to_owned(),
            (Some(_), None) => "default".to_owned(),
            (Some(_), Some(layer)) => layer.origin_of(path).to_owned(),
        }
    }

    /// A path of the file system. If it is relative, it starts where the file is that says it;
    /// said by the environment, the command line or nobody, it starts at the working directory.
    pub(super) fn file_path(&self, at: &KeyPath, text: &str) -> PathBuf {
        match self.layer_of(at).and_then(|layer| layer.dir.as_deref()) {
            Some(dir) => dir.join(text),
            None => Path::new(text).to_path_buf(),
        }
    }

    fn layer_of(&self, path: &KeyPath) -> Option<&Layer> {
        let value = value_at(&self.values, path.keys())?;
        let place: usize = self.figment.get_metadata(value.tag())?.name.parse().ok()?;
        self.layers.get(place)
    }

    /// Whether a layer sets the key, beside the defaults.
    pub(super) fn is_set(&self, path: &KeyPath) -> bool {
        self.layer_of(path).is_some()
    }

    /// The files that the configuration was read from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.layers.iter().filter_map(|layer| layer.file.as_deref())
    }
}

/// Defaults for the names that `said` uses.
fn defaults(said: &Dict) -> Dict {
    let mut defaults = Layer::built_in("default", include_str!("defaults.toml")).values;
    for (section, fit) in [
        ("upstream", (|_, _| {}) as fn(&mut Dict, &Dict)),
        ("frontend", of_frontend),
    ] {
        for_each_name(&mut defaults, section, said, fit);
    }
    if let Some(Value::Dict(_, server)) = defaults.get_mut("server") {
        let cores = available_parallelism().map_or(1, usize::from);
        server.insert("workers".to_owned(), Value::from(cores));
    }
    // Without the section there is no coordination, so its defaults must not make one.
    if said.get("coordination").and_then(Value::as_dict).is_none() {
        defaults.remove("coordination");
    }
    defaults
}

/// Puts the template `"*"` of a section in the place of every name that `said` uses there, fitted to what it says.
fn for_each_name(defaults: &mut Dict, section: &str, said: &Dict, fit: impl Fn(&mut Dict, &Dict)) {
    let Some(Value::Dict(_, mut templates)) = defaults.remove(section) else {
        return;
    };
    let Some(Value::Dict(_, template)) = templates.remove("*") else {
        return;
    };
    let named: Dict = tables(said.get(section))
        .map(|(name, said)| {
            let mut each = template.clone();
            fit(&mut each, said);
            (name.clone(), Value::from(each))
        })
        .collect();
    if !named.is_empty() {
        defaults.insert(section.to_owned(), Value::from(named));
    }
}

fn of_frontend(defaults: &mut Dict, said: &Dict) {
    of_rate_limit(defaults, "login_rate_limit", said);
    for_each_name(defaults, "claim", said, |_, _| {});
    for_each_name(defaults, "route", said, |defaults, said| {
        of_rate_limit(defaults, "rate_limit", said);
        only_if_said(defaults, "exchange", said);
        for_each_name(defaults, "part", said, |defaults, said| {
            only_if_said(defaults, "exchange", said);
        });
    });
}

/// A table that means something by being there has defaults only where it is.
fn only_if_said(defaults: &mut Dict, key: &str, said: &Dict) {
    if said.get(key).and_then(Value::as_dict).is_none() {
        defaults.remove(key);
    }
}

/// The defaults of a rate limit, if there is one: the template's, and a burst of as many requests as a second allows.
fn of_rate_limit(defaults: &mut Dict, key: &str, said: &Dict) {
    let template = defaults.remove(key).and_then(Value::into_dict);
    let Some(limit) = said.get(key).and_then(Value::as_dict) else {
        return;
    };
    let mut template = template.unwrap_or_default();
    let rate = limit.get("per_second");
    if let Some(Rate(rate)) = rate.and_then(|rate| rate.deserialize().ok())
        && RATES.contains(&rate)
    {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds have been checked"
        )]
        let burst = rate.ceil() as u64;
        template.insert("burst".to_owned(), Value::from(burst));
    }
    defaults.insert(key.to_owned(), Value::from(template));
}

/// A later layer's secret replaces an earlier one; merged, they would be a file and a variable at once.
///
/// A secret is known by its shape, so that this holds wherever one stands.
fn replace_secrets_as_a_whole(layers: &mut [Layer]) {
    let mut rest = layers;
    while let [earlier, later @ ..] = rest {
        for layer in &*later {
            give_way(&mut earlier.values, &layer.values);
        }
        rest = later;
    }
}

/// Takes out of `earlier` the secrets that `later` has, too.
fn give_way(earlier: &mut Dict, later: &Dict) {
    earlier.retain(|key, value| {
        let (Value::Dict(_, earlier), Some(Value::Dict(_, later))) = (value, later.get(key)) else {
            return true;
        };
        if is_secret(earlier) && is_secret(later) {
            return false;
        }
        give_way(earlier, later);
        true
    });
}

/// Whether a table is a reference to a secret: nothing but texts, named `file` or `env`.
fn is_secret(table: &Dict) -> bool {
    let is_of_secrets = |(key, value): (&String, &Value)| {
        matches!(key.as_str(), "env" | "file") && value.as_str().is_some()
    };
    !table.is_empty() && table.iter().all(is_of_secrets)
}

fn tables(section: Option<&Value>) -> impl Iterator<Item = (&String, &Dict)> {
    section
        .and_then(Value::as_dict)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, value.as_dict()?)))
}

fn value_at<'v>(values: &'v Dict, keys: &[String]) -> Option<&'v Value> {
    match keys {
        [] => None,
        [key] => values.get(key),
        [key, rest @ ..] => match values.get(key)? {
            Value::Dict(_, inner) => value_at(inner, rest),
            list @ Value::Array(..) => Some(list),
            _ => None,
        },
    }
}

fn internal(what: &str) -> ConfigErrors {
    ConfigErrors::new(vec![Mistake {
        path: KeyPath::default(),
        origin: "sealgate".to_owned(),
        what: what.to_owned(),
        remedy: "this is a bug; please report it".to_owned(),
    }])
}
