//! Settings: flags over environment over file over defaults, and where each value is from.

mod file;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use k3s_daas::types::{ClusterId, ExecutorId, TokenId};
use k3s_daas::{gateway, nautilus};
use serde::Serialize;

pub use file::update;
pub use keys::{Change, Key};

use crate::env_vars as env;
use crate::layout::Layout;
use crate::names::{self, Named as _};
use crate::printer::Show;
use crate::small_file;
use file::parse;
use keys::{Fallback, Kind};

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Env(&'static str),
    /// The settings file.
    File(PathBuf),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// All settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    file: PathBuf,
    values: BTreeMap<Key, (String, Origin)>,
}

/// What the command line set.
pub type Flags = Vec<(Key, String)>;

impl Settings {
    /// Reads flags, environment and file; a file that was not named need not exist.
    ///
    /// # Errors
    /// [`Error`], for the first thing that is wrong.
    pub fn load(config: Option<&Path>, flags: Flags) -> Result<Self, Error> {
        Self::load_from(config, flags, |name| std::env::var_os(name))
    }

    /// The same with other variables than those of this process.
    ///
    /// # Errors
    /// [`Error`], for the first thing that is wrong.
    pub fn load_from(
        config: Option<&Path>,
        flags: Flags,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let text_of = |name: &'static str| match variable(name) {
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value
                .into_string()
                .map(Some)
                .map_err(|_| Error::NotText(name)),
            None => Ok(None),
        };
        let mut values: BTreeMap<Key, (String, Origin)> = BTreeMap::new();
        for (key, value) in flags {
            values.insert(key, (value, Origin::Flag));
        }
        for &key in Key::ALL.iter().filter(|key| !key.env().is_empty()) {
            if values.contains_key(&key) {
                continue;
            }
            if let Some(value) = text_of(key.env())? {
                values.insert(key, (value, Origin::Env(key.env())));
            }
        }
        for key in [Key::Dir] {
            // What is relative means the working directory, except in a file.
            if let Some((dir, _)) = values.get_mut(&key) {
                *dir = absolute(dir);
            }
        }
        let named = config
            .map(Path::to_owned)
            .or(text_of(env::CONFIG)?.map(PathBuf::from));
        let is_named = named.is_some();
        let default_dir = match text_of(env::XDG_DATA_HOME)? {
            Some(data) => Some(Path::new(&data).join("k3s-daas")),
            None => text_of(env::HOME)?.map(|home| Path::new(&home).join(".local/share/k3s-daas")),
        };
        let file = match (named, values.get(&Key::Dir), &default_dir) {
            (Some(named), _, _) => PathBuf::from(absolute(&named.to_string_lossy())),
            (None, Some((dir, _)), _) => Path::new(dir).join(FILE_NAME),
            (None, None, Some(dir)) => dir.join(FILE_NAME),
            (None, None, None) => return Err(Error::NoHome),
        };
        let beside = file.parent().unwrap_or(Path::new("/")).to_owned();
        match small_file::read_to_string(&file) {
            Ok(text) => {
                for (key, value) in parse(&file, &text)? {
                    let value = match key.kind() {
                        Kind::Path => beside.join(value).to_string_lossy().into_owned(),
                        _ => value,
                    };
                    let origin = Origin::File(file.clone());
                    values.entry(key).or_insert((value, origin));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {}
            Err(source) => return Err(Error::Read { file, source }),
        }
        values
            .entry(Key::Dir)
            .or_insert_with(|| (beside.to_string_lossy().into_owned(), Origin::Default));
        let mut settings = Self { file, values };
        for &key in Key::ALL {
            settings.fill(key);
            settings.strip_kind(key)?;
            settings.check(key)?;
        }
        settings.gateway()?;
        Ok(settings)
    }

    fn fill(&mut self, key: Key) {
        if self.values.contains_key(&key) {
            return;
        }
        let value = match key.default() {
            Some(Fallback::Text(text)) => text.to_owned(),
            Some(Fallback::InDir(path)) => self.dir().join(path).to_string_lossy().into_owned(),
            None => return,
        };
        self.values.insert(key, (value, Origin::Default));
    }

    /// Takes the name that `-o name` prints for the ID that is in it.
    fn strip_kind(&mut self, key: Key) -> Result<(), Error> {
        let kind = match key {
            Key::Cluster => ClusterId::KIND,
            Key::Token | Key::GatewayToken => TokenId::KIND,
            Key::Executor => ExecutorId::KIND,
            _ => return Ok(()),
        };
        let Some((value, origin)) = self.values.get_mut(&key) else {
            return Ok(());
        };
        match names::strip(kind, value) {
            Ok(id) => *value = id.to_owned(),
            Err(_) => {
                return Err(Error::Value {
                    key: key.name(),
                    origin: origin.clone(),
                    value: value.chars().take(80).collect(),
                    why: format!("is neither {kind}/ID nor an ID alone"),
                });
            }
        }
        Ok(())
    }

    fn check(&self, key: Key) -> Result<(), Error> {
        let Some((value, origin)) = self.values.get(&key) else {
            return Ok(());
        };
        let wrong = |why: &str| Error::Value {
            key: key.name(),
            origin: origin.clone(),
            value: value.chars().take(80).collect(),
            why: why.to_owned(),
        };
        match key.kind() {
            Kind::Path | Kind::Text if value.is_empty() => Err(wrong("is empty")),
            Kind::Path | Kind::Text => Ok(()),
            Kind::Bool if value == "true" || value == "false" => Ok(()),
            Kind::Bool => Err(wrong("is neither true nor false")),
            Kind::Bytes => match value.parse::<u64>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is no number of bytes")),
            },
            Kind::Id => match value.parse::<k3s_daas::types::Address>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is not 0x and up to 64 hexadecimal digits")),
            },
            Kind::Socket => match value.parse::<std::net::SocketAddr>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is no address and port, such as 127.0.0.1:7443")),
            },
            Kind::Url if value.starts_with("https://") => Ok(()),
            Kind::Url => Err(wrong("does not begin with https://")),
            Kind::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                _ => Err(wrong("is no number from 0 to 1")),
            },
            Kind::Collector => {
                let is_web = value.starts_with("http://") || value.starts_with("https://");
                match value.parse::<http::Uri>() {
                    // What is behind an @ or a ? may be a secret, and this is shown.
                    Ok(_) if is_web && !value.contains(['@', '?', '#']) => Ok(()),
                    _ => Err(Error::Value {
                        value: "…".to_owned(),
                        key: key.name(),
                        origin: origin.clone(),
                        why: "is no http:// or https:// URL without user and query; credentials go into \
                              `otlp.headers_file`"
                            .to_owned(),
                    }),
                }
            }
            Kind::LogFormat if value == "text" || value == "json" => Ok(()),
            Kind::LogFormat => Err(wrong("is neither text nor json")),
            Kind::Nautilus => match fields::<nautilus::Config>([(key, value.as_str())]) {
                Ok(_) => Ok(()),
                Err(why) => Err(wrong(&in_words(&why))),
            },
            Kind::Gateway => match fields::<gateway::Config>([(key, value.as_str())]) {
                Ok(_) => Ok(()),
                Err(why) => Err(wrong(&in_words(&why))),
            },
        }
    }

    /// The settings file, whether it exists or not.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The directory of everything.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.path(Key::Dir).unwrap_or_default()
    }

    /// A setting as text.
    #[must_use]
    pub fn text(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|(value, _)| value.as_str())
    }

    /// A setting as a path.
    #[must_use]
    pub fn path(&self, key: Key) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A setting as what it stands for.
    #[must_use]
    pub fn value<T: FromStr>(&self, key: Key) -> Option<T> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    /// A setting that the command cannot do without.
    ///
    /// # Errors
    /// [`Error::Missing`], which says how to set it.
    pub fn required<T: FromStr>(&self, key: Key) -> Result<T, Error> {
        self.value(key).ok_or(Error::Missing {
            key: key.name(),
            env: key.env(),
            about: key.about(),
            file: self.file.clone(),
        })
    }

    /// How Nautilus behaves, by the settings of `[nautilus]`.
    ///
    /// # Errors
    /// None that reading them has not found already.
    pub fn nautilus(&self, layout: &Layout) -> Result<nautilus::Config, Error> {
        let keys = Key::ALL
            .iter()
            .filter(|key| matches!(key.kind(), Kind::Nautilus));
        let values = keys.filter_map(|&key| Some((key, self.text(key)?)));
        let mut config = fields::<nautilus::Config>(values).map_err(|why| Error::Value {
            key: "nautilus",
            origin: Origin::File(self.file.clone()),
            value: "table".to_owned(),
            why: why.to_string(),
        })?;
        config.journal = match self.value(Key::Executor) {
            Some(executor) => layout.journal_of(executor),
            None => layout.journal(),
        };
        Ok(config)
    }

    /// Where a setting is from.
    #[must_use]
    pub fn origin(&self, key: Key) -> Option<&Origin> {
        self.values.get(&key).map(|(_, origin)| origin)
    }

    /// Whether plain development keys are accepted here.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.value(Key::Development).unwrap_or(false)
    }

    /// Limits and times of the gateway; its audience and its token are settings of their own.
    ///
    /// # Errors
    /// None that reading them has not found already.
    pub fn gateway(&self) -> Result<gateway::Config, Error> {
        let keys = Key::ALL.iter().copied();
        let keys = keys.filter(|key| matches!(key.kind(), Kind::Gateway));
        let values = keys.clone().filter_map(|key| Some((key, self.text(key)?)));
        let wrong = |why: String| {
            // What is out of its bounds is named first.
            let name = why.split(' ').next().unwrap_or_default();
            let key = keys
                .clone()
                .find(|key| key.name().ends_with(&format!(".{name}")));
            Error::Value {
                key: key.map_or("gateway", Key::name),
                origin: key
                    .and_then(|key| self.origin(key))
                    .cloned()
                    .unwrap_or(Origin::Default),
                value: key
                    .and_then(|key| self.text(key))
                    .unwrap_or_default()
                    .to_owned(),
                why: format!("is out of bounds: {why}"),
            }
        };
        let mut config =
            fields::<gateway::Config>(values).map_err(|error| wrong(error.to_string()))?;
        // Only for its bounds.
        config.audience = "any".to_owned();
        config
            .validate()
            .map_err(|error| wrong(error.to_string()))?;
        config.audience.clear();
        Ok(config)
    }

    /// Takes over of `new` whatever counts without a restart.
    pub fn adopt(&mut self, new: &Self) {
        let adopted = Key::ALL
            .iter()
            .filter(|key| key.change() != Change::Restart);
        for key in adopted {
            match new.values.get(key) {
                Some(value) => self.values.insert(*key, value.clone()),
                None => self.values.remove(key),
            };
        }
    }

    /// All settings, for people.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |&key: &Key| Entry {
            key: key.name(),
            value: self.text(key).map(str::to_owned),
            origin: self.origin(key).map(ToString::to_string),
            env: key.env(),
            change: key.change(),
            about: key.about(),
        };
        Key::ALL.iter().map(entry).collect()
    }
}

