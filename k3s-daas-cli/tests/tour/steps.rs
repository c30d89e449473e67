//! The steps, out of `steps/*.txt`.
//!
//! A line begins with a word: `group NAME`, `alone` for what cannot be done side by side (then one goes after the
//! other), `once` for what is done with the last kubectl only, beside the others, `file NAME` with its text on indented lines, then steps:
//! `$ COMMAND`, and below it what is expected on every way: `says TEXT` (stands in what is said, so that two
//! equal failures are no success), `exit CODE` (else 0). What differs by design says `differs WHY`, and is held
//! to `directly TEXT` and `through TEXT`. A line that begins with `#` is a comment.

/// Steps that share a namespace and a directory.
#[derive(Debug, Default)]
pub struct Group {
    pub name: String,
    /// One after the other.
    pub alone: bool,
    /// With the last kubectl only, beside the other groups.
    pub once: bool,
    /// Names and texts of files that the steps use, with `$NS` for the namespace.
    pub files: Vec<(String, String)>,
    pub steps: Vec<Step>,
}

/// A line for the shell, and what is expected of it on every way.
#[derive(Debug, Default)]
pub struct Step {
    /// `$NS` is the namespace; the functions of `lib.sh` are there.
    pub run: String,
    pub says: String,
    pub exit: i32,
    /// What differs by design is listed.
    pub differs: Option<Design>,
}

/// A difference that is meant.
#[derive(Debug, Default)]
pub struct Design {
    pub why: String,
    pub directly: String,
    pub through: String,
}

/// All of them, in order.
pub fn load() -> Vec<Group> {
    let mut groups = Vec::new();
    for text in [
        include_str!("steps/server.txt"),
        include_str!("steps/reading.txt"),
        include_str!("steps/writing.txt"),
        include_str!("steps/generators.txt"),
        include_str!("steps/workloads.txt"),
        include_str!("steps/cluster.txt"),
        include_str!("steps/refusals.txt"),
        include_str!("steps/clients.txt"),
        include_str!("steps/helm.txt"),
    ] {
        for line in text.lines() {
            read(&mut groups, line).unwrap_or_else(|| panic!("not a line of a step: {line}"));
        }
    }
    groups
}

/// Adds a line to what was read; `None` if it has no place there.
fn read(groups: &mut Vec<Group>, line: &str) -> Option<()> {
    if let Some(name) = line.strip_prefix("group ") {
        groups.push(Group {
            name: name.to_owned(),
            ..Group::default()
        });
        return Some(());
    }
    if line.is_empty() || line.starts_with("# ") {
        return Some(());
    }
    let group = groups.last_mut()?;
    if line == "once" || line == "alone" {
        group.once |= line == "once";
        group.alone |= line == "alone";
        return Some(());
    }
    if let Some(text) = line.strip_prefix("    ") {
        let (_, file) = group.files.last_mut()?;
        file.push_str(text);
        file.push('\n');
        return Some(());
    }
    let (word, rest) = line.split_once(' ')?;
    let rest = rest.to_owned();
    match word {
        "file" => group.files.push((rest, String::new())),
        "$" => group.steps.push(Step {
            run: rest,
            ..Step::default()
        }),
        _ => {
            let step = group.steps.last_mut()?;
            match word {
                "says" => step.says = rest,
                "exit" => step.exit = rest.parse().ok()?,
                "differs" => {
                    step.differs = Some(Design {
                        why: rest,
                        ..Design::default()
                    });
                }
                "directly" => step.differs.as_mut()?.directly = rest,
                "through" => step.differs.as_mut()?.through = rest,
                _ => return None,
            }
        }
    }
    Some(())
}
