//! What docs/production.md says, done as it stands there.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use support::certificate::{Given, write};
use support::cluster::ControlPlane;
use support::{DAAS, Process, Run, command, free_address, kubectls};

#[test]
fn the_setup_in_the_documentation_works() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut cluster = command(DAAS);
    cluster.env("HOME", directory.path());
    cluster.args(["memory-cluster", "--listen", &free_address(), "--dir"]);
    cluster.arg(at("cluster"));
    let cluster = Process::start(cluster, &at("cluster.log"), "export KUBECONFIG=");
    // It has no accounts but its administrator's.
    let kubeconfig = at("cluster/kubeconfig");
    set_up(directory.path(), &kubeconfig, &kubeconfig);
    assert_eq!(cluster.stop(), 0);
}

#[test]
fn the_setup_in_the_documentation_works_on_a_real_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = ControlPlane::start(&[]);
    let nautilus = directory.path().join("nautilus.kubeconfig");
    set_up(directory.path(), cluster.kubeconfig(), &nautilus);
    let made = std::fs::metadata(&nautilus).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
}

/// Runs the document over a cluster of this administrator, with a kubeconfig of Nautilus's account that is there or made.
fn set_up(directory: &Path, administrator: &Path, nautilus: &Path) {
    let at = |name: &str| directory.join(name);
    let (_, kubectl) = kubectls().pop().unwrap();
    std::fs::create_dir(at("bin")).unwrap();
    symlink(kubectl, at("bin/kubectl")).unwrap();
    std::fs::create_dir(at("tls")).unwrap();
    Given::make(&at("tls"));
    write(at("passphrase"), "correct horse battery staple\n");

    // What runs in the background ends with the script.
    let script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n{}",
        shell_blocks(DOCUMENT)
    );
    write(at("script"), &script);
    let listen = free_address();
    let port = listen.rsplit(':').next().unwrap();
    let ours = Path::new(DAAS).parent().unwrap();
    let system = std::env::var_os("PATH").unwrap();
    let path = [at("bin"), ours.to_owned()];
    let path = std::env::join_paths(path.into_iter().chain(std::env::split_paths(&system)));
    let mut shell = command("timeout");
    shell
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["90", "bash"])
        .arg(at("script"))
        .env("HOME", directory)
        .env("PATH", path.unwrap())
        .env("DAAS_DIR", at("daas"))
        .env("DAAS_PASSPHRASE_FILE", at("passphrase"))
        .env("CLUSTER", administrator)
        .env("NAUTILUS", nautilus)
        .env("TLS", at("tls"))
        .env("LISTEN", &listen)
        .env("SERVER", format!("https://localhost:{port}"));
    let run = Run::of(&mut shell);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    for said in [
        "clusterrole.rbac.authorization.k8s.io/daas-nautilus created",
        "configmap/first created",
        "VERIFIED      yes",
    ] {
        assert!(run.out.contains(said), "{said}: {}\n{}", run.out, run.err);
    }
}

/// What stands between ```` ```sh ```` and ```` ``` ````, all of it.
fn shell_blocks(document: &str) -> String {
    let mut blocks = String::new();
    let mut inside = false;
    for line in document.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                blocks.push_str(line);
                blocks.push('\n');
            }
            _ => {}
        }
    }
    assert!(blocks.contains("daas-gateway &"), "the blocks are found");
    blocks
}

const DOCUMENT: &str = include_str!("../../docs/production.md");
