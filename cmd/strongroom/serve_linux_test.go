package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"strongroom.example/internal/testing/kmsclient"
	"strongroom.example/internal/testing/poll"
)

// clientsFile writes a file of clients by which this user is the owner.
func clientsFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "clients.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"peers": [{"uid": %d, "principal": "owner"}]}`, os.Getuid()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServeTerminated sends SIGTERM to a server under load. It exits with 0, each response
// has its audit record, and the vault is whole.
func TestServeTerminated(t *testing.T) {
	dir, flags := newVault(t)
	socket := filepath.Join(dir, "s")
	cmd, stderr := command(append(flags, "serve", "--listen", "unix:"+socket, "--clients", clientsFile(t, dir))...)
	start(t, cmd)
	poll.Until(t, "the server listens", func() bool { return listens(socket) })
	c := kmsclient.Unix(socket, 8)
	defer c.HTTP.CloseIdleConnections()
	var keys struct{ Keys []struct{ KeyID string } }
	if err := c.Call(t.Context(), "ListKeys", struct{}{}, &keys); err != nil || len(keys.Keys) != 1 {
		t.Fatalf("ListKeys returns %v, %v", keys, err)
	}
	var callers sync.WaitGroup
	var n atomic.Int64
	ids := make(chan string, 1<<20)
	for range 8 {
		callers.Go(func() {
			for {
				var out struct{ RequestID string }
				if c.Call(context.Background(), "Encrypt", map[string]string{"KeyId": keys.Keys[0].KeyID, "Plaintext": "cGxhaW4="}, &out) != nil {
					return
				}
				ids <- out.RequestID
				n.Add(1)
			}
		})
	}
	poll.Until(t, "requests run", func() bool { return n.Load() > 200 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server: %v\n%s", err, stderr)
	}
	callers.Wait()
	close(ids)
	recorded := make(map[string]bool)
	for line := range strings.Lines(run(t, "", append(flags, "audit", "list", "--operation", "Encrypt", "-o", "json")...)) {
		var r struct {
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		recorded[r.RequestID] = true
	}
	responses := 0
	for id := range ids {
		responses++
		if !recorded[id] {
			t.Fatalf("the response %s has no record", id)
		}
	}
	if responses != len(recorded) {
		t.Errorf("%d records, and %d responses: a request that was done had no response", len(recorded), responses)
	}
	run(t, "", append(flags, "status", "--check", "--wait", "0s")...)
	t.Logf("%d responses, all of them recorded", responses)
}

// TestServeActivated serves a socket that the service manager opened, and notifies it.
func TestServeActivated(t *testing.T) {
	dir, flags := newVault(t)
	socket, notify := filepath.Join(dir, "s"), filepath.Join(dir, "notify")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	args := append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, "strongroom"}, flags...)
	cmd := exec.Command("sh", append(args, "serve", "--listen", "systemd:kms", "--clients", clientsFile(t, dir))...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=kms", "NOTIFY_SOCKET="+notify)
	cmd.ExtraFiles = []*os.File{f}
	start(t, cmd)
	state := make([]byte, 64)
	n, err := manager.Read(state)
	if err != nil || string(state[:n]) != "READY=1" {
		t.Fatalf("the service manager has %q, %v", state[:n], err)
	}
	c := kmsclient.Unix(socket, 1)
	defer c.HTTP.CloseIdleConnections()
	if err := c.Call(t.Context(), "GetServiceStatus", struct{}{}, nil); err != nil {
		t.Error(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the server removed the socket of the service manager: %v", err)
	}
}
