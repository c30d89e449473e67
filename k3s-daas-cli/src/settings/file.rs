//! The settings file: TOML, read and changed.

use std::path::Path;

use super::{Error, Key};
use crate::small_file;

/// Changes some settings in the file and keeps the others; comments are not kept.
///
/// # Errors
/// [`Error::Read`] and [`Error::Toml`] of the file as it is; I/O errors as [`Error::Read`].
pub fn update(file: &Path, changes: &[(Key, toml::Value)]) -> Result<(), Error> {
    let failed = |source| Error::Read {
        file: file.to_owned(),
        source,
    };
    let text = match small_file::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut root: toml::Table = text.parse().map_err(|source| Error::Toml {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    for (key, value) in changes {
        match key.name().split_once('.') {
            None => {
                root.insert(key.name().to_owned(), value.clone());
            }
            Some((table, name)) => {
                let table = root
                    .entry(table)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(table) = table {
                    table.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    let body = toml::to_string(&root).map_err(|error| failed(std::io::Error::other(error)))?;
    let new = format!("{HEADER}\n{body}");
    if new == text {
        return Ok(());
    }
    k3s_daas::crypto::write_private(file, new.as_bytes())
        .map_err(|error| failed(std::io::Error::other(error)))
}

/// The settings that a file sets.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<(Key, String)>, Error> {
    let root: toml::Table = text.parse().map_err(|source| Error::Toml {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    let mut found = Vec::new();
    flatten("", &root, &mut |name, value| {
        let Some(&key) = Key::ALL.iter().find(|key| key.name() == name) else {
            let nearest = nearest(name, value.is_table());
            return Err(Error::Unknown {
                file: file.to_owned(),
                key: name.to_owned(),
                nearest,
            });
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(is) => is.to_string(),
            _ => {
                return Err(Error::Type {
                    file: file.to_owned(),
                    key: name.to_owned(),
                });
            }
        };
        found.push((key, text));
        Ok(())
    })?;
    Ok(found)
}

fn flatten(
    prefix: &str,
    table: &toml::Table,
    visit: &mut impl FnMut(&str, &toml::Value) -> Result<(), Error>,
) -> Result<(), Error> {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) if is_prefix(&name) => {
                flatten(&format!("{name}."), table, visit)?;
            }
            _ => visit(&name, value)?,
        }
    }
    Ok(())
}

fn is_prefix(name: &str) -> bool {
    let mut keys = Key::ALL.iter();
    keys.any(|key| {
        key.name()
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The setting, or the table of some, that may be meant.
fn nearest(name: &str, is_table: bool) -> Option<&'static str> {
    let last = |name: &'static str| name.rsplit('.').next().unwrap_or_default();
    let names = Key::ALL.iter().map(|key| key.name());
    let mut candidates: Vec<_> = if is_table {
        names
            .filter_map(|name| name.rsplit_once('.'))
            .map(|(table, _)| table)
            .collect()
    } else {
        names.collect()
    };
    candidates.dedup();
    let own = name.rsplit('.').next().unwrap_or_default();
    let score = |candidate: &str, last: &str| {
        // The right name in the wrong table is nearer than anything spelt alike.
        let moved = if last == own { 1.0 } else { 0.0 };
        let alike = strsim::jaro_winkler(name, candidate);
        moved + alike.max(strsim::jaro_winkler(name, last))
    };
    candidates
        .into_iter()
        .map(|candidate| (score(candidate, last(candidate)), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(score, _)| *score > 0.75)
        .map(|(_, candidate)| candidate)
}

const HEADER: &str = "# Settings of daas; `daas config show` explains them. Values may be changed, comments are not kept.";
