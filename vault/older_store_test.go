package vault

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
)

// olderStore unpacks a vault of an earlier version of this package, in which Badger itself
// kept the store behind a redo log of format 1.
func olderStore(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "stores", name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(at, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(at, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOlderStores opens vaults of an earlier version, after a clean Close, and after kill
// -9 with batches in Badger's log and in a redo log of format 1. Nothing is lost, and the
// vault continues in the present formats.
func TestOlderStores(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"badger-closed", "badger-killed"} {
		t.Run(name, func(t *testing.T) {
			dir := olderStore(t, name)
			for round := range 2 {
				v, err := Open(t.Context(), dir, Config{}, passphrase(t, "golden"))
				if err != nil {
					t.Fatalf("Open, round %d: %v", round, err)
				}
				holdsGolden(t, v, dir)
				mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: fmt.Sprint("later-", round)})
				closeChecked(t, v)
			}
			left, err := filepath.Glob(filepath.Join(dir, "store", "*.mem"))
			if err != nil || len(left) > 0 {
				t.Errorf("Badger's logs remain: %v, error %v", left, err)
			}
		})
	}
}

// holdsGolden checks the contents with which the golden vaults were made.
func holdsGolden(t *testing.T, v *Vault, dir string) {
	t.Helper()
	c := v.As(DefaultOwner)
	for alias, state := range map[string]KeyState{"first": Enabled, "key-0": Enabled, "key-11": Enabled, "disabled": Disabled} {
		k, err := c.DescribeKey(t.Context(), alias)
		if err != nil || k.State != state {
			t.Errorf("DescribeKey(%s): %v, %v; want %v", alias, k.State, err, state)
		}
		if alias[:2] == "ke" && len(k.Tags) != 20 {
			t.Errorf("%s has %d tags, want 20", alias, len(k.Tags))
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "ciphertext"))
	if err != nil {
		t.Fatal(err)
	}
	ct, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decrypt(t.Context(), ct, EncryptionContext{"a": "b"})
	if err != nil || string(got) != "sealed by an earlier release" {
		t.Errorf("Decrypt: %q, %v", got, err)
	}
	records := 0
	for _, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		records++
	}
	if records < 30 {
		t.Errorf("%d audit records, want those of 30 operations or more", records)
	}
}
