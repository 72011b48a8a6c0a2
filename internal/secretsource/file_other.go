//go:build !unix

package secretsource

import (
	"errors"
	"fmt"
	"os"
)

func notOthers(os.FileInfo, Kind) error    { return nil }
func ownGroupOnly(os.FileInfo, Kind) error { return nil }

// readFile reads a regular file. Its rights are not checked on this system.
func readFile(path string, k Kind, _ func(os.FileInfo, Kind) error) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the %s file is no regular file", k.Name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, k)
}

func readDescriptor(int, Kind) ([]byte, error) {
	return nil, errors.New("this system hands no descriptors to a program: use a file")
}
