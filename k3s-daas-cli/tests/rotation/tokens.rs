//! Keys of owners, sessions and gateways.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use http::Method;
use k3s_daas::crypto::keystore::load_or_create_development;
use k3s_daas_cli::binding::bind;

use crate::load::{CONFIGMAPS, Load, Patience, ask, bearer, client};
use crate::support::{GATEWAY, Run, Separate, command, daas};
use crate::{json, refused, setting};

#[test]
fn an_owner_and_a_session_get_another_key_under_load() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let services = Separate::start(&dir);
    let server = services.server();
    let authority = fs::read(dir.join("gateway/ca.crt")).unwrap();
    let get = |bearer: &str| {
        let asked = ask(
            || client(&server, &authority, bearer),
            Method::GET,
            CONFIGMAPS,
        );
        asked.unwrap()
    };
    let old = setting(&dir, "token");
    // A session's key first: the one before it is refused at once.
    daas(&dir, &["login"]).ok();
    let first = bearer(&dir, &server, &[]);
    assert_eq!(get(&first).0, 200);
    // A session ends with its token at the latest.
    let login = daas(&dir, &["login", "--for", "10000d"]);
    let shown = daas(&dir, &["token", "show"]).ok();
    let end = shown.lines().find_map(|line| line.strip_prefix("EXPIRES"));
    assert!(login.err.contains(end.unwrap().trim()), "{login:?}");
    let second = bearer(&dir, &server, &[]);
    let load = Load::begin("owner", Patience::None, || {
        client(&server, &authority, &second)
    });
    load.wait_for_more(20);
    assert_eq!(get(&first).0, 401);

    let key = dir.join("keys/owner-2.key");
    let owner = load_or_create_development(&key, "the owner's next").unwrap();
    let address = owner.address().to_string();
    refused(
        &dir,
        &["token", "replace", "0x1", "--owner", &address],
        4,
        "no token 0x",
    );
    let arguments = ["token", "replace", &old, "--owner", &address];
    let new = json(&dir, &arguments);
    let before = json(&dir, &["token", "show", &old]);
    for field in ["rules", "groups", "delegates", "expires_at_ms", "cluster"] {
        assert_eq!(new[field], before[field], "{field}");
    }
    assert_eq!(new["owner"], *address);
    assert_eq!(new["bonded_mist"], 0);
    let new = new["id"].as_str().unwrap();
    let mine = [
        ("DAAS_OWNER_KEY", key.to_string_lossy().into_owned()),
        ("DAAS_TOKEN", new.to_owned()),
    ];
    let third = bearer(&dir, &server, &mine);
    // In Kubernetes it is another user.
    assert_eq!(get(&third).0, 403);
    let administrator = dir.join("cluster/kubeconfig");
    let bound = bind(Some(&administrator), None, new.parse().unwrap(), "edit");
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(bound)
        .unwrap();
    assert_eq!(get(&third).0, 200);
    // Anybody may add stake: the old key's balance pays for it.
    daas(&dir, &["token", "stake", "1SUI", "--token", new]).ok();
    let again = Load::begin("owner-2", Patience::None, || {
        client(&server, &authority, &third)
    });
    again.wait_for_more(20);
    load.finish(&dir);
    again.finish(&dir);

    daas(&dir, &["token", "revoke", &old]).ok();
    assert_eq!(get(&second).0, 401);
    assert_eq!(get(&third).0, 200);
    // The old key is nobody's on the new token.
    let foreign = daas(&dir, &["token", "unstake", "1SUI", "--token", new]);
    assert_eq!(foreign.code, 3, "{foreign:?}");
    // And the old token's stake is still its own.
    daas(&dir, &["token", "unstake", "1SUI", "--token", &old]).ok();
    let early = daas(&dir, &["token", "withdraw", "--token", &old]);
    assert_eq!(early.code, 3, "{early:?}");
    assert!(early.err.contains("`daas token show`"), "{early:?}");
    let shown = daas(&dir, &["token", "show", "--token", &old]).ok();
    assert!(shown.contains("1 SUI from 20"), "{shown}");
}

#[test]
fn what_has_ended_is_replaced_only_by_what_has_not() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    drop(Separate::provision(&dir));
    let short = [
        "token", "issue", "--role", "view", "--for", "1s", "-o", "name",
    ];
    let short = daas(&dir, &short).ok();
    let short = short.trim();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    refused(&dir, &["token", "replace", short], 3, "has ended");
    let saved = daas(
        &dir,
        &[
            "token", "replace", short, "--for", "1h", "--save", "-o", "name",
        ],
    );
    let saved = saved.ok();
    assert_eq!(format!("token/{}", setting(&dir, "token")), saved.trim());
}

#[test]
fn a_gateway_gets_another_key() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("daas");
    let mut services = Separate::start(&dir);
    let server = services.server();
    let authority = fs::read(dir.join("gateway/ca.crt")).unwrap();
    let bearer = bearer(&dir, &server, &[]);
    let load = Load::begin("gateway", Patience::Restarts, || {
        client(&server, &authority, &bearer)
    });
    load.wait_for_more(20);
    let new = load_or_create_development(&dir.join("keys/gateway-2.key"), "the next").unwrap();
    let (new, old) = (
        new.address().to_string(),
        load_or_create_development(&dir.join("keys/gateway.key"), "")
            .unwrap()
            .address()
            .to_string(),
    );
    daas(&dir, &["token", "delegate", &new]).ok();
    let rules = dir.join("none.json");
    fs::write(&rules, "[]").unwrap();
    let rules = rules.to_string_lossy().into_owned();
    let own = [
        "token", "issue", "--rules", &rules, "--owner", &new, "--for", "365d", "-o", "name",
    ];
    let own = daas(&dir, &own).ok();
    let own = own.trim().strip_prefix("token/").unwrap();
    let settings = fs::read(dir.join("daas.toml")).unwrap();
    refused(
        &dir,
        &["config", "set", "gateway.token", "mine"],
        7,
        "0x and up to 64",
    );
    refused(
        &dir,
        &["config", "set", "gateway.tokn", own],
        2,
        "did you mean `gateway.token`?",
    );
    refused(
        &dir,
        &["config", "set", "gateway.deadline", "2h"],
        7,
        "out of bounds",
    );
    assert_eq!(fs::read(dir.join("daas.toml")).unwrap(), settings);
    // Whoever may read it: it has no secret.
    fs::set_permissions(dir.join("daas.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    daas(&dir, &["config", "set", "gateway.token", own]).ok();
    daas(
        &dir,
        &["config", "set", "keys.gateway", "keys/gateway-2.key"],
    )
    .ok();
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    services.start_gateway();
    load.wait_for_more(20);
    daas(&dir, &["token", "delegate", &old, "--remove"]).ok();
    load.wait_for_more(20);
    load.finish(&dir);

    // With the old key it does not come up for its own token.
    assert_eq!(services.gateway.take().unwrap().stop(), 0);
    let mut stale = command(GATEWAY);
    stale.env("HOME", &dir).arg("--dir").arg(&dir);
    stale.env("DAAS_GATEWAY_KEY", dir.join("keys/gateway.key"));
    let stale = Run::of(stale.args(["--listen", "127.0.0.1:0"]));
    assert_eq!(stale.code, 8, "{stale:?}");
}
