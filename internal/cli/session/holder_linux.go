package session

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// inUse adds to err the process that has the vault's lock, if the kernel names it.
func inUse(dir string, err error) error {
	pid := lockHolder(filepath.Join(dir, "lock"))
	if pid == "" {
		return fmt.Errorf("%w; --wait 30s waits for it", err)
	}
	name, _ := os.ReadFile("/proc/" + pid + "/comm")
	return fmt.Errorf("%w; the lock is held by process %s (%s); --wait 30s waits for it", err, pid, strings.TrimSpace(string(name)))
}

// lockHolder returns the process that has the lock of the file at path, according to
// /proc/locks, or an empty text.
func lockHolder(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer locks.Close()
	inode := fmt.Sprintf(":%d", stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4242 fe:01:131122 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			return f[4]
		}
	}
	return ""
}
