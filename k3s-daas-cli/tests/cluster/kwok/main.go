// Command kwok is sigs.k8s.io/kwok with its usual stages: `kwok print-config` prints a configuration with which nodes
// are Ready and pods Running at once, and each container's log is one given file. All else is kwok's own command line.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "print-config" {
		flags := flag.NewFlagSet("print-config", flag.ExitOnError)
		podLog := flags.String("pod-log", "", "file that is every container's log, in the form of a container runtime's")
		_ = flags.Parse(os.Args[2:])
		for _, stage := range stages {
			fmt.Printf("---\n%s\n", stage)
		}
		fmt.Printf(clusterLogs, *podLog)
		return
	}
	if err := kwok(); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// kwok does what kwok's own main function does.
func kwok() error {
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		return err
	}
	command := cmd.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	return command.ExecuteContext(ctx)
}

var stages = []string{
	nodefast.DefaultNodeInit,
	heartbeat.DefaultNodeHeartbeatWithLease,
	podfast.DefaultPodReady,
	podfast.DefaultPodComplete,
	podfast.DefaultPodDelete,
}

const clusterLogs = `---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata:
  name: all
spec:
  logs:
  - logsFile: %s
    follow: false
`
