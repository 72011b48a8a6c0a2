package vault

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"
)

// lockedMemoryChild is set in the child process of TestLittleLockedMemory.
const lockedMemoryChild = "STRONGROOM_LOCKED_MEMORY_CHILD"

// TestLittleLockedMemory: in a process that may lock 64 KiB, one principal holds as many
// data keys as possible, each with a cipher. The operations of other principals and the
// ciphers still work, even after another user of memguard purged it.
func TestLittleLockedMemory(t *testing.T) {
	if os.Getenv(lockedMemoryChild) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLittleLockedMemory$", "-test.v", "-edition="+testEdition().String())
		cmd.Env = append(os.Environ(), lockedMemoryChild+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("the child process: %v\n%s", err, out)
		}
		return
	}
	limit := unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	v, _ := newTestVault(t, Config{Edition: testEdition(), Authorizer: authorizerFunc(allowEveryone)})
	greedy, other := v.As("greedy"), v.As("other")
	mustKey(t, other, KeyOptions{Alias: "data"})
	mustKey(t, other, KeyOptions{Alias: "rsa", Usage: AsymmetricDecrypt, Spec: RSA2048})
	mustKey(t, other, KeyOptions{Alias: "sign", Usage: SignVerify, Spec: ECCP256})
	mustKey(t, other, KeyOptions{Alias: "ours", Origin: OriginExternal})
	held := holdDataKeys(t, greedy)
	useOthers(t, other)
	if err := v.As(DefaultOwner).RotateRoot(t.Context(), passphrase(t, "correct horse")); err != nil {
		t.Errorf("RotateRoot while a principal holds all data keys that it gets: %v", err)
	}
	useOthers(t, other)
	useCiphers(t, held)
	for _, k := range held[len(held)/2:] {
		k.Destroy()
	}
	held = held[:len(held)/2]
	var resting *DataKey
	for i := range 448 {
		k, err := greedy.GenerateDataKey(t.Context(), "data", 32, nil)
		if err != nil {
			t.Fatalf("data key %d without a cipher: %v", i, err)
		}
		resting = k
	}
	useOthers(t, other)
	resting.held.MoveToEnclave(time.Now())
	memguard.Purge()
	useCiphers(t, held)
	if !resting.held.AtRest() {
		t.Error("a data key without a cipher is not in an enclave")
	} else if err := resting.Use(func([]byte) error { return nil }); !errors.Is(err, ErrLockedMemory) {
		t.Errorf("Use of a key at rest after memguard.Purge: %v, want ErrLockedMemory", err)
	}
	closeChecked(t, v)
	for _, k := range held {
		if err := k.Use(func([]byte) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("Use after Close: %v, want ErrClosed", err)
		}
	}
}

// holdDataKeys makes data keys with ciphers until the locked memory is used up.
func holdDataKeys(t *testing.T, c Client) (held []*DataKey) {
	t.Helper()
	for len(held) < 1000 {
		k, err := c.GenerateDataKey(t.Context(), "data", c.vault.suite.KeySize(), nil)
		if err == nil {
			_, err = k.AEAD()
		}
		if errors.Is(err, ErrLockedMemory) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, k)
	}
	t.Logf("%d data keys of 64 KiB", len(held))
	if len(held) < 32 || len(held) == 1000 {
		t.Fatalf("one principal can hold %d data keys, want 32 to 999", len(held))
	}
	return held
}

// useOthers runs operations that need locked memory.
func useOthers(t *testing.T, c Client) {
	t.Helper()
	ctx := t.Context()
	ct, err := c.Encrypt(ctx, "data", []byte("x"), nil)
	if err != nil {
		t.Fatalf("Encrypt: %v", err)
	}
	if _, err := c.Decrypt(ctx, ct, nil); err != nil {
		t.Errorf("Decrypt: %v", err)
	}
	p, err := c.PublicKey(ctx, "rsa")
	if err != nil {
		t.Fatal(err)
	}
	public, err := p.Parse()
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AsymmetricDecrypt(ctx, "rsa", wrapped, RSAESOAEPSHA256); err != nil {
		t.Errorf("AsymmetricDecrypt: %v", err)
	}
	if _, err := c.Sign(ctx, "sign", []byte("x"), SignOptions{}); err != nil {
		t.Errorf("Sign: %v", err)
	}
	if k, err := c.DescribeKey(ctx, "ours"); err == nil && k.State == PendingImport {
		importRaw(t, c, "ours", ownKey(9))
	}
}

func useCiphers(t *testing.T, keys []*DataKey) {
	t.Helper()
	for _, k := range keys {
		k.held.MoveToEnclave(time.Now())
		a, err := k.AEAD()
		if err != nil {
			t.Fatalf("AEAD of a key that has one: %v", err)
		}
		if got, err := a.Open(nil, nil, a.Seal(nil, nil, []byte("x"), nil), nil); err != nil || string(got) != "x" {
			t.Fatalf("cipher's Open: %q, error %v", got, err)
		}
	}
}

// importRaw imports material into a CMK.
func importRaw(t *testing.T, c Client, key string, material []byte) {
	t.Helper()
	p, err := c.ParametersForImport(t.Context(), key, ImportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, key, ImportMaterial{Token: p.Token, EncryptedMaterial: wrapFor(t, p, material)})
}
