// Command control-plane runs a Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler, each in a process of its own made from this same binary, and kwok as the kubelet if there is one.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	_ "time/tzdata" // CronJobs with a time zone

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	// The kernel signals a child when the *thread* that started it ends, so all are started by the main thread,
	// which lives as long as the process.
	runtime.LockOSThread()
	if len(os.Args) > 1 {
		arguments := os.Args
		os.Args = arguments[1:] // what a component takes for its own command line
		switch arguments[1] {
		case etcdName:
			runEtcd()
		case apiserverName:
			os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
		case controllersName:
			os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
		case schedulerName:
			os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
		case sampleName:
			os.Exit(runSample())
		case webhookName:
			fmt.Fprintf(os.Stderr, "error: %v\n", runWebhook(arguments[2], arguments[3], arguments[4]))
			os.Exit(1)
		}
		os.Args = arguments
	}
	options, err := parse(os.Args[1:])
	switch {
	case err == flag.ErrHelp:
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "error: %v (see --help)\n", err)
		os.Exit(2)
	}
	if err := run(options); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	dir      string   // everything that is written goes below it; "" for a new one that is removed at the end
	kwok     string   // kwok's binary, or "" for no kubelet
	nodes    int      // how many nodes kwok plays
	sample   bool     // whether the aggregated API runs
	webhook  bool     // whether the webhook runs
	stay     bool     // do not end with standard input or the parent
	apiserve []string // further arguments of kube-apiserver
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("control-plane", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // it would say everything twice
	flags.Usage = func() {}
	flags.StringVar(&o.dir, "dir", "", "directory for data, certificates, kubeconfigs and logs; goes on with what is in it (default a new one that is removed at the end)")
	flags.StringVar(&o.kwok, "kwok", besides("kwok"), "kwok's binary, which plays the kubelet")
	flags.IntVar(&o.nodes, "nodes", 1, "nodes that kwok plays; none without kwok")
	flags.BoolVar(&o.sample, "sample-apiserver", false, "run an aggregated API too: flunders and fischers in wardle.example.com")
	flags.BoolVar(&o.webhook, "webhook", false, "run an admission webhook too: its URL is printed as \"webhook\", its authority is pki/ca.crt; paths /allow, /deny, /delay/12s; its log has one JSON line for each review")
	flags.BoolVar(&o.stay, "stay", false, "run until SIGTERM or SIGINT, whatever becomes of standard input and of the parent")
	flags.Func("apiserver-arg", "further argument of kube-apiserver, such as --runtime-config=api/all=true (repeatable)", func(value string) error {
		o.apiserve = append(o.apiserve, value)
		return nil
	})
	if err := flags.Parse(arguments); err != nil {
		if err == flag.ErrHelp {
			fmt.Print(usage)
			flags.SetOutput(os.Stdout)
			flags.PrintDefaults()
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, path := range []*string{&o.dir, &o.kwok} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = absolute
	}
	return o, nil
}

// besides is the path of a program in the directory of this one, or "" if it is not there.
func besides(name string) string {
	own, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(own), name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// say writes one line of JSON to standard output.
func say(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

const usage = `A Kubernetes control plane for tests, on free loopback ports.

Prints one line of JSON when it is ready:
  {"kubeconfig": ..., "server": ..., "auditLog": ..., "pids": {...}, ...}
and then takes commands on standard input, one a line, each answered by a line of JSON:
  restart NAME   SIGTERM, then started again on the same port; answered when it is ready
  stop NAME      SIGTERM; answered when it has ended
  kill NAME      SIGKILL; answered when it has ended
  start NAME     answered when it is ready
  replace NAME   kill and start
NAME is etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, sample-apiserver or webhook.
SIGHUP is "replace kube-apiserver". Ends, with all its children, when standard input is closed, when its
parent dies, or on SIGTERM.

`