/// A line of `daas config show`.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    key: &'static str,
    value: Option<String>,
    origin: Option<String>,
    env: &'static str,
    change: Change,
    about: &'static str,
}

impl Show for Entry {
    const KIND: &'static str = "setting";
    const COLUMNS: &'static [&'static str] = &["KEY", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.key.to_owned(),
            or_dash(&self.value),
            or_dash(&self.origin),
        ]
    }

    fn name(&self) -> String {
        self.key.to_owned()
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings in {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{} is no TOML", .file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file sets what is no setting.
    #[error("{} sets `{key}`, which is no setting{}", .file.display(), suggest(.nearest))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What it sets.
        key: String,
        /// What may be meant.
        nearest: Option<&'static str>,
    },
    /// The file gives a setting what is neither text, number nor boolean.
    #[error("`{key}` in {} is no text, number or boolean", .file.display())]
    Type {
        /// The file.
        file: PathBuf,
        /// The setting.
        key: String,
    },
    /// A value is not of its form.
    #[error("`{key}` (from {origin}): `{value}` {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where it is from.
        origin: Origin,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting is needed and not there.
    #[error(
        "`{key}` is not set: {about} Give it as a flag, in {env} or in {}{}",
        .file.display(),
        nowhere(file)
    )]
    Missing {
        /// The setting.
        key: &'static str,
        /// Its variable.
        env: &'static str,
        /// What it is for.
        about: &'static str,
        /// The settings file.
        file: PathBuf,
    },
    /// A variable is not UTF-8.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(&'static str),
    /// There is no place for a default.
    #[error("neither --dir, DAAS_DIR nor HOME says which directory to use")]
    NoHome,
}

