package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
		{"DiscardedDenied", discardedDenied},
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

func kindNamed(t tb, p protectors) {
	kinds := []string{"passphrase", "recovery-code", "key-file", "tpm", "pkcs11"}
	if !slices.Contains(kinds, p.right.Kind()) || p.right.Kind() != p.wrong.Kind() {
		t.Errorf("Kind returned %q and %q, want one of %q", p.right.Kind(), p.wrong.Kind(), kinds)
	}
	if p.right.MachineBound() != p.wrong.MachineBound() {
		t.Errorf("MachineBound differs between two protectors of one kind")
	}
}

func rootRoundTrip(t tb, p protectors) {
	w := p.protect(t)
	if len(w.blob) == 0 || len(w.blob) > maxBlob {
		t.Errorf("Protect returned a blob of %d bytes", len(w.blob))
	}
	dst := append(make([]byte, 0, 64), "prefix"...)
	out, err := p.right.Recover(context.Background(), dst, w.binding, w.blob)
	if err != nil || string(out) != "prefix"+string(w.root) {
		t.Fatalf("Recover did not return the root: %v", err)
	}
	if &out[0] != &dst[0] {
		t.Errorf("Recover reallocated although dst had capacity")
	}
}

func rootWrongLength(t tb, p protectors) {
	for _, n := range []int{0, 1, 16, 31, 33, 64} {
		_, err := p.right.Protect(context.Background(), binding(p.edition), make([]byte, n))
		wantClass(t, err, fmt.Sprintf("a root of %d bytes", n), driver.Invalid)
	}
}

func protectsAfresh(t tb, p protectors) {
	w := p.protect(t)
	second, err := p.right.Protect(context.Background(), w.binding, w.root)
	if err != nil {
		t.Fatalf("Protect again: %v", err)
	}
	if bytes.Equal(w.blob, second) {
		t.Errorf("Protect returned the same blob twice for one root")
	}
}

func wrongProtectorDenied(t tb, p protectors) {
	p.protect(t).refused(t, p.wrong, "the blob of another protector", driver.Denied)
}

func otherBindingDenied(t tb, p protectors) {
	w := p.protect(t)
	other := w
	other.binding.VaultID[15] ^= 1
	other.refused(t, p.right, "the blob of another vault", driver.Denied)
	for _, e := range editions() {
		if other = w; e != p.edition {
			other.binding.Edition = e
			other.refused(t, p.right, fmt.Sprintf("a blob for %v in a vault of %v", p.edition, e), driver.Denied, driver.Invalid, driver.Unsupported)
		}
	}
}

func protectorBlobFlipped(t tb, p protectors) {
	w := p.protect(t)
	good := w.blob
	for i := range good {
		w.blob = flipped(good, i)
		w.refused(t, p.right, fmt.Sprintf("byte %d flipped", i), driver.Denied, driver.Invalid)
	}
}

func protectorBlobTruncated(t tb, p protectors) {
	w := p.protect(t)
	good := w.blob
	wrong := [][]byte{nil, append(slices.Clone(good), 0), make([]byte, 1<<20)}
	for _, n := range positions(len(good), 24) {
		wrong = append(wrong, good[:n:n])
	}
	for _, w.blob = range wrong {
		w.refused(t, p.right, fmt.Sprintf("a blob of %d bytes in the place of %d", len(w.blob), len(good)), driver.Denied, driver.Invalid)
	}
}

func blobHidesRoot(t tb, p protectors) {
	w := p.protect(t)
	for part := range slices.Chunk(w.root, 8) {
		if bytes.Contains(w.blob, part) {
			t.Errorf("the blob contains part of the root")
		}
	}
}

func protectorInputs(t tb, p protectors) {
	b := binding(p.edition)
	root := guard("the root for Protect", randomBytes(32))
	blob, err := p.right.Protect(context.Background(), b, root.given)
	if err != nil {
		t.Fatalf("Protect: %v", err)
	}
	root.check(t)
	in := guard("the blob for Recover", blob)
	if _, err := p.right.Recover(context.Background(), nil, b, in.given); err != nil {
		t.Errorf("Recover without room in dst: %v", err)
	}
	in.check(t)
}

func protectorCanceled(t tb, p protectors) {
	w := p.protect(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		_, err := p.right.Protect(ctx, w.binding, w.root)
		wantBare(t, err, "Protect with a canceled context", context.Canceled)
		_, err = p.right.Recover(ctx, nil, w.binding, w.blob)
		wantBare(t, err, "Recover with a canceled context", context.Canceled)
	}
}

// discardedDenied: a blob that was discarded no longer opens, and other blobs do.
func discardedDenied(t tb, p protectors) {
	d, ok := p.right.(driver.Discarder)
	if !ok {
		return
	}
	kept, gone := p.protect(t), p.protect(t)
	for range 2 {
		if err := d.Discard(context.Background(), gone.binding, gone.blob); err != nil {
			t.Errorf("Discard: %v", err)
		}
	}
	gone.refused(t, p.right, "a discarded blob", driver.Denied)
	if _, err := p.right.Recover(context.Background(), nil, kept.binding, kept.blob); err != nil {
		t.Errorf("Recover after another blob was discarded: %v", err)
	}
	wantClass(t, d.Discard(context.Background(), kept.binding, make([]byte, len(kept.blob))), "Discard of zeros", driver.Invalid)
}
