package drivertest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom.example/driver"
)

// RunProtector holds a protector to the contract of [driver.Protector]. make gives
// two of the same kind: what right protects, wrong must not recover (another
// passphrase, another key file, another device). It is called once for each
// sub-test; there is one for each check in each edition. An edition that Protect
// refuses as Unsupported is left out, and the log says so; one must be left.
func RunProtector(t *testing.T, make func(t *testing.T) (right, wrong driver.Protector)) {
	t.Helper()
	right, _ := make(t)
	for _, e := range supported(t, right) {
		t.Run(e.String(), func(t *testing.T) {
			for _, c := range protectorChecks() {
				t.Run(c.name, func(t *testing.T) {
					right, wrong := make(t)
					c.run(t, protectors{right, wrong, e})
				})
			}
		})
	}
}

// protectors are two of a kind, in a vault of one edition.
type protectors struct {
	right, wrong driver.Protector
	edition      driver.Edition
}

type protectorCheck struct {
	name string
	run  func(t tb, p protectors)
}

func protectorChecks() []protectorCheck {
	return []protectorCheck{
		{"KindNamed", kindNamed},
		{"RootRoundTrip", rootRoundTrip},
		{"RootWrongLength", rootWrongLength},
		{"ProtectsAfresh", protectsAfresh},
		{"WrongProtectorDenied", wrongProtectorDenied},
		{"OtherBindingDenied", otherBindingDenied},
		{"BlobFlipped", protectorBlobFlipped},
		{"BlobTruncated", protectorBlobTruncated},
		{"BlobHidesRoot", blobHidesRoot},
		{"InputNotModified", protectorInputs},
		{"CanceledContext", protectorCanceled},
	}
}

func editions() []driver.Edition {
	return []driver.Edition{driver.Standard, driver.FIPS, driver.SM}
}

// supported lists the editions that a protector does not refuse. A device may have
// no approved algorithm for one.
func supported(t tb, p driver.Protector) []driver.Edition {
	t.Helper()
	list := slices.DeleteFunc(editions(), func(e driver.Edition) bool {
		_, err := p.Protect(context.Background(), binding(e), randomBytes(32))
		refused := errors.Is(err, driver.Unsupported)
		if refused {
			t.Logf("%v is left out: %v", e, err)
		}
		return refused
	})
	if len(list) == 0 {
		t.Fatalf("Protect refuses every edition")
	}
	return list
}

func binding(e driver.Edition) driver.Binding {
	return driver.Binding{VaultID: [16]byte(randomBytes(16)), Edition: e}
}

// A wrappedRoot is a fresh root under right, for a fresh vault.
type wrappedRoot struct {
	binding driver.Binding
	root    []byte
	blob    driver.Blob
}

func (p protectors) protect(t tb) wrappedRoot {
	t.Helper()
	w := wrappedRoot{binding: binding(p.edition), root: randomBytes(32)}
	var err error
	if w.blob, err = p.right.Protect(context.Background(), w.binding, w.root); err != nil {
		t.Fatalf("Protect: %v", err)
	}
	return w
}

// refused checks the class, and that nothing of the root comes out.
func (w wrappedRoot) refused(t tb, p driver.Protector, what string, classes ...driver.Class) {
	t.Helper()
	dst := make([]byte, 0, 64)
	out, err := p.Recover(context.Background(), dst, w.binding, w.blob)
	wantClass(t, err, what, classes...)
	if len(out) != 0 || bytes.Contains(dst[:cap(dst)], w.root) {
		t.Errorf("%s: output beside the error", what)
	}
}
