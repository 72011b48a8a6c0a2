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

	"strongroom.example/internal/testing/poll"
)

// A SWTPM is a software TPM 2.0 in a process of its own. It listens on unix sockets that
// it inherits, so that a test need not choose a port or wait for the start. Its state is
// a directory. It serves one client at a time, and has no resource manager. Its methods
// are safe for concurrent use.
type SWTPM struct {
	dir  string
	flag string // how it starts

	mu      sync.Mutex
	process *exec.Cmd // nil while it is off
	ended   chan struct{}
}

var errRunning = errors.New("testtoken: swtpm runs already")

// NewSWTPM starts a fresh TPM that is stopped when the test ends. PCRs 0 to 7 hold one
// measurement for each start, as after a start of real firmware.
func NewSWTPM(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, "", fresh)
}

// Clone copies the state of a TPM that is off into a second one, and starts the copy, as
// when a snapshot of a virtual machine is restored.
func (s *SWTPM) Clone(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, s.dir, fresh)
}

// The ways a TPM starts: after a power-off, or in the middle of its work, from a frozen
// state.
const (
	fresh  = "not-need-init,startup-clear"
	thawed = "not-need-init"
)

func startSWTPM(t testing.TB, state, flag string) *SWTPM {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		missing(t, "swtpm", "swtpm")
	}
	// t.TempDir is not used, because its names are too long for the path of a socket.
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

// stateFiles returns the files from which a TPM starts.
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

// Socket returns the path of the socket for TPM commands. The control socket is beside
// it, with the suffix ".ctrl", where the tools of the TPM software stack expect it.
func (s *SWTPM) Socket() string { return filepath.Join(s.dir, "d") }

// Start turns the TPM on, as after a power cut. It keeps its stored state.
func (s *SWTPM) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return errRunning
	}
	var sockets []*os.File
	defer func() {
		for _, f := range sockets {
			f.Close() // the TPM has its own copy; connecting to a dead TPM must fail
		}
	}()
	// The socket gets its name only after the measurements, because the TPM serves one
	// client at a time, and a waiting driver could connect first.
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
	if err := s.run(sockets); err != nil || s.flag != fresh {
		return err
	}
	if err := measure(boot); err != nil {
		return err
	}
	return os.Rename(boot, s.Socket())
}

// run starts the process, which serves the two sockets.
func (s *SWTPM) run(sockets []*os.File) error {
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
	return nil
}

// measure extends PCRs 0 to 7 in the SHA-256 bank (TPM2_PCR_Extend), as firmware does at
// each start.
func measure(socket string) error {
	conn, err := net.DialTimeout("unix", socket, poll.Limit)
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

// listen returns a listening socket that a child process can inherit.
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

// Kill cuts the power: it kills the process and waits for its end. If the TPM is off it
// does nothing.
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

// PowerOff turns the TPM off as an operating system does, after TPM2_Shutdown. No client
// may be connected.
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

// Reset resets the running TPM, as turning the machine off and on does, without ending
// its process or its connection. Handles and sessions are gone, and the client must send
// TPM2_Startup.
func (s *SWTPM) Reset() error { return s.control(0, 0, 0, 2, 0, 0, 0, 0) }

// control sends one of swtpm's control commands, and returns an error unless it succeeds.
func (s *SWTPM) control(command ...byte) error {
	c, err := net.DialTimeout("unix", s.Socket()+".ctrl", poll.Limit)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(poll.Limit))
	if _, err := c.Write(command); err != nil {
		return err
	}
	var result [4]byte
	if _, err := c.Read(result[:]); err != nil || result != [4]byte{} {
		return fmt.Errorf("testtoken: control command %d answers %x (%w)", command[3], result, err)
	}
	return nil
}

// A Frozen is the complete state of a TPM at one moment: its persistent state, and its
// volatile state, such as keys, sessions with their nonces, and the state of its random
// number generator.
type Frozen struct{ dir string }

// Freeze copies the state of a TPM, which continues to run.
func (s *SWTPM) Freeze(t testing.TB) Frozen {
	t.Helper()
	f := Frozen{t.TempDir()}
	if err := s.control(0, 0, 0, 10); err != nil {
		t.Fatal(err)
	}
	for _, name := range stateFiles(s.dir, thawed) {
		if err := copyFile(filepath.Join(f.dir, name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(s.dir, stateFiles(s.dir, thawed)[1])) // otherwise this TPM would start from there
	return f
}

// Thaw starts a second TPM in the frozen state. To the same bytes that the first one has
// received since then, it responds with the same nonces. A recorded session can therefore
// be replayed to it, as often as it is thawed.
func (f Frozen) Thaw(t testing.TB) *SWTPM {
	t.Helper()
	return startSWTPM(t, f.dir, thawed)
}
