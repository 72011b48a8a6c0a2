package tpm_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

func openAt(t testing.TB, s *testtoken.SWTPM, pin string) *tpm.Driver {
	t.Helper()
	return openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), SRK: pin})
}

// wrongDevice checks that an error has a class and the cause driver.ErrWrongDevice.
func wrongDevice(t testing.TB, err error, class driver.Class, what string) {
	t.Helper()
	if !errors.Is(err, driver.ErrWrongDevice) || !errors.Is(err, class) {
		t.Errorf("%s: %v, want %v for another TPM", what, err, class)
	}
}

// TestOtherTPM opens blobs on another machine.
func TestOtherTPM(t *testing.T) {
	s := newTPM(t)
	d, other := openAt(t, s, ""), openFresh(t)
	n := generate(t, d, hmacSpec)
	_, blob := seal(t, protector(t, d, tpm.Policy{}))
	_, err := other.OpenKey(context.Background(), n.id, n.spec, n.Blob)
	wrongDevice(t, err, driver.NotFound, "a key")
	_, err = protector(t, other, tpm.Policy{}).Recover(context.Background(), nil, binding, blob)
	wrongDevice(t, err, driver.Denied, "a root")
	d.Close()
	if _, err = tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket(), SRK: other.Info().Device.Serial}); err == nil {
		t.Fatal("Open of a TPM other than the pinned one: no error")
	}
	wrongDevice(t, err, driver.Unavailable, "opening a TPM that is not the pinned one")
	openAt(t, s, d.Info().Device.Serial)
}

// clearTPM clears a TPM, as its owner or the firmware setup does.
func clearTPM(t testing.TB, c transport.TPM) {
	t.Helper()
	_, err := tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}.Execute(c)
	if err != nil {
		t.Error(err)
	}
}

// TestCleared clears the TPM while the driver is open, and opens it again.
func TestCleared(t *testing.T) {
	s := newTPM(t)
	d := openAt(t, s, "")
	n := generate(t, d, hmacSpec)
	k := openAs[driver.PRF](t, d, n)
	p := protector(t, d, tpm.Policy{})
	root, blob := seal(t, p)
	d.Do(func(c transport.TPM) error { clearTPM(t, c); return nil })

	_, err := k.PRF(context.Background(), nil, []byte("question"))
	wrongDevice(t, err, driver.Unavailable, "using a key after the TPM was cleared")
	_, err = p.Recover(context.Background(), nil, binding, blob)
	wrongDevice(t, err, driver.Denied, "recovering after the TPM was cleared")
	_, err = d.GenerateKey(context.Background(), n.id, n.spec)
	wrongDevice(t, err, driver.Unavailable, "making a key after the TPM was cleared")

	d.Close()
	d = openAt(t, s, "")
	_, err = d.OpenKey(context.Background(), n.id, n.spec, n.Blob)
	wrongDevice(t, err, driver.NotFound, "a key of before")
	p = protector(t, d, tpm.Policy{})
	_, err = p.Recover(context.Background(), nil, binding, blob)
	wrongDevice(t, err, driver.Denied, "a root of before")
	again, err := p.Protect(context.Background(), binding, root)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, p, root, again, "protected again")
}

// TestForgedBlob changes blobs and corrects their checksums. The TPM then rejects them;
// the error must say that the blob is damaged, and not that it belongs to another device.
func TestForgedBlob(t *testing.T) {
	d := openFresh(t)
	for _, spec := range []driver.KeySpec{hmacSpec, p256Spec} {
		n := generate(t, d, spec)
		for i := 4; i < len(n.Blob)-32; i++ {
			forged := n
			forged.Blob = slices.Clone(n.Blob)
			forged.Blob[i] ^= 1
			forged.check()
			_, err := d.OpenKey(context.Background(), n.id, spec, forged.Blob)
			inParent := i >= 6 && i < 6+34
			switch {
			case inParent:
				wrongDevice(t, err, driver.NotFound, "another parent")
			case !errors.Is(err, driver.Authentic) || errors.Is(err, driver.ErrWrongDevice):
				t.Fatalf("%v: OpenKey with byte %d of the blob flipped: %v", spec, i, err)
			}
		}
		stranger := n
		stranger.id[0] ^= 1
		stranger.Blob = slices.Clone(n.Blob)
		stranger.check()
		if _, err := d.OpenKey(context.Background(), stranger.id, spec, stranger.Blob); !errors.Is(err, driver.Authentic) {
			t.Errorf("%v: OpenKey under another id, with a right checksum: %v", spec, err)
		}
	}
}

