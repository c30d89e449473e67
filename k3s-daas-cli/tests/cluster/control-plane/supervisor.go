package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// run starts everything, says so, and obeys until it is told to end or a component dies.
func run(o options) error {
	ctx, end := context.WithCancelCause(context.Background())
	commands := make(chan string)
	listen(o, end, commands)

	if o.dir == "" {
		scratch, err := os.MkdirTemp("", "control-plane-")
		if err != nil {
			return err
		}
		o.dir = scratch
		defer os.RemoveAll(scratch)
	}
	l := layout(o.dir)
	if err := os.MkdirAll(l.path("logs"), 0o700); err != nil {
		return err
	}
	// For the paths of sockets.
	if err := os.Chdir(o.dir); err != nil {
		return err
	}
	port, release, err := reserve()
	if err != nil {
		return err
	}
	defer release()
	server := fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := writeIdentities(l, server); err != nil {
		return err
	}
	if err := writeStatic(l); err != nil {
		return err
	}

	s := &supervisor{ctx: ctx, end: end, layout: l, children: map[string]*child{}}
	defer s.killAll()
	err = s.serve(o, port, server, commands)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errAsked) {
		return nil
	}
	return err
}

type supervisor struct {
	ctx      context.Context
	end      context.CancelCauseFunc
	layout   layout
	children map[string]*child
}

func (s *supervisor) serve(o options, port int, server string, commands <-chan string) error {
	begun := time.Now()
	cluster, err := newCluster(s.layout)
	if err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	s.add(etcdName, own, []string{etcdName}, listens("unix", etcdSocket))
	s.add(apiserverName, own, append([]string{apiserverName}, apiserverArguments(s.layout, port, o.apiserve)...), cluster.apiserverReady)
	s.add(controllersName, own, append([]string{controllersName}, controllerArguments(s.layout)...), cluster.controllersReady)
	s.add(schedulerName, own, append([]string{schedulerName}, schedulerArguments(s.layout)...), ready)
	for _, name := range []string{etcdName, apiserverName, schedulerName, controllersName} {
		if err := s.start(name); err != nil {
			return err
		}
	}
	answer := map[string]any{
		"kubeconfig": s.layout.kubeconfig("admin"),
		"server":     server,
		"auditLog":   s.layout.auditLog(),
		"dir":        string(s.layout),
		"nodes":      0,
	}
	if o.kwok != "" && o.nodes > 0 {
		if err := s.serveNodes(cluster, o); err != nil {
			return err
		}
		answer["nodes"] = o.nodes
	}
	if o.sample {
		port, release, err := reserve()
		if err != nil {
			return err
		}
		defer release()
		s.add(sampleName, own, append([]string{sampleName}, sampleArguments(s.layout, port)...), cluster.sampleReady)
		if err := cluster.registerSample(s.ctx, s.layout, port); err != nil {
			return err
		}
		if err := s.start(sampleName); err != nil {
			return err
		}
	}
	if o.webhook {
		port, err := freePort()
		if err != nil {
			return err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		s.add(webhookName, own, append([]string{webhookName}, webhookArguments(s.layout, address)...), listens("tcp", address))
		if err := s.start(webhookName); err != nil {
			return err
		}
		answer["webhook"] = "https://" + address
	}
	answer["pids"], answer["seconds"] = s.pids(), time.Since(begun).Seconds()
	say(answer)
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case command := <-commands:
			s.obey(command)
		}
	}
}

// serveNodes has kwok play some nodes.
func (s *supervisor) serveNodes(cluster *cluster, o options) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	if err := writeKwokConfig(s.layout, o.kwok); err != nil {
		return err
	}
	if err := cluster.makeNodes(s.ctx, o.nodes, port); err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return cluster.nodesReady(ctx, o.nodes) }
	s.add(kwokName, o.kwok, kwokArguments(s.layout, port), ready)
	s.children[kwokName].before = cluster.freeNodes
	return s.start(kwokName)
}

