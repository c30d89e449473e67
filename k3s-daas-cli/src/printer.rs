//! The only place that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// Columns for people; no promise about them.
    #[default]
    Table,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// `kind/name`, one a line.
    Name,
}

/// Something that can be printed in every [`Format`].
pub trait Show: Serialize {
    /// What it is, lower-case: `token`.
    const KIND: &'static str;
    /// Headings of the table.
    const COLUMNS: &'static [&'static str];

    /// The cells under those headings.
    fn cells(&self) -> Vec<String>;

    /// What names it.
    fn name(&self) -> String;
}

/// Writes results to standard output and everything else to standard error.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    progress: bool,
}

impl Printer {
    /// A printer in this format; progress is shown if standard error is a terminal.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            progress: io::stderr().is_terminal(),
        }
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints one object; as a table, a line for each of its columns.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn object<T: Show>(&self, object: &T) -> io::Result<()> {
        match self.format {
            Format::Table => {
                let width = T::COLUMNS.iter().map(|name| name.len()).max().unwrap_or(0);
                let mut text = String::new();
                for (name, cell) in T::COLUMNS.iter().zip(object.cells()) {
                    for (i, line) in cell.split(", ").enumerate() {
                        let name = if i == 0 { *name } else { "" };
                        text.push_str(format!("{name:width$}  {line}").trim_end());
                        text.push('\n');
                    }
                }
                self.raw(text.as_bytes())
            }
            _ => self.structured(object, std::slice::from_ref(object)),
        }
    }

    /// Prints objects, one a line as a table.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn list<T: Show>(&self, objects: &[T]) -> io::Result<()> {
        match self.format {
            Format::Table => self.raw(table(objects).as_bytes()),
            _ => self.structured(&objects, objects),
        }
    }

    /// Prints one of many objects as it comes: a line, or a document of its own.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn follow<T: Show>(&self, object: &T) -> io::Result<()> {
        match self.format {
            Format::Table => self.line(&object.cells().join("  ")),
            Format::Json => self.line(&serde_json::to_string(object)?),
            Format::Yaml => self.raw(format!("---\n{}", yaml(object)?).as_bytes()),
            Format::Name => self.line(&full_name(object)),
        }
    }

    /// Prints a line of text.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn line(&self, text: &str) -> io::Result<()> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Tells the user something that is no result.
    pub fn note(&self, text: &str) {
        // Nothing is left to do if standard error is gone.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Tells how far a long command is, if a person is watching.
    pub fn progress(&self, text: &str) {
        if self.progress {
            self.note(text);
        }
    }

    /// Reports a failure and what to do about it.
    pub fn failure(&self, error: &anyhow::Error) {
        self.note(&format!("error: {error:#}"));
        if let Some(next) = crate::exit::advice(error) {
            self.note(&format!("  to do: {next}"));
        }
    }

    fn structured<T: Show>(&self, value: &impl Serialize, objects: &[T]) -> io::Result<()> {
        match self.format {
            Format::Json => self.line(&serde_json::to_string_pretty(value)?),
            Format::Yaml => self.raw(yaml(value)?.as_bytes()),
            Format::Name | Format::Table => {
                let names = objects.iter().map(|object| full_name(object) + "\n");
                self.raw(names.collect::<String>().as_bytes())
            }
        }
    }
}

fn full_name<T: Show>(object: &T) -> String {
    format!("{}/{}", T::KIND, object.name())
}

fn yaml(value: &impl Serialize) -> io::Result<String> {
    serde_yaml_ng::to_string(value).map_err(io::Error::other)
}

fn table<T: Show>(objects: &[T]) -> String {
    let heading = T::COLUMNS.iter().map(|&name| name.to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![heading];
    rows.extend(objects.iter().map(Show::cells));
    let widths: Vec<usize> = (0..T::COLUMNS.len())
        .map(|i| {
            rows.iter()
                .map(|row| row[i].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Fruit {
        name: &'static str,
        weight: u32,
    }

    impl Show for Fruit {
        const KIND: &'static str = "fruit";
        const COLUMNS: &'static [&'static str] = &["NAME", "GRAMS"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.to_owned(), self.weight.to_string()]
        }

        fn name(&self) -> String {
            self.name.to_owned()
        }
    }

    #[test]
    fn tables_are_aligned_and_have_no_trailing_space() {
        let fruits = [
            Fruit {
                name: "watermelon",
                weight: 9000,
            },
            Fruit {
                name: "fig",
                weight: 40,
            },
        ];
        assert_eq!(
            table(&fruits),
            "NAME        GRAMS\nwatermelon  9000\nfig         40\n"
        );
        assert_eq!(full_name(&fruits[1]), "fruit/fig");
    }
}
