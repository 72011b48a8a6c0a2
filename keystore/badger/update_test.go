//go:build linux

package badger

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/internal/testing/failcalls"
)

const childOpens = "STRONGROOM_OPEN_CHILD" // set in the child: the store that it opens and closes

func openAndClose(dir string) int {
	e, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := e.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// olderStore unpacks the store of a vault that an earlier version left.
func olderStore(t *testing.T, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "vault", "testdata", "stores", name+".tar.gz"))
	must(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	must(t, err)
	files := map[string][]byte{}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		if name, ok := strings.CutPrefix(h.Name, "./store/"); ok && h.Typeflag == tar.TypeReg {
			files[name], err = io.ReadAll(r)
			must(t, err)
		}
	}
}

// TestKilledWhileBroughtUpToDate kills the first Open of an older store at each of its
// calls: the next Open finds all that the store held.
func TestKilledWhileBroughtUpToDate(t *testing.T) {
	t.Parallel()
	failcalls.NeedStrace(t)
	for _, name := range []string{"badger-closed", "badger-killed"} {
		files := olderStore(t, name)
		reference := written(t, files)
		e, err := Open(reference)
		must(t, err)
		want := holding(t, e)
		must(t, e.Close())
		if len(want) < 40 {
			t.Fatalf("%s holds %d pairs, want those of 30 operations", name, len(want))
		}
		kills := 0
		for _, kind := range []string{"fsync", "ftruncate", "renameat", "unlinkat", "write", "pwrite64"} {
			for call := 1; call <= 8; call++ {
				dir := written(t, files)
				cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+kind,
					"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", kind, call), os.Args[0])
				cmd.Env = append(os.Environ(), childOpens+"="+dir)
				if output, err := cmd.CombinedOutput(); err == nil {
					break // it made fewer calls
				} else if !failcalls.KilledItself(err) {
					t.Fatalf("%s, %s %d: %v: %s", name, kind, call, err, output)
				}
				kills++
				e, err := Open(dir)
				if err != nil {
					t.Errorf("%s killed at %s %d: Open: %v", name, kind, call, err)
					continue
				}
				if got := holding(t, e); !maps.Equal(got, want) {
					t.Errorf("%s killed at %s %d: %d pairs, want %d", name, kind, call, len(got), len(want))
				}
				must(t, e.Close())
			}
		}
		if kills < 10 {
			t.Errorf("%s: %d kills, want 10 or more", name, kills)
		}
	}
}