/// Settings of the library, from those of its fields that stand in the settings here.
fn fields<'a, T: serde::de::DeserializeOwned>(
    values: impl IntoIterator<Item = (Key, &'a str)>,
) -> serde_json::Result<T> {
    let fields = values.into_iter().map(|(key, text)| {
        let name = key.name().rsplit('.').next().unwrap_or_default();
        let value = match (text.parse::<u64>(), text.parse::<bool>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(is)) => is.into(),
            _ => text.into(),
        };
        (name.to_owned(), value)
    });
    serde_json::from_value(serde_json::Value::Object(fields.collect()))
}

/// Who has no settings at all may have named the wrong directory, or none yet.
fn nowhere(file: &Path) -> &'static str {
    if file.exists() {
        return "";
    }
    match file.parent() {
        Some(dir) if !dir.exists() => {
            ", of which not even the directory exists; `daas dev` makes one to try things in"
        }
        _ => ", which does not exist; `daas dev` makes one to try things in",
    }
}

/// What `serde` says of a value, in the words of who wrote it into a file.
fn in_words(why: &serde_json::Error) -> String {
    let why = why.to_string();
    if why.contains("expected u") || why.contains("expected a nonzero") {
        return "is no number of 0 or more".to_owned();
    }
    if why.contains("expected a string") {
        return "needs its unit, such as 250ms, 65s or 10m".to_owned();
    }
    format!("is not what it takes: {why}")
}

fn suggest(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `daas config show` lists them".to_owned(),
    }
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(
        |_| path.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// Name of the settings file in its directory.
pub const FILE_NAME: &str = "daas.toml";
