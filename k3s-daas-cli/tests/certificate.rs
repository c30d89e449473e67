//! A gateway with a certificate that was given to it, and who trusts it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use rcgen::KeyPair;
use support::certificate::{Given, write};
use support::{DAAS, GATEWAY, NAUTILUS, Process, Run, Separate, command};

#[test]
fn a_given_certificate_is_shown_and_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("daas");
    let given = Given::make(directory.path());
    let mut services = Separate::provision(&dir);
    services.start_cluster();
    services.start_nautilus();
    let mut gateway = command(GATEWAY);
    gateway.env("HOME", &dir).arg("--dir").arg(&dir);
    gateway.args(["--listen", "127.0.0.1:0", "--certificate"]);
    gateway.arg(&given.certificate);
    gateway.arg("--private-key").arg(&given.key);
    gateway.arg("--kubeconfig").arg(dir.join("kubeconfig"));
    let log = directory.path().join("gateway.log");
    let gateway = Process::start(gateway, &log, "serving ");
    let kubeconfig = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
    assert!(
        !kubeconfig.contains("certificate-authority"),
        "the system's authorities are trusted: {kubeconfig}"
    );

    let request = |variables: &[(&str, &Path)]| {
        let mut command = command(DAAS);
        command.env("HOME", &dir).args(["request", "GET"]);
        command.arg("/api/v1/namespaces/default/pods");
        command.arg("--dir").arg(&dir);
        Run::of(command.envs(variables.iter().copied()))
    };
    request(&[("DAAS_GATEWAY_CA", &given.authority)]).ok();
    let of_the_system: [(&str, &Path); 2] = [
        ("DAAS_GATEWAY_CERTIFICATE", &given.certificate),
        ("DAAS_GATEWAY_PRIVATE_KEY", &given.key),
    ];
    let stranger = request(&of_the_system);
    assert_eq!(stranger.code, 5, "nobody vouches for it: {stranger:?}");
    let [certificate, key] = of_the_system;
    request(&[certificate, key, ("SSL_CERT_FILE", &given.authority)]).ok();
    assert_eq!(gateway.stop(), 0);

    let mut named = command(GATEWAY);
    named.env("HOME", &dir).arg("--dir").arg(&dir);
    named.args(["--listen", "127.0.0.1:0", "--certificate"]);
    named.arg(&given.certificate);
    named.arg("--private-key").arg(&given.key);
    named.arg("--certificate-authority").arg(&given.authority);
    named.arg("--kubeconfig").arg(dir.join("kubeconfig"));
    let named = Process::start(named, &log, "serving ");
    let kubeconfig = std::fs::read_to_string(dir.join("kubeconfig")).unwrap();
    assert!(
        kubeconfig.contains("certificate-authority-data"),
        "{kubeconfig}"
    );
    assert_eq!(named.stop(), 0);
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("daas");
    let given = Given::make(directory.path());
    drop(Separate::provision(&dir));
    let start = |key: &Path| {
        let mut command = command(GATEWAY);
        command.env("HOME", &dir).arg("--dir").arg(&dir);
        command.args(["--listen", "127.0.0.1:0", "--certificate"]);
        command.arg(&given.certificate);
        Run::of(command.arg("--private-key").arg(key))
    };
    let other = KeyPair::generate().unwrap().serialize_pem();
    let other = write(directory.path().join("other.key"), &other);
    assert_ne!(start(&other).code, 0, "the key of another certificate");
    assert_ne!(start(&given.certificate).code, 0, "no key at all");
}

#[test]
fn in_a_pod_without_a_service_account() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("daas");
    drop(Separate::provision(&dir));
    // A real pod's directory has no memory cluster.
    std::fs::remove_dir_all(dir.join("cluster")).unwrap();
    let mut nautilus = command(NAUTILUS);
    nautilus.env("HOME", &dir).arg("--dir").arg(&dir);
    nautilus.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    nautilus.env("KUBERNETES_SERVICE_PORT", "6443");
    let refused = Run::of(&mut nautilus);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("service account"), "{}", refused.err);
}
