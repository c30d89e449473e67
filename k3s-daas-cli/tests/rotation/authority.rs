//! The gateway's certificate and its authority.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use http::Method;
use serde_json::Value;

use crate::load::{CONFIGMAPS, Load, Patience, ask, bearer, client};
use crate::support::certificate::Given;
use crate::support::{DAAS, Run, Separate, command, daas};
use crate::{json, refused};

#[test]
fn an_authority_takes_the_place_of_another_under_load() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::provision(&dir);
    refused(&dir, &["authority", "begin"], 4, "there is no authority in");
    services.start_cluster();
    services.start_nautilus();
    services.start_gateway();
    let server = services.server();
    let old = fs::read(dir.join("gateway/ca.crt")).unwrap();
    let old_key = fs::read(dir.join("gateway/ca.key")).unwrap();
    let bearer = bearer(&dir, &server, &[]);
    let get = |authority: &[u8]| {
        ask(
            || client(&server, authority, &bearer),
            Method::GET,
            CONFIGMAPS,
        )
    };
    let end = |arguments: &[&str]| {
        let mut end = command(DAAS);
        end.env("HOME", &dir).env("DAAS_DIR", &dir);
        end.env("DAAS_GATEWAY_SERVER", &server);
        Run::of(end.args(["authority", "end"]).args(arguments))
    };
    for step in ["switch", "end"] {
        let nothing = daas(&dir, &["authority", step]);
        assert_eq!(nothing.code, 3, "{nothing:?}");
    }
    assert_eq!(states(&dir), ["signs"]);

    let begun = json(&dir, &["authority", "begin"]);
    assert_eq!(begun.as_array().unwrap().len(), 2);
    assert_eq!(states(&dir), ["signs", "next"]);
    refused(
        &dir,
        &["authority", "begin"],
        3,
        "is made and trusted already",
    );
    let early = end(&[]);
    assert_eq!(early.code, 3, "{early:?}");
    let both = in_kubeconfig(&dir);
    assert_eq!(certificates(&both), 2);
    let load = Load::begin("authority", Patience::Restarts, || {
        client(&server, &both, &bearer)
    });
    load.wait_for_more(20);

    // A restart renews the certificate under the same authority, and nobody needs anything anew.
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    services.start_gateway();
    assert_eq!(get(&old).unwrap().0, 200);
    assert_eq!(get(&both).unwrap().0, 200);
    load.wait_for_more(20);

    daas(&dir, &["authority", "switch"]).ok();
    assert_eq!(states(&dir), ["signs", "trusted"]);
    let before = Instant::now();
    assert_ne!(fs::read(dir.join("gateway/ca.key")).unwrap(), old_key);
    assert!(!dir.join("gateway/next").exists(), "no key lies about");
    refused(&dir, &["authority", "begin"], 3, "has not ended");
    // The gateway has not been restarted: to trust the new one alone would lock everybody out.
    let early = end(&[]);
    assert_eq!(early.code, 5, "{early:?}");
    assert!(early.err.contains("restart daas-gateway"), "{early:?}");
    load.wait_for_more(20);

    // That it shows the old one is seen at once; one that starts is waited for.
    assert!(before.elapsed() < Duration::from_secs(9), "{before:?}");
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    let trusted = fs::read(dir.join("gateway/ca.crt")).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| end(&[]));
        std::thread::sleep(Duration::from_millis(500));
        services.start_gateway();
        waits.join().unwrap().ok();
    });
    fs::write(dir.join("gateway/ca.crt"), trusted).unwrap();
    load.wait_for_more(20);
    let refused_by = get(&old).unwrap_err();
    assert!(refused_by.contains("certificate"), "{refused_by}");
    assert_eq!(get(&both).unwrap().0, 200);

    let ended = end(&["-o", "json"]).ok();
    assert_eq!(
        serde_json::from_str::<Value>(&ended)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let new = in_kubeconfig(&dir);
    assert_eq!(certificates(&new), 1);
    assert_ne!(new, old);
    assert_eq!(get(&new).unwrap().0, 200);
    load.wait_for_more(20);
    // It comes up with what is left, too.
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    services.start_gateway();
    assert_eq!(get(&new).unwrap().0, 200);
    load.finish(&dir);
}

#[test]
fn a_step_that_was_killed_is_finished_by_doing_it_again() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::provision(&dir);
    services.start_gateway();
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    let file = dir.join("gateway/ca.crt");
    let old = fs::read(&file).unwrap();
    daas(&dir, &["authority", "begin"]).ok();
    let both = fs::read(&file).unwrap();
    // Made, and not trusted yet.
    fs::write(&file, &old).unwrap();
    refused(&dir, &["authority", "switch"], 3, "is not trusted yet");
    daas(&dir, &["authority", "begin"]).ok();
    assert_eq!(fs::read(&file).unwrap(), both);
    // First in the file, and its key not in place yet.
    let key = fs::read(dir.join("gateway/ca.key")).unwrap();
    let next = fs::read(dir.join("gateway/next/ca.key")).unwrap();
    let split = old.len();
    fs::write(&file, [&both[split..], &both[..split]].concat()).unwrap();
    daas(&dir, &["authority", "switch"]).ok();
    assert_ne!(fs::read(dir.join("gateway/ca.key")).unwrap(), key);
    assert_eq!(fs::read(dir.join("gateway/ca.key")).unwrap(), next);
    assert_eq!(
        fs::read(&file).unwrap(),
        [&both[split..], &both[..split]].concat()
    );
    services.start_gateway();
}

