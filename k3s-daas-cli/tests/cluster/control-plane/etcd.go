package main

import (
	"fmt"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves etcd on a socket in the working directory until it is killed.
func runEtcd() {
	socket := func(name string) []url.URL { return []url.URL{{Scheme: "unix", Host: name}} }
	config := embed.NewConfig()
	config.Dir = "etcd"
	config.ListenClientUrls, config.ListenPeerUrls = socket(etcdSocket), socket("peer.sock")
	// Nobody calls these, since there is one member and one client, but etcd wants them to look like ports.
	config.AdvertiseClientUrls, config.AdvertisePeerUrls = socket("client:1"), socket("peer:1")
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// The data are as short-lived as the tests.
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration // else it logs every request
	server, err := embed.StartEtcd(config)
	if err == nil {
		<-server.Server.ReadyNotify()
		err = <-server.Err()
	}
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	os.Exit(1)
}

// etcdSocket is relative, since the path of a socket may have no more than 107 bytes.
const etcdSocket = "etcd.sock"
