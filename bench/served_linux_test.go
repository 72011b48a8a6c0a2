package bench

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom.example/internal/server"
	"strongroom.example/internal/server/promtext"
	"strongroom.example/vault"
)

// served1KiB is the length of the plaintext.
const served1KiB = 1024

// servedIn is the variable by which this program becomes a server in a directory.
const servedIn = "STRONGROOM_BENCH_SERVED_IN"

// The names of the sockets in the directory.
const (
	kmsSocket  = "kms"
	bareSocket = "bare"
)

// A served is a server in another process.
type served struct {
	process   *os.Process
	kms, bare string // the sockets of the server, and of the handler that does nothing
	body      string // of a request
}

// startServed starts a server, which ends with the benchmark.
func startServed(b *testing.B) *served {
	dir := b.TempDir()
	c := exec.Command(os.Args[0])
	for _, name := range []string{"test.cpuprofile", "test.memprofile"} {
		if path := flagValue(name); path != "" {
			c.Args = append(c.Args, "-"+name+"="+path+".server")
		}
	}
	c.Env, c.Stderr = append(os.Environ(), servedIn+"="+dir), os.Stderr
	in, out := must(c.StdinPipe()), must(c.StdoutPipe())
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			b.Error(err)
		}
	})
	id, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal("the server did not start: ", err)
	}
	body := fmt.Sprintf(`{"KeyId":%q,"Plaintext":%q}`, strings.TrimSpace(id), base64.StdEncoding.EncodeToString(make([]byte, served1KiB)))
	return &served{c.Process, filepath.Join(dir, kmsSocket), filepath.Join(dir, bareSocket), body}
}

// processorTime returns the processor time that the server has used (clock_getcpuclockid(3)).
func (s *served) processorTime(b *testing.B) time.Duration {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^s.process.Pid<<3|2), &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// serveIfAsked serves if startServed started this program, and reports whether it did.
func serveIfAsked() (asked bool, err error) {
	dir := os.Getenv(servedIn)
	if dir == "" {
		return false, nil
	}
	return true, serveHere(dir)
}

// serveHere prints the id of a CMK, and serves until the input ends.
func serveHere(dir string) (err error) {
	v, id, err := newServedVault(context.Background(), dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	uid := uint32(os.Getuid())
	clients := &server.Clients{Peers: []server.Peer{{UID: &uid, Principal: vault.DefaultOwner}}}
	s, err := server.New(server.Config{Vault: v, Clients: clients, Meters: new(promtext.Provider)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Shutdown(context.Background())) }()
	l, err := server.Listen("unix:"+filepath.Join(dir, kmsSocket), server.Rules{Clients: clients})
	if err != nil {
		return err
	}
	go s.Serve(l)
	bare, err := net.Listen("unix", filepath.Join(dir, bareSocket))
	if err != nil {
		return err
	}
	go http.Serve(bare, http.HandlerFunc(nothing))
	stop, err := profile()
	if err != nil {
		return err
	}
	fmt.Println(id)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, stop())
}

var nothingText = []byte(strings.Repeat("x", 1650))

// nothing reads a request, and responds with as many bytes as Encrypt does.
func nothing(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(nothingText)))
	w.Write(nothingText)
}

// profile begins the profiles that the flags ask for, and returns the function that writes them.
func profile() (stop func() error, err error) {
	var cpu *os.File
	if path := flagValue("test.cpuprofile"); path != "" {
		if cpu, err = os.Create(path); err == nil {
			err = pprof.StartCPUProfile(cpu)
		}
	}
	return func() error {
		if cpu != nil {
			pprof.StopCPUProfile()
			if err := cpu.Close(); err != nil {
				return err
			}
		}
		path := flagValue("test.memprofile")
		if path == "" {
			return nil
		}
		f, err := os.Create(path)
		if err == nil {
			err = errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
		}
		return err
	}, err
}
