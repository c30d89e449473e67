//! The container's files, as far as they can be held against something without a container engine.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_json::Value;
use support::cluster::ControlPlane;
use support::{DAAS, GATEWAY, NAUTILUS, Run, kubectls};

#[test]
fn the_image_has_all_that_it_needs_and_does_not_run_as_root() {
    let text = std::fs::read_to_string(root().join("deploy/container/Containerfile")).unwrap();
    let stages = stages(&text);
    let [build, runtime] = &stages[..] else {
        panic!("{stages:?}");
    };
    let of = |stage: &[(String, String)], name: &str| -> Vec<String> {
        let all = stage.iter().filter(|(found, _)| found == name);
        all.map(|(_, rest)| rest.clone()).collect()
    };
    // What the repository says it builds with is what it is built with.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let package = &manifest["workspace"]["package"];
    let version = package["rust-version"].as_str().unwrap();
    assert!(text.contains(&format!("library/rust:{version}-bookworm")));
    assert!(
        text.contains("cc-debian12:nonroot"),
        "the same release of Debian"
    );
    let license = format!("licenses=\"{}\"", package["license"].as_str().unwrap());
    assert!(of(runtime, "LABEL")[0].contains(&license));

    let run = of(build, "RUN").join(" ");
    assert!(run.contains("cargo build --release --locked"), "{run}");
    for program in [DAAS, GATEWAY, NAUTILUS] {
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        assert!(run.contains(&format!("target/release/{name} ")), "{name}");
    }
    let users = of(runtime, "USER");
    let (user, group) = users.last().unwrap().split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    for copied in of(runtime, "COPY") {
        assert!(copied.contains("--from=build "), "{copied}");
        let from = copied
            .split_whitespace()
            .find(|word| word.starts_with("/out/"))
            .unwrap();
        assert!(run.contains(from.trim_end_matches('/')), "{from} is made");
    }
    assert_eq!(of(runtime, "RUN").len(), 0, "there is no shell");
    for (name, rest) in runtime
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "CMD" | "ENTRYPOINT"))
    {
        assert!(
            serde_json::from_str::<Vec<String>>(rest).is_ok(),
            "{name} {rest}"
        );
    }
    // What nobody needs is not given to it either.
    let ignored = std::fs::read_to_string(root().join(".containerignore")).unwrap();
    let mut kept = BTreeSet::new();
    for line in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        kept.insert(line.to_owned());
    }
    let mut copied = BTreeSet::new();
    for line in of(build, "COPY") {
        let words: Vec<&str> = line.split_whitespace().collect();
        copied.extend(
            words[..words.len() - 1]
                .iter()
                .map(|word| (*word).to_owned()),
        );
    }
    assert_eq!(kept, copied);
    assert!(ignored.lines().any(|line| line == "*"), "all but these");
    workspace_is_whole(&copied);
}

/// That what is copied is a workspace whose lock file fits.
fn workspace_is_whole(copied: &BTreeSet<String>) {
    let context = tempfile::tempdir().unwrap();
    let list = Run::of(
        Command::new("git")
            .current_dir(root())
            .args(["ls-files", "-z"]),
    )
    .ok();
    for file in list.split_terminator('\0') {
        let first = file.split('/').next().unwrap();
        if copied.contains(first) {
            let to = context.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(root().join(file), to).unwrap();
        }
    }
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(context.path());
    tree.args([
        "tree",
        "--workspace",
        "--depth",
        "0",
        "--locked",
        "--offline",
    ]);
    let tree = Run::of(&mut tree).ok();
    for member in [
        "k3s-daas ",
        "k3s-daas-cli ",
        "k3s-daas-examples ",
        "k3s-daas-benches ",
    ] {
        assert!(
            tree.lines().any(|line| line.starts_with(member)),
            "{member}: {tree}"
        );
    }
}

#[test]
fn the_binaries_need_no_library_that_the_runtime_image_does_not_have() {
    for program in [DAAS, GATEWAY, NAUTILUS] {
        let needed = Run::of(Command::new("ldd").arg(program)).ok();
        for line in needed.lines() {
            let name = line.split_whitespace().next().unwrap();
            let name = name.rsplit('/').next().unwrap();
            let is_there = LIBRARIES.iter().any(|library| name.starts_with(library));
            assert!(is_there, "{program}: {name}");
        }
    }
}

#[test]
fn the_manifest_is_taken_by_a_real_cluster() {
    let file = root().join("deploy/container/statefulset.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let pod = &documents[1]["spec"]["template"]["spec"];
    for container in pod["containers"].as_array().unwrap() {
        // It is said with words that the programs know.
        let words = container["args"].as_array().unwrap();
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let program = Path::new(DAAS).with_file_name(words[0]);
        let help = Run::of(support::command(program).arg("--help")).ok();
        for word in &words[1..] {
            let flag = word.split('=').next().unwrap();
            assert!(help.contains(&format!("{flag} ")), "{word}");
        }
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    }

    let cluster = ControlPlane::start(&[]);
    let (_, kubectl) = kubectls().pop().unwrap();
    let apply = |arguments: &[&str]| {
        let mut apply = support::command(&kubectl);
        apply.arg("--kubeconfig").arg(cluster.kubeconfig());
        Run::of(apply.args(arguments))
    };
    let setup = root().join("deploy/kubernetes");
    apply(&["apply", "-k", setup.to_str().unwrap()]).ok();
    // As strict as can be, and under the strictest standard for pods.
    apply(&[
        "label",
        "namespace",
        "daas",
        "pod-security.kubernetes.io/enforce=restricted",
    ])
    .ok();
    let strict = ["apply", "--validate=strict", "-f", file.to_str().unwrap()];
    let taken = apply(&strict);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(!taken.err.contains("Warning"), "{taken:?}");
    let wrong = text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem");
    let other = cluster.kubeconfig().with_extension("wrong.yaml");
    std::fs::write(&other, wrong).unwrap();
    let refused = apply(&["apply", "--validate=strict", "-f", other.to_str().unwrap()]);
    assert_ne!(refused.code, 0, "a field that there is not: {refused:?}");
}

/// Instructions of each stage, lines that go on put together.
fn stages(text: &str) -> Vec<Vec<(String, String)>> {
    let text = text.replace("\\\n", " ");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(' ').unwrap();
        assert!(INSTRUCTIONS.contains(&name), "{line}");
        match (name, stages.last_mut()) {
            ("FROM", _) => stages.push(Vec::new()),
            ("ARG", None) => {}
            (_, Some(stage)) => stage.push((name.to_owned(), rest.trim().to_owned())),
            (_, None) => panic!("before the first stage: {line}"),
        }
    }
    stages
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Those of gcr.io/distroless/cc-debian12: libc6 and libgcc-s1; and what is no file.
const LIBRARIES: [&str; 6] = [
    "linux-vdso.so",
    "ld-linux-",
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
];
const INSTRUCTIONS: [&str; 13] = [
    "ARG",
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "LABEL",
    "ENV",
    "VOLUME",
    "USER",
    "EXPOSE",
    "STOPSIGNAL",
    "CMD",
    "ENTRYPOINT",
];
