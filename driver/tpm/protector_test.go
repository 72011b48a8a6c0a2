package tpm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/tpm"
)

func openFresh(t testing.TB) *tpm.Driver {
	t.Helper()
	return openConfig(t, tpm.Config{Device: "unix:" + newTPM(t).Socket()})
}

func protector(t testing.TB, d *tpm.Driver, p tpm.Policy) *tpm.Protector {
	t.Helper()
	made, err := d.Protector(p)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// newApprover returns an approver's key and its approval of the present state.
func newApprover(t testing.TB, d *tpm.Driver) (*ecdsa.PrivateKey, tpm.Approval) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, approve(t, d, key)
}

func approve(t testing.TB, d *tpm.Driver, key *ecdsa.PrivateKey) tpm.Approval {
	t.Helper()
	state, err := d.ReadPCRs(context.Background(), 0, 4, 7)
	if err != nil {
		t.Fatal(err)
	}
	a, err := tpm.Approve(key, state)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestProtectorConformance runs the conformance suite over a protector with each policy.
func TestProtectorConformance(t *testing.T) {
	right, wrong := openFresh(t), openFresh(t)
	key, approval := newApprover(t, right)
	for name, policy := range map[string]tpm.Policy{
		"none":     {},
		"PCRs":     {PCRs: []uint{0, 7}},
		"approver": {Approver: &key.PublicKey, Approvals: []tpm.Approval{approval}},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.RunProtector(t, func(t *testing.T) (driver.Protector, driver.Protector) {
				return protector(t, right, policy), protector(t, wrong, policy)
			})
		})
	}
}

// extend extends a register, as firmware does for a measurement.
func extend(t testing.TB, d *tpm.Driver, pcr tpm2.TPMHandle) {
	t.Helper()
	err := d.Do(func(c transport.TPM) error {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: pcr, Auth: tpm2.PasswordAuth(nil)},
			Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
				{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{7}, 32)},
			}},
		}.Execute(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var binding = driver.Binding{VaultID: [16]byte{1, 2, 3}}

func seal(t testing.TB, p *tpm.Protector) (root []byte, blob driver.Blob) {
	t.Helper()
	root = make([]byte, 32)
	rand.Read(root)
	blob, err := p.Protect(context.Background(), binding, root)
	if err != nil {
		t.Fatal(err)
	}
	return root, blob
}

func opens(t testing.TB, p *tpm.Protector, root []byte, blob driver.Blob, what string) {
	t.Helper()
	got, err := p.Recover(context.Background(), nil, binding, blob)
	if err != nil || !bytes.Equal(got, root) {
		t.Errorf("%s: %v", what, err)
	}
}

func refuses(t testing.TB, p *tpm.Protector, blob driver.Blob, what string) error {
	t.Helper()
	got, err := p.Recover(context.Background(), nil, binding, blob)
	if !errors.Is(err, driver.Denied) || len(got) != 0 {
		t.Errorf("%s: %d bytes, %v; want Denied", what, len(got), err)
	}
	return err
}

// TestPCRPolicy extends registers that the policy names, and one that it does not name.
func TestPCRPolicy(t *testing.T) {
	d := openFresh(t)
	p := protector(t, d, tpm.Policy{PCRs: []uint{4, 7}})
	root, blob := seal(t, p)
	extend(t, d, 5)
	opens(t, p, root, blob, "after another register was extended")
	extend(t, d, 7)
	if err := refuses(t, p, blob, "after a register was extended"); errors.Is(err, driver.ErrWrongDevice) {
		t.Errorf("Recover in a changed state reports another TPM: %v", err)
	}
	again, err := p.Protect(context.Background(), binding, root)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, p, root, again, "protected again")
	refuses(t, p, blob, "the old blob")
}

