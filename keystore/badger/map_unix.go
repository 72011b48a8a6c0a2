//go:build unix

package badger

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file for reading. The map is private: what is written into it stays in
// this process.
func mapFile(path string) ([]byte, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fault("open a table", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fault("open a table", err)
	}
	if info.Size() < 64 || info.Size() > 1<<30 {
		return nil, nil, damaged(path)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fault("map a table", fmt.Errorf("%s: %w", path, err))
	}
	return data, info, nil
}

func unmapFile(data []byte) { _ = unix.Munmap(data) }

// touchPages writes each page of a part of a map as it is, which gives the process a
// copy of its own.
func touchPages(data []byte) {
	for at := 0; at < len(data); at += 4096 {
		b := data[at]
		data[at] = b
	}
	if n := len(data); n > 0 {
		data[n-1] |= 0
	}
}
