//! `docs/limits.md` against the settings.

use std::collections::BTreeMap;
use std::path::Path;

use k3s_daas_cli::settings::{Key, Settings};

#[test]
fn the_documented_limits_are_those_of_the_program() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for pair in cells.windows(2) {
            let name = pair[0].trim_matches('`');
            if pair[0].starts_with("`gateway.") && pair[1].starts_with('`') {
                let default = pair[1].trim_matches('`').to_owned();
                assert_eq!(documented.insert(name.to_owned(), default), None, "{name}");
            }
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().to_string_lossy().into_owned();
    let settings = Settings::load_from(None, vec![(Key::Dir, dir)], |_| None).unwrap();
    for key in Key::ALL {
        let name = key.name();
        let is_limit = name.starts_with("gateway.")
            && ["max_", "_timeout", "_per_", "_burst", "patience"]
                .iter()
                .any(|part| name.contains(part))
            // How long the gateway's own question may take is no limit of a client's.
            && name != "gateway.probe_timeout";
        match documented.remove(name) {
            Some(default) => assert_eq!(settings.text(*key), Some(default.as_str()), "{name}"),
            None => assert!(!is_limit, "{name} is not in docs/limits.md"),
        }
    }
    assert_eq!(documented, BTreeMap::new(), "no settings");
}