// TestApproval opens the same blob before and after a change of firmware, which only the
// right key can approve.
func TestApproval(t *testing.T) {
	d := openFresh(t)
	key, approval := newApprover(t, d)
	root, blob := seal(t, protector(t, d, tpm.Policy{Approver: &key.PublicKey, Approvals: []tpm.Approval{approval}}))
	extend(t, d, 4)
	with := func(approvals ...tpm.Approval) *tpm.Protector {
		return protector(t, d, tpm.Policy{Approver: &key.PublicKey, Approvals: approvals})
	}
	refuses(t, with(approval), blob, "before the change is approved")
	refuses(t, with(), blob, "without approvals")
	next := approve(t, d, key)
	opens(t, with(approval, next), root, blob, "after the change was approved")

	stranger, forged := newApprover(t, d)
	refuses(t, with(forged), blob, "approved by a stranger")
	refuses(t, protector(t, d, tpm.Policy{Approver: &stranger.PublicKey, Approvals: []tpm.Approval{forged}}), blob, "under a stranger's key")
	refuses(t, protector(t, d, tpm.Policy{}), blob, "by a protector that names no approver")
	opens(t, with(forged, next), root, blob, "approved by a stranger and then by the right key")
	swapped := approval
	swapped.Policy = next.Policy
	refuses(t, with(swapped), blob, "with the signature of another approval")
	swapped.Signature = []byte{1}
	refuses(t, with(swapped), blob, "with no signature")
}

// TestPolicyIsEnforced checks the TPM itself, without the driver: an object under a
// policy must not open by its authorization value, nor in a session that does not satisfy
// the policy.
func TestPolicyIsEnforced(t *testing.T) {
	d := openFresh(t)
	key, approval := newApprover(t, d)
	for name, c := range map[string]struct {
		policy tpm.Policy
		open   bool
	}{
		"none":     {tpm.Policy{}, true},
		"PCRs":     {tpm.Policy{PCRs: []uint{7}}, false},
		"approver": {tpm.Policy{Approver: &key.PublicKey, Approvals: []tpm.Approval{approval}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root, blob := seal(t, protector(t, d, c.policy))
			password := func(transport.TPM) (tpm2.Session, error) { return tpm2.PasswordAuth(nil), nil }
			content, err := unsealPast(d, blob, password)
			if (err == nil) != c.open || c.open != bytes.HasPrefix(content, root) {
				t.Errorf("unsealing by the authorization value: %v, want the root only if there is no policy", err)
			}
			empty := func(c transport.TPM) (tpm2.Session, error) {
				s, _, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA256, 16)
				return s, err
			}
			if _, err := unsealPast(d, blob, empty); err == nil {
				t.Error("unsealing in a session with an empty policy: no error")
			}
		})
	}
}

// unsealPast loads a protector's blob and unseals it in a session of the test.
func unsealPast(d *tpm.Driver, blob driver.Blob, session func(transport.TPM) (tpm2.Session, error)) (content []byte, err error) {
	public, private := tpm.Areas(blob)
	err = d.Do(func(c transport.TPM) error {
		srk, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(0x81000001)}.Execute(c)
		if err != nil {
			return err
		}
		loaded, err := tpm2.Load{
			ParentHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(0x81000001), Name: srk.Name, Auth: tpm2.PasswordAuth(nil)},
			InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](public),
			InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		}.Execute(c)
		if err != nil {
			return err
		}
		defer tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(c)
		s, err := session(c)
		if err != nil {
			return err
		}
		defer func() {
			if s.Handle() != tpm2.TPMRSPW {
				tpm2.FlushContext{FlushHandle: s.Handle()}.Execute(c)
			}
		}()
		rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: s}}.Execute(c)
		if err == nil {
			content = rsp.OutData.Buffer
		}
		return err
	})
	return content, err
}

func TestPolicyInvalid(t *testing.T) {
	d := openFresh(t)
	key, _ := newApprover(t, d)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []tpm.Policy{
		{PCRs: []uint{16}}, {PCRs: []uint{0, 23}}, {PCRs: []uint{24}},
		{PCRs: []uint{7}, Approver: &key.PublicKey},
		{Approver: &other.PublicKey},
		{Approvals: make([]tpm.Approval, 1)}, // without its approver such a policy would have no effect
	} {
		if _, err := d.Protector(p); !errors.Is(err, driver.Invalid) {
			t.Errorf("%v: %v, want Invalid", p.PCRs, err)
		}
	}
	if _, err := tpm.Approve(other, tpm.PCRs{7: {1}}); !errors.Is(err, driver.Invalid) {
		t.Errorf("Approve with a key on P-384: %v", err)
	}
	if _, err := tpm.Approve(key, tpm.PCRs{16: {1}}); !errors.Is(err, driver.Invalid) {
		t.Errorf("Approve of PCR 16: %v", err)
	}
}
