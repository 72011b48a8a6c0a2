package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
)

// TPMVariable names a TPM for the examples, as tpm.Config.Device does. Without it they use
// that of this machine. The value "emulator" asks for an emulator.
const TPMVariable = "STRONGROOM_EXAMPLE_TPM"

// TPM opens a TPM, or an emulator if this machine has none that the user may open, and
// prints which. The caller closes the driver, and calls stop after that.
func TPM(ctx context.Context, w io.Writer) (d *tpm.Driver, stop func(), err error) {
	device := os.Getenv(TPMVariable)
	if device != emulator {
		d, err = tpm.Open(ctx, tpm.Config{Device: device})
		if err == nil {
			fmt.Fprintf(w, "device: the TPM of %s\n", d.Info().Device.Manufacturer)
			return d, func() {}, nil
		}
		if device != "" {
			return nil, nil, err
		}
		fmt.Fprintln(w, "no TPM is usable:", err)
	}
	return EmulatedTPM(ctx, w)
}

// emulator is the value of the variables that asks for an emulator.
const emulator = "emulator"

// EmulatedTPM starts swtpm with a fresh TPM of its own, and opens it. The caller closes the
// driver, and calls stop after that; the TPM is lost then.
func EmulatedTPM(ctx context.Context, w io.Writer) (d *tpm.Driver, stop func(), err error) {
	if _, err := exec.LookPath("swtpm"); err != nil {
		return nil, nil, fmt.Errorf("the emulator swtpm is %w: install the package swtpm", ErrMissing)
	}
	fmt.Fprintln(w, "device: swtpm, a throw-away emulator, which protects nothing")
	// The name of a directory of the caller may be too long for the path of a socket.
	dir, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		return nil, nil, err
	}
	end, err := startSWTPM(dir)
	stop = func() {
		end()
		os.RemoveAll(dir)
	}
	if err == nil {
		d, err = tpm.Open(ctx, tpm.Config{Device: "unix:" + filepath.Join(dir, "tpm"), Patience: 5 * time.Second})
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return d, stop, nil
}

// EmulatedLocks returns the protectors of n fresh TPMs.
func EmulatedLocks(ctx context.Context, w io.Writer, n int) (locks []driver.Protector, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	for range n {
		d, end, err := EmulatedTPM(ctx, w)
		if err != nil {
			stop()
			return nil, nil, err
		}
		stops = append(stops, func() { d.Close() }, end)
		p, err := d.Protector(tpm.Policy{})
		if err != nil {
			stop()
			return nil, nil, err
		}
		locks = append(locks, p)
	}
	return locks, stop, nil
}

// startSWTPM starts the process. It inherits its two sockets, so that the caller can connect
// at once.
func startSWTPM(dir string) (end func(), err error) {
	var sockets []*os.File
	defer func() {
		for _, f := range sockets {
			f.Close()
		}
	}()
	for _, name := range []string{"tpm", "tpm.ctrl"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			return func() {}, err
		}
		l.SetUnlinkOnClose(false)
		f, err := l.File()
		if err := errors.Join(err, l.Close()); err != nil {
			return func() {}, err
		}
		sockets = append(sockets, f)
	}
	process := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,fd=3", "--ctrl", "type=unixio,fd=4", "--flags", "not-need-init,startup-clear")
	process.ExtraFiles = sockets
	if err := process.Start(); err != nil {
		return func() {}, err
	}
	return func() {
		process.Process.Kill()
		process.Wait()
	}, nil
}
