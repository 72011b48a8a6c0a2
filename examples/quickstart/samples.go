package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// sampleSize is the size of the generated file.
const sampleSize = 256 << 20

// makeSamples returns a file of the repository, if the program runs in it, and a
// generated file.
func makeSamples(work string) ([]string, error) {
	var files []string
	if _, err := os.Stat("README.md"); err == nil {
		files = append(files, "README.md")
	}
	fmt.Printf("making a sample of %d MiB\n", sampleSize>>20)
	path := filepath.Join(work, "sample")
	return append(files, path), writeRandom(path, sampleSize)
}

// writeRandom writes a new file of n random bytes.
func writeRandom(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, rand.Reader, n); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
