package testtoken

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Node creates a character device with a name (a pseudo-terminal), and connects it once
// to the TPM that dial reaches. As with a kernel's TPM device, closing it changes nothing
// in the TPM, and the next program that opens it finds the objects that the last one
// left.
func Node(t testing.TB, name string, dial func() (Conn, error)) (path string) {
	t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.Symlink(slave.Name(), path); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		carry(master, c)
	}()
	t.Cleanup(func() {
		master.Close()
		slave.Close()
		<-ended
		c.Close()
	})
	return path
}

// openTerminal opens both ends of a pseudo-terminal that changes no byte. Other programs
// may open and close the slave as long as it stays open here.
func openTerminal() (master, slave *os.File, err error) {
	// Open without blocking, so that Close ends a pending read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD}
	raw.Cc[unix.VMIN] = 1
	return master, slave, unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, &raw)
}

// carry forwards commands to a TPM and its responses back, until one side is closed.
func carry(master *os.File, c Conn) {
	var command []byte
	var piece [4096]byte
	for {
		n, err := master.Read(piece[:])
		if err != nil {
			return
		}
		command = append(command, piece[:n]...)
		if len(command) < headerSize || len(command) < int(binary.BigEndian.Uint32(command[2:])) {
			continue
		}
		rsp, err := c.Send(command)
		if err != nil {
			return
		}
		if _, err := master.Write(rsp); err != nil {
			return
		}
		command = command[:0]
	}
}
