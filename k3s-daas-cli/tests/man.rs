//! The manual pages: one for each command, of its own help, and none that troff complains of.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use support::{DAAS, GATEWAY, NAUTILUS, Run, command};

#[test]
fn every_command_has_a_page_that_is_its_help() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("man1");
    let write = || Run::of(command(DAAS).arg("man").arg(&directory)).ok();
    write();
    // Again over what is there.
    write();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        found.insert(entry.unwrap().file_name().into_string().unwrap());
    }
    let mut expected = BTreeSet::new();
    let (mut paths, mut options) = (vec![Vec::new()], 0);
    while let Some(path) = paths.pop() {
        let help = Run::of(command(DAAS).args(&path).arg("--help")).ok();
        for name in subcommands(&help) {
            paths.push([path.clone(), vec![name]].concat());
        }
        let name = [vec!["daas".to_owned()], path].concat().join("-") + ".1";
        options += check(&directory.join(&name), &help);
        expected.insert(name);
    }
    for (program, name) in [(GATEWAY, "daas-gateway.1"), (NAUTILUS, "daas-nautilus.1")] {
        let help = Run::of(command(program).arg("--help")).ok();
        options += check(&directory.join(name), &help);
        expected.insert(name.to_owned());
    }
    assert_eq!(found, expected);
    assert!(
        expected.len() > 50 && options > 200,
        "{options} in {expected:?}"
    );
    let printed = Run::of(command(DAAS).arg("man")).ok();
    assert_eq!(
        printed,
        std::fs::read_to_string(directory.join("daas.1")).unwrap()
    );

    let nowhere = Run::of(command(DAAS).args(["man", "/dev/null/man1"]));
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
}

/// Has the page typeset, without a complaint, and finds in it what the help has; how many options that are.
#[track_caller]
fn check(page: &Path, help: &str) -> usize {
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=100n"]);
    let typeset = Run::of(groff.arg(page));
    assert_eq!((typeset.code, &*typeset.err), (0, ""), "{}", page.display());
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = words(&typeset.out.replace('‐', "-"));
    let mut count = 0;
    // Not the values of one, which begin with a hyphen too.
    let starts = |line: &&str| {
        let line = line.trim_start();
        line.starts_with('-') && !line.starts_with("- ")
    };
    for line in help.lines().filter(starts) {
        let option = line.trim().split(['<', '[']).next().unwrap();
        let option = option.split("  ").next().unwrap().trim();
        assert!(text.contains(option), "{option}: {}", typeset.out);
        count += 1;
    }
    // What is an example stays a line of its own.
    let examples = help.split_once("Examples:\n").map_or("", |(_, rest)| rest);
    let printed: Vec<String> = typeset.out.lines().map(words).collect();
    for line in examples.lines().take_while(|line| line.starts_with("  ")) {
        // A long one is broken by the width of the page.
        if line.len() < 80 {
            let line = words(line);
            let is_there = printed.iter().any(|printed| printed.contains(&line));
            assert!(is_there, "{line}: {}", typeset.out);
        }
    }
    count
}

fn subcommands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let names = rest
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}