// obey carries one command out and answers it.
func (s *supervisor) obey(command string) {
	words := strings.Fields(command)
	begun := time.Now()
	err := fmt.Errorf("unknown command %q", command)
	if len(words) == 2 && s.children[words[1]] != nil {
		name := words[1]
		switch words[0] {
		case "start":
			err = s.start(name)
		case "stop":
			err = s.stop(name, syscall.SIGTERM)
		case "kill":
			err = s.stop(name, syscall.SIGKILL)
		case "restart":
			if err = s.stop(name, syscall.SIGTERM); err == nil {
				err = s.start(name)
			}
		case "replace":
			if err = s.stop(name, syscall.SIGKILL); err == nil {
				err = s.start(name)
			}
		}
	}
	answer := map[string]any{"command": command, "seconds": time.Since(begun).Seconds(), "pids": s.pids()}
	if err != nil {
		answer["error"] = err.Error()
	}
	say(answer)
}

// child is one component.
type child struct {
	name      string
	program   string
	arguments []string
	before    func(context.Context) error // what is done before each start, if anything
	ready     func(context.Context) error

	process *exec.Cmd // nil while it does not run
	ended   chan struct{}
	asked   atomic.Bool // whether it is to end
}

func (s *supervisor) add(name, program string, arguments []string, ready func(context.Context) error) {
	s.children[name] = &child{name: name, program: program, arguments: arguments, ready: ready}
}

// start starts a component and waits until it is ready.
func (s *supervisor) start(name string) error {
	c := s.children[name]
	if c.process != nil {
		return fmt.Errorf("%s runs already", name)
	}
	if c.before != nil {
		if err := c.before(s.ctx); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(s.layout.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(c.program, c.arguments...)
	process.Dir = string(s.layout)
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	c.process, c.ended = process, ended
	c.asked.Store(false)
	go func() {
		err := process.Wait()
		// Before anybody who waits for the end starts it again.
		asked := c.asked.Load()
		close(ended)
		if !asked {
			s.end(fmt.Errorf("%s ended by itself (%v); its log ends with\n%s", name, err, s.logTail(name)))
		}
	}()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := c.ready(ctx); err != nil {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		return fmt.Errorf("%s is not ready after %s: %w; its log ends with\n%s", name, patience, err, s.logTail(name))
	}
	return nil
}

// logTail is the end of a component's log.
func (s *supervisor) logTail(name string) string {
	text, err := os.ReadFile(s.layout.log(name))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// stop ends a component and waits until it has ended.
func (s *supervisor) stop(name string, with syscall.Signal) error {
	c := s.children[name]
	if c.process == nil {
		return fmt.Errorf("%s does not run", name)
	}
	c.asked.Store(true)
	if err := c.process.Process.Signal(with); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-time.After(patience):
		return fmt.Errorf("%s does not end", name)
	}
	c.process = nil
	return nil
}

func (s *supervisor) killAll() {
	for _, c := range s.children {
		if c.process != nil {
			c.asked.Store(true)
			_ = c.process.Process.Kill()
		}
	}
	for _, c := range s.children {
		if c.process != nil {
			<-c.ended
		}
	}
}

func (s *supervisor) pids() map[string]int {
	pids := map[string]int{"control-plane": os.Getpid()}
	for name, c := range s.children {
		if c.process != nil {
			pids[name] = c.process.Process.Pid
		}
	}
	return pids
}

// listen turns signals, standard input and the parent's death into commands and the end.
func listen(o options, end context.CancelCauseFunc, commands chan<- string) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		for got := range signals {
			if got == syscall.SIGHUP {
				commands <- "replace " + apiserverName
			} else {
				end(errAsked)
			}
		}
	}()
	if o.stay {
		return
	}
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		end(errAsked)
	}()
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- lines.Text()
		}
		end(errAsked)
	}()
}

// reserve takes a free loopback port for a program that listens with SO_REUSEPORT, as often as it is started.
//
// The port is bound here and never listened on. It is bound alone first, so that two who reserve never share one.
func reserve() (port int, release func(), err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, err
	}
	release = func() { _ = unix.Close(socket) }
	if err = unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err != nil {
		release()
		return 0, nil, err
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		release()
		return 0, nil, err
	}
	return name.(*unix.SockaddrInet4).Port, release, nil
}

var errAsked = errors.New("asked to end")

// patience is how long one component may take to start or to end.
const patience = 60 * time.Second
