//go:build unix

package testtoken

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serverAddress is the variable in which p11-kit's client module finds the address of its
// server. The module reads it once, so that a process has one server.
const serverAddress = "P11_KIT_SERVER_ADDRESS"

// A P11KitServer is a running p11-kit server, which provides the tokens of SoftHSM to
// other processes over a socket.
type P11KitServer struct {
	socket  string
	command *exec.Cmd
}

// server is shared by concurrent tests, because there is one address.
var server struct {
	mu     sync.Mutex
	users  int
	shared P11KitServer
}

// NewP11Kit creates a SoftHSM token that is accessed through p11-kit's remoting: a client
// module and a server, which starts a process each time a client initialises its module.
// The test's package must call Main.
func NewP11Kit(t testing.TB) PKCS11 {
	t.Helper()
	token, _ := NewP11KitServer(t)
	return token
}

// NewP11KitServer is NewP11Kit for a test that kills the server and starts it again.
func NewP11KitServer(t testing.TB) (PKCS11, *P11KitServer) {
	t.Helper()
	client := find(t, "p11-kit-client.so", "p11-kit-modules", "pkcs11")
	if _, err := exec.LookPath("p11-kit"); err != nil {
		missing(t, "p11-kit", "p11-kit")
	}
	token := NewSoftHSM(t)
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.users == 0 {
		server.shared = P11KitServer{socket: socketOf(os.Getenv(serverAddress))}
		server.shared.Start(t)
	}
	server.users++
	t.Cleanup(func() {
		server.mu.Lock()
		defer server.mu.Unlock()
		if server.users--; server.users == 0 {
			server.shared.Kill(t)
		}
	})
	token.Module, token.Whole, token.Another = client, false, NewP11Kit
	return token, &server.shared
}

const addressPrefix = "unix:path="

func socketOf(address string) string { return address[min(len(address), len(addressPrefix)):] }

// setServerAddress is for Main. dir belongs to the process.
func setServerAddress(dir string) {
	os.Setenv(serverAddress, addressPrefix+filepath.Join(dir, "p11-kit"))
}

// Start starts the server and returns when it accepts connections. The server ends by
// itself when it has had no connection for an hour.
func (s *P11KitServer) Start(t testing.TB) {
	t.Helper()
	softHSM := find(t, "libsofthsm2.so", "softhsm2", "softhsm")
	os.Remove(s.socket) // a killed server leaves its socket
	s.command = exec.Command("p11-kit", "server", "--foreground", "--timeout", "3600", "--provider", softHSM, "--name", s.socket, "pkcs11:")
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			c.Close()
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatal(fmt.Errorf("p11-kit server takes no connections: %w", err))
		}
	}
}

// Kill kills the server and its processes for clients.
func (s *P11KitServer) Kill(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("killing p11-kit server: %v", err)
	}
	s.command.Wait() // the error reports that the process was killed
}
