package tpm_test

import (
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver/tpm"
)

// TestFallbackHandleOfAnother checks that if 0x81000001 is free the storage root key is
// created there, even if another program has put a storage key at a spare handle.
func TestFallbackHandleOfAnother(t *testing.T) {
	for _, auth := range []string{"", "theirs"} {
		t.Run("authorization "+auth, func(t *testing.T) {
			s := newTPM(t)
			d := openAt(t, s, "")
			n := generate(t, d, hmacSpec)
			d.Do(func(c transport.TPM) error {
				moveAway(t, c, auth)
				return nil
			})
			d.Close()
			d, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.Socket()})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			k, err := d.OpenKey(t.Context(), n.id, n.spec, n.Blob)
			if err != nil {
				t.Fatal(err)
			}
			k.Close()
		})
	}
}

// moveAway frees 0x81000001 and puts an RSA storage key at 0x81000010.
func moveAway(t *testing.T, c transport.TPM, auth string) {
	t.Helper()
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	there, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000001)}.Execute(c)
	if err != nil {
		t.Error(err)
		return
	}
	evict := tpm2.EvictControl{Auth: owner, ObjectHandle: &tpm2.NamedHandle{Handle: 0x81000001, Name: there.Name}, PersistentHandle: 0x81000001}
	if _, err := evict.Execute(c); err != nil {
		t.Error(err)
	}
	made, err := tpm2.CreatePrimary{PrimaryHandle: owner, InPublic: tpm2.New2B(tpm2.RSASRKTemplate),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: []byte(auth)}}}}.Execute(c)
	if err != nil {
		t.Error(err)
		return
	}
	keep := tpm2.EvictControl{Auth: owner, ObjectHandle: &tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}, PersistentHandle: 0x81000010}
	if _, err := keep.Execute(c); err != nil {
		t.Error(err)
	}
	tpm2.FlushContext{FlushHandle: made.ObjectHandle}.Execute(c)
}
