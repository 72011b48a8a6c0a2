//go:build unix

package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"strongroom.example/internal/cli/terminal"
)

// The limits of locked memory: what every operation needs, and what leaves room for open
// keys and data keys.
const (
	leastLocked = 64 << 10
	roomyLocked = 1 << 20
)

// Machine looks at the machine: memory, swap, dumps, and the disk of the vault's directory.
func Machine(dir string) []Finding {
	list := []Finding{lockedMemory()}
	list = append(list, swap("/proc/swaps", "/sys/block")...)
	list = append(list, corePattern("/proc/sys/kernel/core_pattern")...)
	if dir != "" {
		list = append(list, disk(dir), files(dir))
	}
	return list
}

func lockedMemory() Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return Finding{Warn, "locked memory", err.Error(), "find out why the system does not tell its limits"}
	}
	const remedy = "raise it: LimitMEMLOCK= in the systemd unit, ulimit -l, or --ulimit memlock= of a container"
	size := terminal.Bytes(int64(min(limit.Cur, 1<<62)))
	switch {
	case limit.Cur < leastLocked:
		return Finding{Fail, "locked memory", "this process may lock " + size + ", and the vault needs 64 KiB", remedy}
	case limit.Cur < roomyLocked:
		return Finding{Warn, "locked memory", "this process may lock " + size + ", which few open keys exhaust", remedy}
	case limit.Cur > 1<<50:
		size = "any amount of memory"
	}
	return Finding{OK, "locked memory", "this process may lock " + size, ""}
}

// swap looks for swap space that is not encrypted.
func swap(swaps, blocks string) []Finding {
	text, err := os.ReadFile(swaps)
	if err != nil {
		return nil
	}
	var plain []string
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) > 0 && !encrypted(fields[0], blocks) {
			plain = append(plain, fields[0])
		}
	}
	switch {
	case len(lines) < 2:
		return []Finding{{OK, "swap", "there is no swap space", ""}}
	case len(plain) == 0:
		return []Finding{{OK, "swap", "swap space is encrypted or in memory", ""}}
	}
	return []Finding{{Warn, "swap", "swap space is not encrypted: " + strings.Join(plain, ", "),
		"encrypt it (crypttab with a random key), or switch it off; keys are locked in memory, but plaintexts of programs are not"}}
}

// encrypted reports whether a swap device is in memory, or a mapping of dm-crypt.
func encrypted(device, blocks string) bool {
	if strings.HasPrefix(device, "/dev/zram") {
		return true
	}
	if resolved, err := filepath.EvalSymlinks(device); err == nil {
		device = resolved
	}
	uuid, err := os.ReadFile(filepath.Join(blocks, filepath.Base(device), "dm", "uuid"))
	return err == nil && strings.HasPrefix(string(uuid), "CRYPT-")
}

// corePattern looks for a handler of core dumps, which gets them although the limit of core
// files is 0, as it is in a program that links the vault.
func corePattern(path string) []Finding {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	handler, piped := strings.CutPrefix(strings.TrimSpace(string(text)), "|")
	if !piped {
		return []Finding{{OK, "core dumps", "the kernel writes none of this process", ""}}
	}
	name, _, _ := strings.Cut(handler, " ")
	return []Finding{{Note, "core dumps", "the kernel hands dumps of every process to " + name,
		"check that it honours a limit of 0, or set Storage=none (systemd-coredump) for the service"}}
}

// The free space of the disk: where the vault refuses work, and where that is near.
const (
	leastFree = 16 << 20
	roomyFree = 256 << 20
)

func disk(dir string) Finding {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Finding{Fail, "disk", fmt.Sprintf("%s: %v", dir, err), "mount it, or create the vault"}
	}
	free := uint64(s.Bavail) * uint64(s.Bsize)
	text := terminal.Bytes(int64(free)) + " are free for the vault"
	const remedy = "free space, or cut the audit log: strongroom audit cut"
	switch {
	case free < leastFree:
		return Finding{Fail, "disk", text + ", too little for new ciphertexts, keys and signatures", remedy}
	case free < roomyFree:
		return Finding{Warn, "disk", text, remedy}
	case s.Files > 0 && s.Ffree < 1000:
		return Finding{Warn, "disk", fmt.Sprintf("%d more files fit on the disk", s.Ffree), "remove files that are not needed"}
	}
	return Finding{OK, "disk", text, ""}
}

// files looks at owners and modes of the vault's directory and what is in it.
func files(dir string) Finding {
	wrong := ""
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var s unix.Stat_t
		if err := unix.Lstat(path, &s); err != nil {
			return err
		}
		switch {
		case int(s.Uid) != os.Geteuid():
			wrong = fmt.Sprintf("%s belongs to user %d, and this is user %d", path, s.Uid, os.Geteuid())
		case s.Mode&0o077 != 0 && d.Type()&os.ModeSymlink == 0:
			wrong = fmt.Sprintf("%s has mode %o", path, s.Mode&0o777)
		default:
			return nil
		}
		return filepath.SkipAll
	})
	switch {
	case err != nil:
		return Finding{Fail, "files", err.Error(), "run this as the user that the vault belongs to"}
	case wrong != "":
		return Finding{Fail, "files", wrong, "chown -R the directory to the user of the program; chmod -R go= it"}
	}
	return Finding{OK, "files", "owners and modes are right", ""}
}