#[test]
fn a_rotation_can_be_given_up() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::provision(&dir);
    services.start_cluster();
    services.start_nautilus();
    services.start_gateway();
    let old = fs::read(dir.join("gateway/ca.crt")).unwrap();
    daas(&dir, &["authority", "begin"]).ok();
    // As docs/operating.md says.
    fs::remove_dir_all(dir.join("gateway/next")).unwrap();
    let mut end = command(DAAS);
    end.env("HOME", &dir).env("DAAS_DIR", &dir);
    end.env("DAAS_GATEWAY_SERVER", services.server());
    Run::of(end.args(["authority", "end"])).ok();
    assert_eq!(fs::read(dir.join("gateway/ca.crt")).unwrap(), old);
    daas(&dir, &["authority", "begin"]).ok();
}

#[test]
fn a_given_certificate_and_its_authority_are_exchanged_under_load() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let dir = at("daas");
    let mut services = Separate::provision(&dir);
    for made in ["first", "second"] {
        fs::create_dir(at(made)).unwrap();
        Given::make(&at(made));
    }
    // What the settings name, and what is put there.
    let shown = at("shown");
    fs::create_dir(&shown).unwrap();
    let put = |from: &str, files: &[&str]| {
        for file in files {
            // A copy keeps the mode, and the name is there all the while.
            fs::copy(at(from).join(file), shown.join("new")).unwrap();
            fs::rename(shown.join("new"), shown.join(file)).unwrap();
        }
    };
    put("first", &["ca.crt", "gateway.crt", "gateway.key"]);
    for (key, file) in [
        ("gateway.certificate", "gateway.crt"),
        ("gateway.private_key", "gateway.key"),
        ("gateway.ca", "ca.crt"),
    ] {
        // The one needs the other, and is good once both are there.
        let file = shown.join(file).to_string_lossy().into_owned();
        daas(&dir, &["config", "set", key, &file]).ok();
    }
    services.start_cluster();
    services.start_nautilus();
    services.start_gateway();
    let server = services.server();
    let bearer = bearer(&dir, &server, &[]);
    let get = |authority: &[u8]| {
        let asked = ask(
            || client(&server, authority, &bearer),
            Method::GET,
            CONFIGMAPS,
        );
        asked.map(|(status, _)| status)
    };
    let (first, second) = (
        fs::read(at("first/ca.crt")).unwrap(),
        fs::read(at("second/ca.crt")).unwrap(),
    );
    assert_eq!(in_kubeconfig(&dir), first);
    assert_eq!(get(&first), Ok(200));
    let both = [first.clone(), second.clone()].concat();
    fs::write(shown.join("ca.crt"), &both).unwrap();
    assert_eq!(in_kubeconfig(&dir), both);
    let load = Load::begin("given", Patience::Restarts, || {
        client(&server, &both, &bearer)
    });
    load.wait_for_more(20);
    put("second", &["gateway.crt", "gateway.key"]);
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    services.start_gateway();
    load.wait_for_more(20);
    assert!(get(&first).unwrap_err().contains("certificate"));
    put("second", &["ca.crt"]);
    assert_eq!(in_kubeconfig(&dir), second);
    assert_eq!(get(&second), Ok(200));
    // `daas request` trusts what the settings say, too.
    daas(&dir, &["config", "set", "gateway.server", &server]).ok();
    load.finish(&dir);
}

#[test]
fn the_authority_of_a_given_certificate_is_somebody_elses() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    drop(Separate::provision(&dir));
    let given = Given::make(scratch.path());
    let with = |name: &str, value: &Path| {
        let mut begin = command(DAAS);
        begin
            .env("HOME", &dir)
            .env("DAAS_DIR", &dir)
            .env(name, value);
        Run::of(begin.args(["authority", "begin"]))
    };
    let not_ours = with("DAAS_GATEWAY_CERTIFICATE", &given.certificate);
    assert_eq!(not_ours.code, 7, "{not_ours:?}");
    assert!(
        not_ours.err.contains("not the gateway's own"),
        "{not_ours:?}"
    );
    let elsewhere = with("DAAS_GATEWAY_CA", &given.authority);
    assert_eq!(elsewhere.code, 7, "{elsewhere:?}");
    assert!(!dir.join("gateway/next").exists());
}

fn states(dir: &Path) -> Vec<String> {
    let shown = json(dir, &["authority", "show"]);
    let shown = shown.as_array().unwrap().iter();
    shown
        .map(|shown| shown["state"].as_str().unwrap().to_owned())
        .collect()
}

/// What a kubeconfig that is written now trusts.
fn in_kubeconfig(dir: &Path) -> Vec<u8> {
    let text = daas(dir, &["kubeconfig"]).ok();
    let kubeconfig: Value = serde_yaml_ng::from_str(&text).unwrap();
    let data = &kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"];
    let data = data.as_str().unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap()
}

fn certificates(pem: &[u8]) -> usize {
    String::from_utf8_lossy(pem)
        .matches("BEGIN CERTIFICATE")
        .count()
}
