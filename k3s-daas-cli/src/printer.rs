//! The only place that writes to standard output and standard error.

use std::borrow::Cow;
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
    /// JSON.
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

    /// The cells under those headings; one of several lines goes on below itself.
    fn cells(&self) -> Vec<String>;

    /// What names it.
    fn name(&self) -> String;
}

/// Writes results to standard output and everything else to standard error.
#[derive(Clone, Copy, Debug)]
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
            Format::Table => self.raw(block(object).as_bytes()),
            _ => self.structured(object, std::slice::from_ref(object)),
        }
    }

    /// Prints objects, each as [`Printer::object`] does, an empty line between them; in the other formats
    /// as the list that they are, also if there is one.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn blocks<T: Show>(&self, objects: &[T]) -> io::Result<()> {
        match self.format {
            Format::Table => {
                let blocks: Vec<String> = objects.iter().map(block).collect();
                self.raw(blocks.join("\n").as_bytes())
            }
            _ => self.structured(&objects, objects),
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
            Format::Table => self.row(&object.cells()),
            Format::Json => self.line(&serde_json::to_string(object)?),
            Format::Yaml => self.raw(format!("---\n{}", yaml(object)?).as_bytes()),
            Format::Name => self.line(&full_name(object)),
        }
    }

    /// Prints the cells of one row, in a line of their own.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn row(&self, cells: &[String]) -> io::Result<()> {
        self.line(&visible(&cells.join("  ")))
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
        let _ = writeln!(io::stderr(), "{}", visible(text));
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

/// The same tree as JSON has: serde_yaml's own way with enums are tags, which few programs read.
fn yaml(value: &impl Serialize) -> io::Result<String> {
    let mut text = Vec::new();
    let mut serializer = serde_yaml_ng::Serializer::new(&mut text);
    serde_yaml_ng::with::singleton_map_recursive::serialize(value, &mut serializer)
        .map_err(io::Error::other)?;
    drop(serializer);
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(with_quoted_ids(&text))
}

/// YAML in which what begins with `0x` is quoted: readers of YAML 1.1 take it for a number.
fn with_quoted_ids(yaml: &str) -> String {
    let mut quoted = String::with_capacity(yaml.len());
    // Lines of text that are indented deeper than this are one value.
    let mut text_within = None;
    for line in yaml.lines() {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        text_within = text_within.filter(|within| line.is_empty() || indent > *within);
        let (before, value) = line.rsplit_once(' ').unwrap_or(("", line));
        let digits = value.strip_prefix("0x").filter(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let is_key_or_item =
            before.ends_with(':') || before.trim_start_matches([' ', '-']).is_empty();
        match digits {
            Some(_) if text_within.is_none() && is_key_or_item => {
                let space = if line.contains(' ') { " " } else { "" };
                quoted.push_str(&format!("{before}{space}'{value}'"));
            }
            _ => quoted.push_str(line),
        }
        if text_within.is_none() && value.starts_with(['|', '>']) {
            text_within = Some(indent);
        }
        quoted.push('\n');
    }
    quoted
}

/// A line for each column, and further ones for what goes on.
fn block<T: Show>(object: &T) -> String {
    let width = T::COLUMNS.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, cell) in T::COLUMNS.iter().zip(object.cells()) {
        for (i, line) in visible(&cell).split('\n').enumerate() {
            let name = if i == 0 { *name } else { "" };
            text.push_str(format!("{name:width$}  {line}").trim_end());
            text.push('\n');
        }
    }
    text
}

