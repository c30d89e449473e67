#![allow(clippy::unwrap_used)]

use super::*;

fn load(file: &str, flags: Flags, variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, file).unwrap();
    let variables: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::load_from(Some(&path), flags, |name| {
        variables.get(name).map(OsString::from)
    })
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let file = "cluster = \"0x1\"\n[gateway]\nlisten = \"127.0.0.1:1\"\n";
    let all = [("DAAS_CLUSTER", "0x2"), ("HOME", "/home/x")];
    let flags = vec![(Key::Cluster, "0x3".to_owned())];
    let settings = load(file, flags, &all).unwrap();
    assert_eq!(settings.text(Key::Cluster), Some("0x3"));
    assert_eq!(settings.origin(Key::Cluster), Some(&Origin::Flag));
    let settings = load(file, Vec::new(), &all).unwrap();
    assert_eq!(settings.text(Key::Cluster), Some("0x2"));
    assert_eq!(
        settings.origin(Key::Cluster),
        Some(&Origin::Env("DAAS_CLUSTER"))
    );
    let settings = load(file, Vec::new(), &[]).unwrap();
    assert_eq!(settings.text(Key::Cluster), Some("0x1"));
    assert!(matches!(
        settings.origin(Key::Cluster),
        Some(Origin::File(_))
    ));
    assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:1"));
    let settings = load("", Vec::new(), &[]).unwrap();
    assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:7443"));
    assert_eq!(settings.origin(Key::GatewayListen), Some(&Origin::Default));
    assert_eq!(settings.text(Key::Cluster), None);
}

