package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"strongroom.example/driver"
)

// RunProtector holds a protector to the contract of [driver.Protector]. make gives
// two of the same kind: what right protects, wrong must not recover (another
// passphrase, another key file, another device). It is called once for each
// sub-test.
func RunProtector(t *testing.T, make func(t *testing.T) (right, wrong driver.Protector)) {
	t.Helper()
	for _, c := range protectorChecks() {
		t.Run(c.name, func(t *testing.T) {
			right, wrong := make(t)
			c.run(t, right, wrong)
		})
	}
}

type protectorCheck struct {
	name string
	run  func(t tb, right, wrong driver.Protector)
}

func protectorChecks() []protectorCheck {
	return []protectorCheck{
		{"KindNamed", kindNamed},
		{"RootRoundTrip", rootRoundTrip},
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

// editions lists what a vault can be. A protector may refuse one as Unsupported,
// where its device has no approved algorithm for it.
func editions() []driver.Edition {
	return []driver.Edition{driver.Standard, driver.FIPS, driver.SM}
}

func binding(e driver.Edition) driver.Binding {
	return driver.Binding{VaultID: [16]byte(randomBytes(16)), Edition: e}
}

// protected wraps a fresh root for a fresh vault of the standard edition.
func protected(t tb, p driver.Protector) (b driver.Binding, root []byte, blob driver.Blob) {
	t.Helper()
	b, root = binding(driver.Standard), randomBytes(32)
	blob, err := p.Protect(context.Background(), b, root)
	if err != nil {
		t.Fatalf("Protect: %v", err)
	}
	return b, root, blob
}

// refusesToRecover checks the class, and that nothing of the root comes out.
func refusesToRecover(t tb, p driver.Protector, blob driver.Blob, b driver.Binding, root []byte, what string, classes ...driver.Class) {
	t.Helper()
	dst := make([]byte, 0, 64)
	out, err := p.Recover(context.Background(), dst, b, blob)
	wantClass(t, err, what, classes...)
	if len(out) != 0 || bytes.Contains(dst[:cap(dst)], root) {
		t.Errorf("%s: output beside the error", what)
	}
}

func kindNamed(t tb, right, wrong driver.Protector) {
	kinds := []string{"passphrase", "recovery-code", "key-file", "tpm", "pkcs11"}
	if !slices.Contains(kinds, right.Kind()) || right.Kind() != wrong.Kind() {
		t.Errorf("kinds %q and %q, want one of %q", right.Kind(), wrong.Kind(), kinds)
	}
	if right.MachineBound() != wrong.MachineBound() {
		t.Errorf("two of a kind are not alike bound to the machine")
	}
}

func rootRoundTrip(t tb, right, _ driver.Protector) {
	for _, e := range editions() {
		b, root := binding(e), randomBytes(32)
		blob, err := right.Protect(context.Background(), b, root)
		if err != nil {
			t.Errorf("%v: Protect: %v", e, err)
			continue
		}
		if len(blob) == 0 || len(blob) > maxBlob {
			t.Errorf("%v: a blob of %d bytes", e, len(blob))
		}
		dst := append(make([]byte, 0, 64), "prefix"...)
		out, err := right.Recover(context.Background(), dst, b, blob)
		if err != nil || string(out) != "prefix"+string(root) {
			t.Errorf("%v: the root does not come back: %v", e, err)
			continue
		}
		if &out[0] != &dst[0] {
			t.Errorf("%v: the root was moved although dst had room", e)
		}
	}
}

func protectsAfresh(t tb, right, _ driver.Protector) {
	b, root, first := protected(t, right)
	second, err := right.Protect(context.Background(), b, root)
	if err != nil {
		t.Fatalf("Protect again: %v", err)
	}
	if bytes.Equal(first, second) {
		t.Errorf("the same root gives the same blob twice")
	}
}

func wrongProtectorDenied(t tb, right, wrong driver.Protector) {
	b, root, blob := protected(t, right)
	refusesToRecover(t, wrong, blob, b, root, "the blob of another protector", driver.Denied)
}

func otherBindingDenied(t tb, right, _ driver.Protector) {
	b, root, blob := protected(t, right)
	other := b
	other.VaultID[15] ^= 1
	refusesToRecover(t, right, blob, other, root, "the blob of another vault", driver.Denied)
	for _, e := range editions()[1:] {
		other = b
		other.Edition = e
		refusesToRecover(t, right, blob, other, root, fmt.Sprintf("the blob of another edition, %v", e), driver.Denied, driver.Invalid, driver.Unsupported)
	}
}

func protectorBlobFlipped(t tb, right, _ driver.Protector) {
	b, root, blob := protected(t, right)
	for i := range blob {
		refusesToRecover(t, right, flipped(blob, i), b, root, fmt.Sprintf("byte %d flipped", i), driver.Denied, driver.Invalid)
	}
}

func protectorBlobTruncated(t tb, right, _ driver.Protector) {
	b, root, blob := protected(t, right)
	for _, n := range positions(len(blob), 24) {
		refusesToRecover(t, right, blob[:n:n], b, root, fmt.Sprintf("the first %d bytes", n), driver.Denied, driver.Invalid)
	}
	long := append(slices.Clone(blob), 0)
	refusesToRecover(t, right, long, b, root, "a byte too many", driver.Denied, driver.Invalid)
	refusesToRecover(t, right, nil, b, root, "no blob", driver.Denied, driver.Invalid)
	refusesToRecover(t, right, make([]byte, 1<<20), b, root, "1 MiB of zeros", driver.Denied, driver.Invalid)
}

func blobHidesRoot(t tb, right, _ driver.Protector) {
	_, root, blob := protected(t, right)
	for part := range slices.Chunk(root, 8) {
		if bytes.Contains(blob, part) {
			t.Errorf("the blob shows part of the root")
		}
	}
}

func protectorInputs(t tb, right, _ driver.Protector) {
	b := binding(driver.Standard)
	root := guard("the root for Protect", randomBytes(32))
	blob, err := right.Protect(context.Background(), b, root.given)
	if err != nil {
		t.Fatalf("Protect: %v", err)
	}
	root.check(t)
	in := guard("the blob for Recover", blob)
	if _, err := right.Recover(context.Background(), nil, b, in.given); err != nil {
		t.Errorf("Recover without room in dst: %v", err)
	}
	in.check(t)
}

func protectorCanceled(t tb, right, _ driver.Protector) {
	b, root, blob := protected(t, right)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		_, err := right.Protect(ctx, b, root)
		wantBare(t, err, "Protect with a canceled context", context.Canceled)
		_, err = right.Recover(ctx, nil, b, blob)
		wantBare(t, err, "Recover with a canceled context", context.Canceled)
	}
}