fn table<T: Show>(objects: &[T]) -> String {
    let heading = T::COLUMNS.iter().map(|&name| name.to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![heading];
    rows.extend(objects.iter().map(|object| {
        let cells = object.cells().into_iter();
        cells.map(|cell| visible(&cell).into_owned()).collect()
    }));
    let widths: Vec<usize> = (0..T::COLUMNS.len())
        .map(|i| {
            rows.iter()
                .flat_map(|row| row[i].split('\n'))
                .map(|line| line.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let height = row.iter().map(|cell| cell.split('\n').count()).max();
        for at in 0..height.unwrap_or(0) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let line = cell.split('\n').nth(at).unwrap_or_default();
                format!("{line:width$}")
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
    }
    text
}

/// Text as a terminal may show it: what would move its cursor, change its colours or cannot be seen is written as
/// `\u{1b}`. Much of what is shown was named by others.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_shown = |char| matches!(char, '\n' | '\t') || !acts(char);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match is_shown(char) {
            true => shown.push(char),
            false => shown.extend(char.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with it than to show it.
#[must_use]
pub fn acts(char: char) -> bool {
    char.is_control()
        // These change the direction of what comes after them, or are not seen.
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `words` with `separator` between them, in lines of at most `width` characters where words allow.
#[must_use]
pub fn wrap(words: &[String], separator: &str, width: usize) -> String {
    let mut text = String::new();
    let mut room = width;
    for (i, word) in words.iter().enumerate() {
        let last = i + 1 == words.len();
        let length = word.chars().count() + if last { 0 } else { separator.trim_end().len() };
        if i > 0 && length + separator.len() > room {
            text.truncate(text.trim_end().len());
            text.push('\n');
            room = width;
        }
        text.push_str(word);
        if !last {
            text.push_str(separator);
        }
        room = room.saturating_sub(word.chars().count() + separator.len());
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

    #[test]
    fn cells_of_several_lines_go_on_below_themselves() {
        let fruit = Fruit {
            name: "water\nmelon",
            weight: 9000,
        };
        assert_eq!(
            table(std::slice::from_ref(&fruit)),
            "NAME   GRAMS\nwater  9000\nmelon\n"
        );
        assert_eq!(block(&fruit), "NAME   water\n       melon\nGRAMS  9000\n");
    }

    #[test]
    fn nothing_that_is_shown_acts_on_the_terminal() {
        let fruit = Fruit {
            name: "fig\u{1b}[2J\u{202e}\r\u{9b}31m\tü",
            weight: 40,
        };
        let shown = r"fig\u{1b}[2J\u{202e}\u{d}\u{9b}31m";
        assert!(table(std::slice::from_ref(&fruit)).contains(&format!("{shown}\tü")));
        assert!(block(&fruit).contains(&format!("NAME   {shown}\tü\n")));
        assert_eq!(visible("all of it\nas it is"), "all of it\nas it is");
    }

    #[test]
    fn yaml_is_the_tree_that_json_is() {
        #[derive(Serialize)]
        enum Event {
            Grown { on: Vec<Event> },
            Fallen(u8),
        }
        let event = Event::Grown {
            on: vec![Event::Fallen(1)],
        };
        let yaml = yaml(&event).unwrap_or_default();
        assert_eq!(yaml, "Grown:\n  on:\n  - Fallen: 1\n");
        let read: serde_json::Value = serde_yaml_ng::from_str(&yaml).unwrap_or_default();
        assert_eq!(read, serde_json::to_value(&event).unwrap_or_default());
    }

    #[test]
    fn yaml_quotes_what_other_readers_take_for_numbers() {
        let id = format!("0x{}", "9".repeat(64));
        let value = serde_json::json!({
            "id": id, "list": [id, "a 0x12", {"id": "0x1"}], "text": "is:\n0x12\n- 0x13\n", "number": 18, "words": "say: 0x12",
        });
        let yaml = yaml(&value).unwrap_or_default();
        let read: serde_json::Value = serde_yaml_ng::from_str(&yaml).unwrap_or_default();
        assert_eq!(read, value, "{yaml}");
        assert!(yaml.contains(&format!("id: '{id}'\n")), "{yaml}");
        assert!(yaml.contains(&format!("- '{id}'\n")), "{yaml}");
        assert!(yaml.contains("- id: '0x1'\n"), "{yaml}");
        assert_eq!(super::yaml(&id).unwrap_or_default(), format!("'{id}'\n"));
    }

    #[test]
    fn words_are_wrapped_between_words() {
        let words: Vec<String> = ["get", "list", "watch", "deletecollection"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            wrap(&words, ", ", 12),
            "get, list,\nwatch,\ndeletecollection"
        );
        assert_eq!(wrap(&words, ", ", 99), "get, list, watch, deletecollection");
        assert_eq!(wrap(&[], ", ", 9), "");
    }
}