// check sets the checksum of a blob to that of its changed content.
func (n named) check() {
	spec := n.spec.String()
	b := append([]byte("strongroom tpm blob\x00"), n.id[:]...)
	b = append(b, 0, byte(len(spec)))
	b = append(append(b, spec...), n.Blob[:len(n.Blob)-32]...)
	h := sha256.Sum256(b)
	copy(n.Blob[len(n.Blob)-32:], h[:])
}

// TestSRK opens TPMs with each kind of storage root key.
func TestSRK(t *testing.T) {
	raw := func(s *testtoken.SWTPM, act func(transport.TPM) error) {
		t.Helper()
		c, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := act(c); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("adopted", func(t *testing.T) {
		s := newTPM(t)
		var name string
		raw(s, func(c transport.TPM) error {
			n, err := persist(c, tpm2.RSASRKTemplate)
			name = hex.EncodeToString(n.Buffer)
			return err
		})
		d := openAt(t, s, "")
		if d.Info().Device.Serial != name {
			t.Error("the driver did not adopt the existing RSA storage key")
		}
		prf(t, openAs[driver.PRF](t, d, generate(t, d, hmacSpec)))
	})
	t.Run("occupied", func(t *testing.T) {
		s := newTPM(t)
		raw(s, func(c transport.TPM) error {
			signing := tpm2.ECCSRKTemplate
			signing.ObjectAttributes.Restricted, signing.ObjectAttributes.Decrypt, signing.ObjectAttributes.SignEncrypt = false, false, true
			signing.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256})
			_, err := persist(c, signing)
			return err
		})
		d := openAt(t, s, "")
		n := generate(t, d, hmacSpec)
		d.Close()
		prf(t, openAs[driver.PRF](t, openAt(t, s, d.Info().Device.Serial), n))
	})
	t.Run("owner", func(t *testing.T) {
		s := newTPM(t)
		raw(s, func(c transport.TPM) error {
			_, err := tpm2.HierarchyChangeAuth{
				AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
				NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("owner")},
			}.Execute(c)
			return err
		})
		if _, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket()}); !errors.Is(err, driver.Denied) {
			t.Errorf("Open without the owner's authorization: %v", err)
		}
		d := openConfig(t, tpm.Config{Device: "unix:" + s.Socket(), OwnerAuth: []byte("owner")})
		n := generate(t, d, hmacSpec)
		d.Close()
		d = openAt(t, s, d.Info().Device.Serial) // once the key exists, the owner's authorization is not needed
		prf(t, openAs[driver.PRF](t, d, n))
	})
}

// persist creates a primary key and persists it at 0x81000001.
func persist(c transport.TPM, area tpm2.TPMTPublic) (tpm2.TPM2BName, error) {
	return persistAs(c, nil, area)
}

// persistAs does that with the owner's authorization.
func persistAs(c transport.TPM, auth []byte, area tpm2.TPMTPublic) (tpm2.TPM2BName, error) {
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(auth)}
	made, err := tpm2.CreatePrimary{PrimaryHandle: owner, InPublic: tpm2.New2B(area)}.Execute(c)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	defer tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(c)
	_, err = tpm2.EvictControl{
		Auth:             owner,
		ObjectHandle:     &tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name},
		PersistentHandle: 0x81000001,
	}.Execute(c)
	return made.Name, err
}

// TestTransientSRK makes the TPM refuse to persist the storage root key. While that key
// is loaded it takes a slot that keys cannot use.
func TestTransientSRK(t *testing.T) {
	s := newTPM(t)
	w := testtoken.NewWire(s.Dial)
	open := func() *tpm.Driver {
		w.Answer(0x120, 0, 0x14B) // EvictControl: NV_SPACE
		return openConfig(t, tpm.Config{Dial: dialer(w.Dial)})
	}
	d := open()
	var keys []named
	for range 4 {
		keys = append(keys, generate(t, d, hmacSpec))
	}
	use := func(d *tpm.Driver) (out []string) {
		for range 2 {
			for _, n := range keys {
				out = append(out, string(prf(t, openAs[driver.PRF](t, d, n))))
			}
		}
		return out
	}
	want := use(d)
	p := protector(t, d, tpm.Policy{PCRs: []uint{7}})
	root, blob := seal(t, p)
	opens(t, p, root, blob, "with a transient storage root key")
	s.Kill()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	w.Answer(0x120, 0, 0x14B)
	if got := use(d); !slices.Equal(got, want) {
		t.Error("PRF after a reset returned another result than before")
	}
	d.Close()
	if got := use(open()); !slices.Equal(got, want) {
		t.Error("PRF after a restart returned another result than before")
	}
}
