package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom.example/internal/cli"
	"strongroom.example/internal/testing/kmsclient"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/internal/testing/testtoken"
)

// tokens runs tests with the configuration of SoftHSM.
type tokens struct{ *testing.M }

// Run runs the tests.
func (m tokens) Run() int { return testtoken.Main(m.M) }

func TestMain(m *testing.M) {
	testscript.Main(tokens{m}, map[string]func(){"strongroom": func() { os.Exit(cli.Main(os.Args[1:])) }})
}

// TestScripts runs terminal sessions over software keys: each file of testdata/script is
// one.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil) }

// TestTPMScripts runs those over an emulated TPM, whose URI is $TPM. $NEW_TPM is another one.
func TestTPMScripts(t *testing.T) {
	uri := func() string { return "tpm:?device=unix:" + testtoken.NewSWTPM(t).Socket() }
	runScripts(t, "testdata/tpm", map[string]string{"TPM": uri(), "NEW_TPM": uri()})
}

// runScripts runs the scripts of a directory with additional variables.
func runScripts(t *testing.T, dir string, variables map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			for name, value := range variables {
				e.Setenv(name, value)
			}
			e.Setenv("STRONGROOM_CONFIG", e.WorkDir+"/config.json")
			return os.WriteFile(e.WorkDir+"/config.json", []byte("{}\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "kms": kms},
	})
}

// exits is the command "exits CODE PROGRAM ARG...", which runs a program and checks its exit
// code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// listens reports whether a process accepts connections on a Unix socket. The file alone does
// not show it, because bind makes the file and listen comes after it.
func listens(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// kms is the command "kms SOCKET ACTION PARAMETERS", which calls a server on a Unix socket,
// and writes the response, or the code of its error, to the file response. It waits for the
// server.
func kms(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: kms SOCKET ACTION PARAMETERS")
	}
	socket := ts.MkAbs(args[0])
	poll.Until(ts, "the server listens", func() bool { return listens(socket) })
	c := kmsclient.Unix(socket, 1)
	defer c.HTTP.CloseIdleConnections()
	var response json.RawMessage
	err := c.Call(context.Background(), args[1], json.RawMessage(args[2]), &response)
	var refused *kmsclient.Error
	switch {
	case errors.As(err, &refused) && neg:
		response = []byte(refused.Code)
	case err != nil:
		ts.Fatalf("kms: %v", err)
	case neg:
		ts.Fatalf("kms: the server did not refuse %s: %s", args[1], response)
	}
	ts.Check(os.WriteFile(ts.MkAbs("response"), append(response, '\n'), 0o600))
}
