//! A tour of kubectl: every step directly against a cluster and through the gateway, and both say the same.
//!
//! The steps are in `steps/`, what is taken out before comparing in `normal.tsv`. The table of
//! steps and results is `docs/kubectl.md`; `DAAS_UPDATE_GOLDEN=1` writes it anew. `DAAS_TOUR=WORD` runs only
//! the groups whose name contains that.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(clippy::print_stdout)] // how long each group took

mod kube_rs;
mod normal;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod variant;

use std::path::PathBuf;
use std::time::Instant;

use normal::{Normal, Rules};
use steps::{Group, Step};
use support::cluster::ControlPlane;
use support::{Run, kubectls};
use variant::Variant;

#[test]
fn clients_of_a_real_cluster_hear_the_same_through_the_gateway() {
    let scratch = tempfile::tempdir().unwrap();
    let cluster = ControlPlane::start(&[]);
    let dir = scratch.path().join("daas");
    let running = cluster.dev(&dir);
    let (directly, gateway) = (cluster.kubeconfig(), dir.join("kubeconfig"));
    let mut letters = ['q', 'x', 'z', 'j', 'v', 'w'].into_iter();
    let mut pair = |(version, kubectl): (String, PathBuf)| {
        let [direct, through] = [directly, &gateway].map(|kubeconfig| {
            let letter = letters.next().unwrap();
            Variant::new(letter, &kubectl, kubeconfig, scratch.path())
        });
        Pair {
            version,
            direct,
            through,
        }
    };
    let pairs: Vec<Pair> = kubectls().into_iter().map(&mut pair).collect();
    let last = [pair(kubectls().pop().unwrap())];
    let only = std::env::var("DAAS_TOUR").unwrap_or_default();
    let groups: Vec<Group> = steps::load()
        .into_iter()
        .filter(|group| group.name.contains(&only))
        .collect();
    let walk = |is_once: bool, pairs: &[Pair]| -> Vec<String> {
        let mine = groups.iter().enumerate();
        mine.filter(|(_, group)| group.once == is_once)
            .flat_map(|(at, group)| complaints(pairs, at, group))
            .collect()
    };
    let wrong = std::thread::scope(|scope| {
        let once = scope.spawn(|| walk(true, &last));
        let mut wrong = walk(false, &pairs);
        wrong.extend(once.join().unwrap());
        wrong
    });
    assert_eq!(running.stop(), 0);
    let steps: usize = groups.iter().map(|group| group.steps.len()).sum();
    if !wrong.is_empty() {
        let kept: PathBuf = scratch.keep();
        panic!(
            "{} of {steps} steps, see {}\n\n{}",
            wrong.len(),
            kept.display(),
            wrong.join("\n\n")
        );
    }
    if only.is_empty() {
        assert!(steps >= 120, "only {steps} steps");
        table::check(&groups);
    }
}

/// One kubectl both ways.
struct Pair {
    version: String,
    direct: Variant,
    through: Variant,
}

/// Walks a group on all ways; what is wrong with its steps.
fn complaints(pairs: &[Pair], at: usize, group: &Group) -> Vec<String> {
    let (begun, rules) = (Instant::now(), Rules::load());
    let mut wrong = Vec::new();
    for (pair, runs) in pairs.iter().zip(walk(pairs, at, group)) {
        for (step, runs) in group.steps.iter().zip(runs) {
            let [direct, through] = [(&pair.direct, &runs[0]), (&pair.through, &runs[1])]
                .map(|(variant, run)| Said::of(run, &rules, &variant.namespace(at)));
            if let Some(complaint) = judge(step, &direct, &through) {
                wrong.push(format!(
                    "{}, kubectl {}, in {}\n$ {}\n{complaint}",
                    group.name,
                    pair.version,
                    pair.through.place(at).display(),
                    step.run
                ));
            }
        }
    }
    println!("{:5.1}s {}", begun.elapsed().as_secs_f32(), group.name);
    wrong
}

/// What each step of a group said directly and through, for each pair; side by side unless it must be alone.
fn walk(pairs: &[Pair], at: usize, group: &Group) -> Vec<Vec<[Run; 2]>> {
    let both = |direct: Vec<Run>, through: Vec<Run>| {
        let runs = direct.into_iter().zip(through);
        runs.map(|(direct, through)| [direct, through]).collect()
    };
    if group.alone {
        let walk = |variant: &Variant| variant.walk(at, group);
        let walked = pairs.iter();
        return walked
            .map(|pair| both(walk(&pair.direct), walk(&pair.through)))
            .collect();
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = pairs
            .iter()
            .map(|pair| {
                [&pair.direct, &pair.through]
                    .map(|variant| scope.spawn(move || variant.walk(at, group)))
            })
            .collect();
        running
            .into_iter()
            .map(|[direct, through]| both(direct.join().unwrap(), through.join().unwrap()))
            .collect()
    })
}

/// What one variant said, with what is compared of it.
struct Said {
    code: i32,
    normal: Normal,
}

impl Said {
    fn of(run: &Run, rules: &Rules, namespace: &str) -> Self {
        let text = match run.err.is_empty() {
            true => run.out.clone(),
            false => format!("{}--- stderr\n{}", run.out, run.err),
        };
        Self {
            code: run.code,
            normal: rules.apply(namespace, &text),
        }
    }

    fn shown(&self, how: &str) -> String {
        let Normal { text, taken, of } = &self.normal;
        let code = self.code;
        format!("--- {how}, exit {code}, {taken} of {of} bytes taken\n{text}")
    }
}

/// What is wrong with a step, if anything.
fn judge(step: &Step, direct: &Said, through: &Said) -> Option<String> {
    let both = || format!("{}\n{}", direct.shown("directly"), through.shown("through"));
    if let Some(design) = &step.differs {
        if direct.normal.text == through.normal.text && direct.code == through.code {
            return Some(format!("does not differ any more\n{}", both()));
        }
        return [(direct, &design.directly), (through, &design.through)]
            .iter()
            .find(|(said, should)| !said.normal.text.contains(should.as_str()))
            .map(|(_, should)| format!("should say `{should}`\n{}", both()));
    }
    let (ours, theirs) = (&through.normal, &direct.normal);
    if ours.text != theirs.text || direct.code != through.code {
        return Some(format!("differs\n{}", both()));
    }
    let alike = || direct.shown("both");
    if direct.code != step.exit {
        Some(format!("should exit {}\n{}", step.exit, alike()))
    } else if !theirs.text.contains(&step.says) {
        Some(format!("should say `{}`\n{}", step.says, alike()))
    } else if ours.is_hollow() || theirs.is_hollow() {
        Some(format!("too much is taken out\n{}", alike()))
    } else {
        None
    }
}
