//! All layers on top of each other, as they were written: nothing is opened or looked up yet.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};

use super::extract::{extract, overlay};
use super::key_path::KeyPath;
use super::layer::{Environment, Layer};
use super::mistake::{ConfigErrors, Mistake};
use super::settings::Settings;

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
        let files = match environment.get("SEALGATE_CONFIG") {
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
        let name = &self.figment.get_metadata(value.tag())?.name;
        self.layers.iter().find(|layer| layer.name == **name)
    }
}

/// Defaults for the names that `said` uses.
fn defaults(said: &Dict) -> Dict {
    let template = Layer::built_in("default", include_str!("defaults.toml")).values;
    let mut defaults = template.clone();
    for section in ["upstream", "frontend"] {
        let Some(each) = value_at(&template, &[section.to_owned(), "*".to_owned()]) else {
            continue;
        };
        let mut named = Dict::new();
        for (name, said) in tables(said.get(section)) {
            let mut each = each.clone();
            if let Some(route) = each.as_dict().and_then(|each| each.get("route")).cloned() {
                let each_route = route.as_dict().and_then(|route| route.get("*"));
                let routes = tables(said.get("route"))
                    .filter_map(|(name, _)| Some((name.clone(), each_route?.clone())))
                    .collect::<Dict>();
                if let Value::Dict(_, each) = &mut each {
                    each.insert("route".to_owned(), Value::from(routes));
                }
            }
            named.insert(name.clone(), each);
        }
        defaults.remove(section);
        if !named.is_empty() {
            defaults.insert(section.to_owned(), Value::from(named));
        }
    }
    if let Some(Value::Dict(_, server)) = defaults.get_mut("server") {
        let cores = available_parallelism().map_or(1, usize::from);
        server.insert("workers".to_owned(), Value::from(cores));
    }
    defaults
}

/// A later layer's `client_secret` replaces an earlier one; merged, they would be a file and a variable at once.
fn replace_secrets_as_a_whole(layers: &mut [Layer]) {
    let mut rest = layers;
    while let [earlier, later @ ..] = rest {
        if let Some(Value::Dict(_, frontends)) = earlier.values.get_mut("frontend") {
            for (name, frontend) in frontends {
                let path = ["frontend", name, "oidc", "client_secret"].map(str::to_owned);
                let replaced = later
                    .iter()
                    .any(|layer| value_at(&layer.values, &path).is_some());
                if let (true, Value::Dict(_, frontend)) = (replaced, frontend)
                    && let Some(Value::Dict(_, oidc)) = frontend.get_mut("oidc")
                {
                    oidc.remove("client_secret");
                }
            }
        }
        rest = later;
    }
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
