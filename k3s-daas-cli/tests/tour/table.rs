//! `docs/kubectl.md`, made of the steps.

use std::fmt::Write as _;
use std::path::Path;

use crate::steps::{Group, Step};

/// Holds the file to the steps, which all went as they say; writes it if asked to.
pub fn check(groups: &[Group]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubectl.md");
    let text = text(groups);
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == text,
        "docs/kubectl.md is not of these steps: run this test with DAAS_UPDATE_GOLDEN=1"
    );
}

fn text(groups: &[Group]) -> String {
    let steps: Vec<&Step> = groups.iter().flat_map(|group| &group.steps).collect();
    let differing = steps.iter().filter(|step| step.differs.is_some()).count();
    let mut text = HEAD
        .replace("{steps}", &steps.len().to_string())
        .replace("{differing}", &differing.to_string());
    let mut number = 0;
    for group in groups {
        let head = match group.once {
            true => "| | step | exit | |\n|---|---|---|---|",
            false => "| | step | exit | 1.32 | 1.35 |\n|---|---|---|---|---|",
        };
        writeln!(text, "\n## {}\n\n{head}", group.name).unwrap();
        for step in &group.steps {
            number += 1;
            let run = cell(&step.run);
            let result = match &step.differs {
                None if group.once => format!("{} | same", step.exit),
                None => format!("{} | same | same", step.exit),
                Some(design) => format!("| differs: {} | likewise", cell_text(&design.why)),
            };
            writeln!(text, "| {number} | {run} | {result} |").unwrap();
        }
    }
    text
}

/// A command in a cell: no line breaks, and bars that do not end the cell.
fn cell(command: &str) -> String {
    let line = command.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.contains('`') {
        true => format!("`` {} ``", line.replace('|', "\\|")),
        false => format!("`{}`", line.replace('|', "\\|")),
    }
}

fn cell_text(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

const HEAD: &str = "\
# kubectl, step by step

Written by `k3s-daas-cli/tests/tour` (`DAAS_UPDATE_GOLDEN=1`), which runs each of these {steps} steps with kubectl 1.32 and 1.35
(those of Helm and the other clients once), directly against a real control plane and through the gateway, every time on a fresh namespace `$NS`. *Same* means that standard output,
standard error and exit code are equal once what `k3s-daas-cli/tests/tour/normal.tsv` lists is taken out, which is a twentieth
of the output at most. {differing} steps differ by design and say why; they are held to what each side should say.
";
