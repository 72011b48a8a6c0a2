package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstPassed is the first file descriptor that systemd passes (sd_listen_fds(3)).
const firstPassed = 3

// passed returns the listener of the socket that systemd passed under a name.
func passed(name string) (net.Listener, error) {
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		count = 0
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		if i >= len(names) || names[i] != name {
			continue
		}
		f := os.NewFile(uintptr(firstPassed+i), name)
		l, err := net.FileListener(f)
		if err != nil {
			err = fmt.Errorf("%w systemd:%s: %w", ErrAddress, name, err)
		}
		return l, errors.Join(err, f.Close()) // the listener has a copy
	}
	return nil, fmt.Errorf("%w systemd:%s: systemd passed no socket of this name: set FileDescriptorName=%[2]s in the socket unit", ErrAddress, name)
}

// Notify sends a state such as READY=1 or STOPPING=1 to the service manager (sd_notify(3)).
// Without one it does nothing.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' { // an abstract address
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}
