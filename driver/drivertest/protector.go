package drivertest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"strongroom.example/driver"
)

// RunProtector checks a protector against the contract of [driver.Protector]. make
// returns two protectors of one kind; wrong must not recover what right protects, because
// it has another passphrase, key file or device. RunProtector calls make once for each
// sub-test, and there is a sub-test for each check in each edition. It leaves out an
// edition for which Protect is Unsupported, and logs that; at least one edition must
// remain.
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

// protectors are two protectors of one kind, for a vault of one edition.
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

// supported returns the editions that a protector does not refuse. A device may lack an
// approved algorithm for one.
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
		t.Fatalf("Protect fails with Unsupported in every edition")
	}
	return list
}

func binding(e driver.Edition) driver.Binding {
	return driver.Binding{VaultID: [16]byte(randomBytes(16)), Edition: e}
}

// A wrappedRoot is a fresh root for a fresh vault, protected by right.
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

// refused checks the class, and that no part of the root is returned.
func (w wrappedRoot) refused(t tb, p driver.Protector, what string, classes ...driver.Class) {
	t.Helper()
	dst := make([]byte, 0, 64)
	out, err := p.Recover(context.Background(), dst, w.binding, w.blob)
	wantClass(t, err, what, classes...)
	if len(out) != 0 || bytes.Contains(dst[:cap(dst)], w.root) {
		t.Errorf("%s: Recover returned output with its error", what)
	}
}
