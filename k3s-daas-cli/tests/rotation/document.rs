//! What docs/operating.md says of rotation, done as it stands there.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::support::certificate::write;
use crate::support::{DAAS, Process, Run, command, free_address, kubectls};

#[test]
fn rotation_as_it_is_documented_works() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut cluster = command(DAAS);
    cluster.env("HOME", directory.path());
    cluster.args(["memory-cluster", "--listen", &free_address(), "--dir"]);
    cluster.arg(at("cluster"));
    let _cluster = Process::start(cluster, &at("cluster.log"), "export KUBECONFIG=");
    let (_, kubectl) = kubectls().pop().unwrap();
    std::fs::create_dir(at("bin")).unwrap();
    symlink(kubectl, at("bin/kubectl")).unwrap();
    let systemctl = write(at("bin/systemctl"), SYSTEMCTL);
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o700)).unwrap();
    write(at("passphrase"), "correct horse battery staple\n");
    let script = format!("{SET_UP}\n{}\n{LOOK}", rotation(DOCUMENT));
    write(at("script"), &script);

    let ours = Path::new(DAAS).parent().unwrap();
    let system = std::env::var_os("PATH").unwrap();
    let path = [at("bin"), ours.to_owned()];
    let path = std::env::join_paths(path.into_iter().chain(std::env::split_paths(&system)));
    let mut shell = command("timeout");
    shell
        .args(["120", "bash"])
        .arg(at("script"))
        .env("HOME", directory.path())
        .env("PATH", path.unwrap())
        .env("RUNNING", directory.path())
        .env("LISTEN", free_address())
        .env("DAAS_DIR", at("daas"))
        .env("DAAS_PASSPHRASE_FILE", at("passphrase"))
        .env("DAAS_NAUTILUS_KUBECONFIG", at("cluster/kubeconfig"))
        .env("CLUSTER", at("cluster/kubeconfig"));
    let run = Run::of(&mut shell);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    for said in ["first", "ALL DONE", "VERIFIED      yes"] {
        assert!(run.out.contains(said), "{said}: {}\n{}", run.out, run.err);
    }
}

/// The blocks of the section.
fn rotation(document: &str) -> String {
    let (_, section) = document.split_once("\n## Rotation\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let blocks: Vec<&str> = blocks
        .map(|block| block.split_once("```").unwrap().0)
        .collect();
    assert_eq!(blocks.len(), 7, "{blocks:?}");
    blocks.concat()
}

/// As docs/production.md does, with the gateway's own authority.
const SET_UP: &str = r#"
set -euo pipefail
trap 'systemctl stop daas-gateway daas-nautilus' EXIT
for role in admin owner gateway operator executor encryption; do
  daas key new "$DAAS_DIR/keys/$role.key"
done
of() { daas key show "$DAAS_DIR/keys/$1.key" -o name | cut -d/ -f2; }
daas cluster create --name shop --fund "$DAAS_DIR/keys/owner.key=10SUI" --fund "$DAAS_DIR/keys/operator.key=10SUI"
daas executor register
printf '[gateway]\nlisten = "%s"\n' "$LISTEN" >> "$DAAS_DIR/daas.toml"
mine=$(echo '[]' | daas token issue --rules - --owner "$(of gateway)" --for 365d -o name | cut -d/ -f2)
printf 'token = "%s"\n' "$mine" >> "$DAAS_DIR/daas.toml"
token=$(daas token issue --role edit --namespace shop --owner "$(of owner)" --save -o name | cut -d/ -f2)
daas token delegate "$(of gateway)"
daas token stake 2SUI
kubectl --kubeconfig "$CLUSTER" create namespace shop
kubectl --kubeconfig "$CLUSTER" create rolebinding daas --clusterrole=edit --user="seal:$token" --namespace shop
systemctl start daas-nautilus daas-gateway
daas login
daas kubeconfig > "$DAAS_DIR/user.kubeconfig"
kubectl --kubeconfig "$DAAS_DIR/user.kubeconfig" --namespace shop create configmap first --from-literal=a=b
"#;

/// Afterwards the new keys serve, the old ones do not, and everything holds.
const LOOK: &str = r#"
kubectl --kubeconfig "$DAAS_DIR/user.kubeconfig" --namespace shop create configmap last --from-literal=a=b
kubectl --kubeconfig "$DAAS_DIR/user.kubeconfig" --namespace shop get configmap first
if DAAS_OWNER_KEY="$DAAS_DIR/keys/owner.key" daas login --token "$old"; then exit 9; fi
[ "$(daas executor list -o json | grep -c '"active": true')" = 1 ]
[ "$(grep -c 'BEGIN CERTIFICATE' "$DAAS_DIR/gateway/ca.crt")" = 1 ]
daas doctor
daas audit verify
echo ALL DONE
"#;

/// Enough of it: starts and stops the two services, in the background.
const SYSTEMCTL: &str = r#"#!/usr/bin/env bash
set -euo pipefail
verb=$1; shift
for unit in "$@"; do
  at=$RUNNING/$unit
  if [ "$verb" = reload ]; then
    kill -HUP "$(cat "$at.pid")"
    continue
  fi
  if [ "$verb" != start ] && [ -e "$at.pid" ]; then
    pid=$(cat "$at.pid")
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm "$at.pid"
  fi
  if [ "$verb" != stop ]; then
    # What the one before said is no sign of this one.
    : > "$at.log"
    "$unit" < /dev/null > "$at.log" 2>&1 &
    echo $! > "$at.pid"
    until grep -q -e 'serving ' -e 'executing on ' "$at.log"; do
      kill -0 "$(cat "$at.pid")" || { cat "$at.log" >&2; exit 1; }
      sleep 0.05
    done
  fi
done
"#;

const DOCUMENT: &str = include_str!("../../../docs/operating.md");
