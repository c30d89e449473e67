//! One kubectl, directly or through the gateway, on namespaces of its own.

use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

use crate::kube_rs;
use crate::steps::{Group, Step};
use crate::support::{Run, command};

/// A kubectl with a kubeconfig and a directory.
pub struct Variant {
    /// A letter that no hexadecimal number has.
    letter: char,
    kubeconfig: Value,
    home: PathBuf,
}

impl Variant {
    /// `letter` is one that no hexadecimal number has, so that a namespace is not found in one.
    pub fn new(letter: char, kubectl: &Path, kubeconfig: &Path, scratch: &Path) -> Self {
        let home = scratch.join(letter.to_string());
        std::fs::create_dir_all(home.join("bin")).unwrap();
        for (name, program) in [
            ("kubectl", kubectl),
            ("helm", &kubectl.with_file_name("helm-4.1")),
            ("go-client", &clients().join("go/client")),
        ] {
            std::os::unix::fs::symlink(program, home.join("bin").join(name)).unwrap();
        }
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        Self {
            letter,
            kubeconfig: serde_yaml_ng::from_str(&text).unwrap(),
            home,
        }
    }

    /// The namespace of a group: as short as can be, since it is taken out before comparing.
    pub fn namespace(&self, group: usize) -> String {
        let letters = b"abcdefghijklmnopqrstuvwxyz";
        format!("{}{}", self.letter, char::from(letters[group]))
    }

    /// The directory that a group runs in.
    pub fn place(&self, group: usize) -> PathBuf {
        self.home.join(self.namespace(group))
    }

    /// Runs all steps of a group, one after the other.
    pub fn walk(&self, at: usize, group: &Group) -> Vec<Run> {
        let (namespace, place) = (self.namespace(at), self.place(at));
        std::fs::create_dir_all(&place).unwrap();
        for (name, text) in &group.files {
            std::fs::write(place.join(name), text.replace("$NS", &namespace)).unwrap();
        }
        let mut kubeconfig = self.kubeconfig.clone();
        for context in kubeconfig["contexts"].as_sequence_mut().unwrap() {
            context["context"]["namespace"] = namespace.clone().into();
        }
        let text = serde_yaml_ng::to_string(&kubeconfig).unwrap();
        std::fs::write(place.join("kubeconfig"), text).unwrap();
        self.step(
            &namespace,
            &place,
            &format!("kubectl create namespace {namespace}"),
        )
        .ok();
        let runs = group
            .steps
            .iter()
            .map(|Step { run, .. }| self.step(&namespace, &place, run))
            .collect();
        // What is left goes in its own time; names of namespaces are not used twice.
        self.step(
            &namespace,
            &place,
            &format!("kubectl delete namespace {namespace} --wait=false"),
        );
        runs
    }

    fn step(&self, namespace: &str, place: &Path, line: &str) -> Run {
        if let Some(part) = line.strip_prefix("kube-rs ") {
            return kube_rs::run(part, &place.join("kubeconfig"), namespace);
        }
        let clients = clients();
        let path = format!(
            "{}:{}:{}",
            self.home.join("bin").display(),
            clients.join("python/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
        let mut shell = command("timeout");
        shell
            .args(["--kill-after=5", PATIENCE, "sh", "-c"])
            .arg(format!(". {tests}/tour/lib.sh; {line}"))
            .current_dir(place)
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("KUBECONFIG", place.join("kubeconfig"))
            .env("NS", namespace)
            .env("CHART", format!("{tests}/chart"))
            .env("CLIENTS", format!("{tests}/clients"))
            .env("CLIENT_PACKAGES", clients.join("javascript"))
            .env("LC_ALL", "C");
        Run::of(&mut shell)
    }
}

/// The clients in other languages, where `ci/clients.sh` puts them.
fn clients() -> PathBuf {
    let dir = std::env::var_os("DAAS_TEST_CLIENTS_DIR");
    dir.expect("DAAS_TEST_CLIENTS_DIR is set: run `make test`, or `make clients` and set it")
        .into()
}

/// Seconds that a step may take.
const PATIENCE: &str = "120";
