package testtoken

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A SWTPM is a software TPM 2.0 in a process of its own, on unix sockets that it
// inherits: there is no port to race for and no start to wait for. Its state is a
// directory. One client at a time is served, and there is no resource manager. Its
// methods are safe for concurrent use.
type SWTPM struct {
	dir  string
	flag string // how it starts

	mu      sync.Mutex
	process *exec.Cmd // nil while it is off
	ended   chan struct{}
}

var errRunning = errors.New("testtoken: swtpm runs already")

// NewSWTPM starts a fresh TPM that ends with the test. PCRs 0 to 7 have a measurement of
// each start, as firmware leaves them.
func NewSWTPM(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, "", fresh)
}

// Clone copies the state of a TPM that is off into a second one, and starts that:
// what restoring the snapshot of a virtual machine does.
func (s *SWTPM) Clone(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, s.dir, fresh)
}

// The ways a TPM starts: as after its power was off, or in the middle of what it did when
// its state was frozen.
const (
	fresh  = "not-need-init,startup-clear"
	thawed = "not-need-init"
)

func startSWTPM(t testing.TB, state, flag string) *SWTPM {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		missing(t, "swtpm", "swtpm")
	}
	// Not t.TempDir: its names are too long for the path of a socket.
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	s := &SWTPM{dir: dir, flag: flag}
	t.Cleanup(func() {
		s.Kill()
		os.RemoveAll(dir)
	})
	for _, name := range stateFiles(state, flag) {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(state, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// stateFiles names what a TPM starts from.
func stateFiles(state, flag string) []string {
	const lasting, passing = "tpm2-00.permall", "tpm2-00.volatilestate"
	switch {
	case state == "":
		return nil
	case flag == thawed:
		return []string{lasting, passing}
	}
	return []string{lasting}
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

// missing skips a test whose device is not installed, or fails it in CI.
func missing(t testing.TB, what, debian string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: install the package %s", what, debian)
	}
	t.Skipf("%s is missing: install the package %s", what, debian)
}

// Socket is the path of the socket that takes TPM commands. Beside it, with the
// suffix ".ctrl", is the control socket, where the tools of the TPM software stack
// look for it.
func (s *SWTPM) Socket() string { return filepath.Join(s.dir, "d") }

// Start turns the TPM on, as after a power cut: it keeps what it had stored.
func (s *SWTPM) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errRunning
	}
	var sockets []*os.File
	defer func() {
		for _, f := range sockets {
			f.Close() // the TPM has its own copy; a dead one must refuse its callers
		}
	}()
	// Clients find the TPM only once the firmware has measured, because it serves one at a
	// time and a driver that waits for it would come first.
	boot := s.Socket()
	if s.flag == fresh {
		boot += ".boot"
	}
	for _, path := range []string{boot, s.Socket() + ".ctrl"} {
		f, err := listen(path)
		if err != nil {
			return err
		}
		sockets = append(sockets, f)
	}
	process := exec.Command("swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+s.dir,
		"--server", "type=unixio,fd=3", "--ctrl", "type=unixio,fd=4",
		"--flags", s.flag,
		"--log", "file="+filepath.Join(s.dir, "log"))
	process.ExtraFiles = sockets
	dieWithParent(process)
	if err := process.Start(); err != nil {
		return fmt.Errorf("testtoken: swtpm: %w", err)
	}
	s.process, s.ended = process, make(chan struct{})
	go func(ended chan struct{}) {
		process.Wait()
		close(ended)
	}(s.ended)
	if s.flag != fresh {
		return nil
	}
	if err := measure(boot); err != nil {
		return err
	}
	return os.Rename(boot, s.Socket())
}

// measure extends PCRs 0 to 7 in the SHA-256 bank (TPM2_PCR_Extend), as firmware does
// whenever it starts.
func measure(socket string) error {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	c := &stream{Conn: conn}
	for pcr := range byte(8) {
		extend := []byte{0x80, 2, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, pcr, // tag, size, command, register
			0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, // an empty password
			0, 0, 0, 1, 0, 0x0b} // one digest, SHA-256
		extend = append(extend, bytes.Repeat([]byte{pcr + 1}, 32)...)
		if rsp, err := c.Send(extend); err != nil || responseCode(rsp) != 0 {
			return fmt.Errorf("testtoken: TPM2_PCR_Extend of register %d: %x (%w)", pcr, rsp, err)
		}
	}
	return nil
}

// listen makes a listening socket that a child can inherit.
func listen(path string) (*os.File, error) {
	os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	return l.File()
}

// Kill cuts the power: the process dies where it stands. It returns when it is dead.
// Killing what is off does nothing.
func (s *SWTPM) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	s.process.Process.Kill()
	<-s.ended
	s.process = nil
}

// PowerOff turns the TPM off as an operating system does, with TPM2_Shutdown first.
// No client may be connected.
func (s *SWTPM) PowerOff() error {
	c, err := s.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	shutdown := []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0}
	if rsp, err := c.Send(shutdown); err != nil || len(rsp) != 10 || responseCode(rsp) != 0 {
		return fmt.Errorf("testtoken: TPM2_Shutdown answers %x (%w)", rsp, err)
	}
	s.Kill()
	return nil
}

// Reset resets the running TPM, as turning the machine off and on does, without
// ending its process or its connection: handles and sessions are gone. Its client must send TPM2_Startup then.
func (s *SWTPM) Reset() error { return s.control(0, 0, 0, 2, 0, 0, 0, 0) }

// control sends a command of swtpm's own, and expects that it succeeds.
func (s *SWTPM) control(command ...byte) error {
	c, err := net.DialTimeout("unix", s.Socket()+".ctrl", time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(command); err != nil {
		return err
	}
	var result [4]byte
	if _, err := c.Read(result[:]); err != nil || result != [4]byte{} {
		return fmt.Errorf("testtoken: control command %d answers %x (%w)", command[3], result, err)
	}
	return nil
}
