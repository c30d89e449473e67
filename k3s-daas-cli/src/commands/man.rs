//! `daas man`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::Cli;
use crate::commands;
use crate::printer::{Format, Printer};

/// Where to.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
With a directory, a page for every command of daas, daas-gateway and daas-nautilus, such as daas-token-issue.1; it is \
made if it is not there, and pages of the same name in it are replaced.

Examples:
  daas man | man -l -
  daas man ~/.local/share/man/man1 && man daas-token-issue")]
pub struct Args {
    /// Directory to write all pages to; without one, the page of daas is printed.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// If they cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let printer = Printer::new(Format::Table);
    let pages = pages()?;
    let Some(directory) = &args.directory else {
        return Ok(printer.raw(&pages[0].text)?);
    };
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for page in &pages {
        write(&directory.join(&page.name), &page.text)?;
    }
    printer.note(&format!("{} pages in {}", pages.len(), directory.display()));
    Ok(())
}

fn write(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A page of section 1.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its file: `daas-token-issue.1`.
    pub name: String,
    /// For troff, with the macros `man`.
    pub text: Vec<u8>,
}

/// All of them, that of daas first.
///
/// # Errors
/// None that a page in memory has.
pub fn pages() -> anyhow::Result<Vec<Page>> {
    let mut pages = Vec::new();
    for mut program in [
        Cli::command(),
        commands::gateway::Cli::command(),
        commands::nautilus::Cli::command(),
    ] {
        program = program.disable_help_subcommand(true);
        program.build();
        collect(&program, &mut Vec::new(), &mut pages)?;
    }
    Ok(pages)
}

fn collect(
    command: &clap::Command,
    above: &mut Vec<String>,
    pages: &mut Vec<Page>,
) -> anyhow::Result<()> {
    above.push(command.get_name().to_owned());
    let name = above.join("-");
    let shown = command.clone().display_name(name.clone());
    let examples = [command.get_after_long_help(), command.get_after_help()];
    let examples = examples
        .into_iter()
        .flatten()
        .next()
        .map(ToString::to_string);
    let man = Man::new(shown.after_help("").after_long_help(""))
        .title(name.clone())
        .source(concat!("k3s-daas ", env!("CARGO_PKG_VERSION")))
        .manual("k3s-daas");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(examples) = examples {
        text.extend(notes(&examples).into_bytes());
    }
    pages.push(Page {
        name: format!("{name}.1"),
        text: ascii(&String::from_utf8(text)?).into_bytes(),
    });
    for command in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        collect(command, above, pages)?;
    }
    above.pop();
    Ok(())
}

/// What stands after the options: paragraphs, and below a line that ends with a colon lines as they are.
fn notes(text: &str) -> String {
    let mut page = String::new();
    let mut begun = false;
    for paragraph in text.split("\n\n") {
        let mut lines = paragraph.lines().peekable();
        let Some(first) = lines.peek() else { continue };
        let heading = first
            .strip_suffix(':')
            .filter(|_| paragraph.contains("\n  "));
        if let Some(heading) = heading {
            page += &format!(".SH \"{}\"\n.nf\n", escaped(&heading.to_uppercase()));
            for line in lines.skip(1) {
                page += &format!("{}\n", escaped(line.strip_prefix("  ").unwrap_or(line)));
            }
            page += ".fi\n";
        } else {
            if !begun {
                page += ".SH NOTES\n";
            }
            page += ".PP\n";
            for line in lines {
                page += &format!("{}\n", escaped(line));
            }
        }
        begun = true;
    }
    page
}

/// The same with names for characters that troff alone does not read.
fn ascii(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for char in page.chars() {
        match char.is_ascii() {
            true => text.push(char),
            false => text += &format!("\\[u{:04X}]", u32::from(char)),
        }
    }
    text
}

/// A line as troff shows it: no control line, no escape, quotes and hyphens as they are typed.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    if line.starts_with(['.', '\'']) {
        text += "\\&";
    }
    for char in line.chars() {
        match char {
            '\\' => text += "\\e",
            '-' => text += "\\-",
            '\'' => text += "\\(aq",
            '`' => text += "\\(ga",
            '"' => text += "\\(dq",
            '^' => text += "\\(ha",
            '~' => text += "\\(ti",
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command_of_troff() {
        let text = "Say:\n\n.so /etc/passwd\n'br\n\nExamples:\n  .de x\n  daas a-b \\n 'c' \"d\"";
        let page = notes(text);
        let commands: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with(['.', '\'']))
            .collect();
        let known = [".SH NOTES", ".PP", ".PP", ".SH \"EXAMPLES\"", ".nf", ".fi"];
        assert_eq!(commands, known);
        assert!(
            page.contains("daas a\\-b \\en \\(aqc\\(aq \\(dqd\\(dq"),
            "{page}"
        );
    }
}
