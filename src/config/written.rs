//! All layers on top of each other, as they were written. No file that a value names has been opened yet.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::defaults::defaults;
use super::extract::{extract, overlay};
use super::key_path::KeyPath;
use super::layer::Layer;
use super::mistake::{ConfigErrors, Mistake};
use super::settings::Settings;
use super::variable::{self, Environment};

/// A value that the command line sets: key, option (`--keys`), text.
pub type Override = (KeyPath, String, String);

/// Where the configuration comes from. Later sources win.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// TOML files.
    pub files: Vec<PathBuf>,
    /// All variables. Those named `SEALGATE__…` are configuration; `{ env = … }` may name any other.
    pub environment: Environment,
    /// Options of the command line.
    pub command_line: Vec<Override>,
}

/// A configuration whose layers could be read, with the mistakes found so far.
pub struct Written {
    layers: Vec<Layer>,
    figment: Figment,
    /// With defaults, and with the values that `settings` could not take.
    pub(super) values: Dict,
    pub(super) settings: Settings,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) environment: Environment,
}

impl Sources {
    /// Takes the files from the command line, or else from `SEALGATE_CONFIG`, and the variables from the process.
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

    /// Reads every layer. An error here means that a whole layer cannot be read. Other mistakes are kept, and reported
    /// together with those that are found later.
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
    /// The origin of the value at `path`: `shop.toml:12`, a variable, `default`, or `not set`.
    pub(super) fn origin_of(&self, path: &KeyPath) -> String {
        match (value_at(&self.values, path.keys()), self.layer_of(path)) {
            (None, _) => "not set".to_owned(),
            (Some(_), None) => "default".to_owned(),
            (Some(_), Some(layer)) => layer.origin_of(path).to_owned(),
        }
    }

    /// A path of the file system. A relative path in a file starts at that file's directory; any other relative path
    /// starts at the working directory.
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

/// A later layer's secret replaces an earlier one. Merged, the two would be a file and a variable at once.
///
/// The shape of the table makes it a secret, not its key. So this holds wherever a secret may stand.
fn replace_secrets_as_a_whole(layers: &mut [Layer]) {
    let mut rest = layers;
    while let [earlier, later @ ..] = rest {
        for layer in &*later {
            give_way(&mut earlier.values, &layer.values);
        }
        rest = later;
    }
}

/// Removes from `earlier` the secrets that `later` also has.
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

/// Whether a table is a reference to a secret: it has only texts, and only under `file` and `env`.
fn is_secret(table: &Dict) -> bool {
    let is_of_secrets = |(key, value): (&String, &Value)| {
        matches!(key.as_str(), "env" | "file") && value.as_str().is_some()
    };
    !table.is_empty() && table.iter().all(is_of_secrets)
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
