package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"strongroom.example/driver"
)

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