#[test]
fn paths_in_the_file_are_relative_to_it() {
    let settings = load("[keys]\nowner = \"mine.key\"\n", Vec::new(), &[]).unwrap();
    let beside = settings.file().parent().unwrap();
    assert_eq!(
        settings.path(Key::OwnerKey).unwrap(),
        beside.join("mine.key")
    );
    assert_eq!(settings.dir(), beside);
    assert_eq!(
        settings.path(Key::AdminKey).unwrap(),
        beside.join("keys/admin.key")
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (file, expected) in [
        ("clutser = \"0x1\"", "did you mean `cluster`?"),
        ("[gateway]\nlistn = \"x\"", "did you mean `gateway.listen`?"),
        ("listen = \"x\"", "did you mean `gateway.listen`?"),
        ("[gatway]\nlisten = \"x\"", "did you mean `gateway`?"),
        ("[gateway]\nlog = \"info\"", "did you mean `log`?"),
        ("qqq = 1", "`daas config show` lists them"),
        ("gateway.max_in_flight = -1", "is no number of 0 or more"),
        ("gateway.deadline = 5", "needs its unit"),
        ("[keys.owner]\nfile = \"x\"", "`keys.owner`"),
        ("cluster = [1]", "no text, number or boolean"),
        ("cluster = \"1\"", "is not 0x"),
        ("development = \"yes\"", "neither true nor false"),
        ("gateway.listen = \"localhost\"", "no address and port"),
        ("gateway.server = \"http://x\"", "https://"),
        ("log_format = \"xml\"", "neither text nor json"),
        ("nautilus.concurrency = \"many\"", "`nautilus.concurrency`"),
        ("nautilus.concurrency = -1", "`nautilus.concurrency`"),
        ("nautilus.drain = 5", "`nautilus.drain`"),
        ("nautilus.drain = \"5 parsecs\"", "`nautilus.drain`"),
        (
            "nautilus.concurency = 1",
            "did you mean `nautilus.concurrency`?",
        ),
        ("cluster = ", "is no TOML"),
    ] {
        let error = load(file, Vec::new(), &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
    let bad_variable = load("", Vec::new(), &[("DAAS_TOKEN", "mine")]).unwrap_err();
    assert!(
        bad_variable.to_string().contains("from DAAS_TOKEN"),
        "{bad_variable}"
    );
    let none = |_: &str| None;
    assert!(matches!(
        Settings::load_from(None, Vec::new(), none),
        Err(Error::NoHome)
    ));
    let missing = Settings::load_from(Some(Path::new("/nowhere/x.toml")), Vec::new(), none);
    assert!(matches!(missing, Err(Error::Read { .. })));
}

#[test]
fn nautilus_is_as_the_settings_say() {
    let layout = Layout::new("/d");
    let config = |file: &str| {
        let settings = load(file, Vec::new(), &[]).unwrap();
        settings.nautilus(&layout).unwrap()
    };
    let defaults = nautilus::Config::new("/d/nautilus/journal.db");
    // What is shown as a default is one.
    assert_eq!(config(""), defaults);
    let file = "[nautilus]\nconcurrency = 3\nwatch_window = \"250ms\"\nprune_interval = \"0s\"\n";
    let mut expected = defaults;
    expected.concurrency = 3;
    expected.watch_window = std::time::Duration::from_millis(250);
    expected.prune_interval = std::time::Duration::ZERO;
    assert_eq!(config(file), expected);
    // And every one can be set.
    let fields = serde_json::to_value(&expected).unwrap();
    let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
    for field in fields.as_object().unwrap().keys() {
        let name = format!("nautilus.{field}");
        assert!(field == "journal" || names.contains(&&*name), "{name}");
    }
}

#[test]
fn the_gateway_is_as_the_settings_say() {
    let gateway = |file: &str| load(file, Vec::new(), &[]).unwrap().gateway().unwrap();
    // What is shown as a default is one.
    let defaults = gateway::Config::default();
    assert_eq!(gateway(""), defaults);
    let file = "[gateway]\nlisten = \"127.0.0.1:1\"\ndeadline = \"20s\"\nmax_in_flight = 7\nserver_timing = false\n";
    let mut expected = defaults.clone();
    expected.deadline = std::time::Duration::from_secs(20);
    expected.max_in_flight = 7;
    expected.server_timing = false;
    assert_eq!(gateway(file), expected);
    // And every one can be set.
    let fields = serde_json::to_value(&defaults).unwrap();
    let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
    for field in fields.as_object().unwrap().keys() {
        let name = format!("gateway.{field}");
        let is_elsewhere = field == "discovery_token";
        assert!(is_elsewhere || names.contains(&&*name), "{name}");
    }
    for (file, expected) in [
        ("gateway.deadline = \"20\"", "`gateway.deadline`"),
        ("gateway.deadline = 20", "`gateway.deadline`"),
        (
            "gateway.max_in_flight = \"many\"",
            "`gateway.max_in_flight`",
        ),
        ("gateway.max_in_flight = -1", "`gateway.max_in_flight`"),
        ("gateway.server_timing = \"no\"", "`gateway.server_timing`"),
        (
            "gateway.max_in_flight = 0",
            "max_in_flight must be 1 to 1048576",
        ),
        (
            "gateway.max_buffered_bytes = 1000",
            "max_buffered_bytes must be",
        ),
        (
            "gateway.max_inflight = 1",
            "did you mean `gateway.max_in_flight`?",
        ),
        ("gateway.discovery_token = \"0x1\"", "no setting"),
    ] {
        let error = load(file, Vec::new(), &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn what_a_running_gateway_takes_is_what_is_said_of_it() {
    let fixed = gateway::Config::FIXED;
    for key in Key::ALL {
        let Some(field) = key.name().strip_prefix("gateway.") else {
            continue;
        };
        if matches!(key.kind(), Kind::Gateway) {
            let is_fixed = fixed.contains(&field);
            assert_eq!(key.change() == Change::Restart, is_fixed, "{field}");
        }
    }
    let nautilus = |key: &&Key| matches!(key.kind(), Kind::Nautilus);
    for key in Key::ALL.iter().filter(nautilus) {
        assert_eq!(key.change(), Change::Reload, "{}", key.name());
    }
}

#[test]
fn only_what_needs_no_restart_is_adopted() {
    let mut running = load("", Vec::new(), &[]).unwrap();
    let file =
        "log = \"debug\"\nchain = \"0x5\"\n[gateway]\nmax_in_flight = 7\nread_retention = \"5s\"\n";
    let new = load(file, Vec::new(), &[]).unwrap();
    running.adopt(&new);
    assert_eq!(running.text(Key::Log), Some("debug"));
    assert_eq!(running.text(Key::GatewayMaxInFlight), Some("7"));
    assert_eq!(running.text(Key::Chain), None);
    assert_eq!(running.text(Key::GatewayReadRetention), Some("1m"));
    running.adopt(&load("", Vec::new(), &[]).unwrap());
    assert_eq!(running.text(Key::Log), None);
}

#[test]
fn every_variable_is_named_once() {
    let mut names: Vec<_> = Key::ALL
        .iter()
        .map(|key| key.env())
        .filter(|env| !env.is_empty())
        .collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    // What a directory is stands in the directory; all else can be set from outside.
    let without: Vec<_> = Key::ALL
        .iter()
        .filter(|key| key.env().is_empty())
        .map(|key| key.name())
        .collect();
    assert_eq!(without, ["development", "chain"]);
    let variables = [("DAAS_GATEWAY_MAX_IN_FLIGHT", "7")];
    let settings = load("gateway.max_in_flight = 9", Vec::new(), &variables).unwrap();
    assert_eq!(settings.gateway().unwrap().max_in_flight, 7);
}

#[test]
fn who_has_no_settings_is_told_where_they_would_be() {
    let dir = tempfile::tempdir().unwrap();
    let none = |_: &str| None;
    let missing = |path: &Path| {
        let flags = vec![(Key::Dir, path.to_string_lossy().into_owned())];
        let settings = Settings::load_from(None, flags, none).unwrap();
        settings
            .required::<String>(Key::Token)
            .unwrap_err()
            .to_string()
    };
    let nowhere = missing(&dir.path().join("nowhere"));
    assert!(
        nowhere.contains("nowhere/daas.toml, of which not even the directory"),
        "{nowhere}"
    );
    let empty = missing(dir.path());
    assert!(empty.contains("daas.toml, which does not exist"), "{empty}");
    std::fs::write(dir.path().join(FILE_NAME), "").unwrap();
    let unset = missing(dir.path());
    assert!(unset.ends_with("daas.toml"), "{unset}");
}

#[test]
fn updating_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    update(
        &path,
        &[
            (Key::Cluster, "0x1".into()),
            (Key::GatewayListen, "127.0.0.1:1".into()),
        ],
    )
    .unwrap();
    update(&path, &[(Key::GatewayListen, "127.0.0.1:2".into())]).unwrap();
    let settings = Settings::load_from(Some(&path), Vec::new(), |_| None).unwrap();
    assert_eq!(settings.text(Key::Cluster), Some("0x1"));
    assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:2"));
}
