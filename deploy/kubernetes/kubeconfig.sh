#!/bin/sh
# Prints a kubeconfig of Nautilus's account, for a Nautilus outside of the cluster:
#   deploy/kubernetes/kubeconfig.sh ADMIN_KUBECONFIG > nautilus.kubeconfig
set -eu
admin=${1:?the kubeconfig of an administrator}
kubectl() { command kubectl --kubeconfig "$admin" "$@"; }

# Kubernetes fills the Secret in a moment.
tries=0
while token=$(kubectl --namespace daas get secret nautilus --output 'jsonpath={.data.token}') && [ -z "$token" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "the secret daas/nautilus has no token: does this cluster make tokens of service accounts?" >&2
        exit 1
    fi
    sleep 0.5
done
ca=$(kubectl --namespace daas get secret nautilus --output 'jsonpath={.data.ca\.crt}')
server=$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}')
cat <<YAML
apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster:
    server: $server
    certificate-authority-data: $ca
users:
- name: nautilus
  user:
    token: $(printf %s "$token" | base64 -d)
contexts:
- name: nautilus
  context:
    cluster: cluster
    user: nautilus
current-context: nautilus
YAML
