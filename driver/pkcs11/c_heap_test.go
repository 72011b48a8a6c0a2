//go:build cgo && linux

package pkcs11_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testing/testtoken"
)

// A heapScanner is the end of a secret, for a search of memory. It is not the beginning,
// because an allocator overwrites the beginning of freed memory. It is kept masked, so
// that the search does not find its own pattern.
type heapScanner [16]byte

const scanMask = 0x5A

// newHeapScanner writes a random secret to plain, which is on the Go heap.
func newHeapScanner(plain []byte) (n heapScanner) {
	rand.Read(plain)
	end := plain[len(plain)-len(n):]
	for i := range n {
		n[i] = end[i] ^ scanMask
	}
	return n
}

// inCHeap counts the copies of the secret in writable memory that does not belong to Go:
// the C heap, including the arenas of threads.
func (n heapScanner) inCHeap(t *testing.T) (found int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	inGo := fmt.Sprintf("%p", &n)
	buffer := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") {
			continue
		}
		if ofGo(line, from, to, inGo) {
			continue
		}
		for at := from; at < to; at += uintptr(len(buffer)) - 64 {
			part := buffer[:min(len(buffer), int(to-at))]
			if k, err := memory.ReadAt(part, int64(at)); err == nil || k > 0 {
				found += n.count(part[:k])
			}
		}
	}
	clear(buffer)
	return found
}

// ofGo reports whether a mapping belongs to the Go heap: it has Go's name if the kernel
// stores names, is as large as Go's reservations, or contains a Go object. The shadow
// memory of the race detector is as large. Files have names of their own.
func ofGo(line string, from, to uintptr, inGo string) bool {
	var object uintptr
	fmt.Sscanf(inGo, "0x%x", &object)
	return strings.Contains(line, "Go:") || strings.Contains(line, "[stack]") || to-from >= 64<<20 ||
		object >= from && object < to || from>>30 == object>>30
}

// count counts the copies of the secret in part.
func (n heapScanner) count(part []byte) (found int) {
	for {
		i := bytes.IndexByte(part, n[0]^scanMask)
		if i < 0 || len(part)-i < len(n) {
			return found
		}
		same := true
		for j := range n {
			same = same && part[i+j] == n[j]^scanMask
		}
		if same {
			found++
		}
		part = part[i+1:]
	}
}

// TestNothingLeftInCHeap searches for plaintexts and key material after calls through the
// driver, and after the same calls through miekg/pkcs11 as a control.
func TestNothingLeftInCHeap(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	id := freshID()
	created, err := d.GenerateKey(t.Context(), id, decryptSpec)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(created.PublicDER)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(t.Context(), id, decryptSpec, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAttackSession(t, token)
	private := a.objects(id)[0]
	ours, control, imported := 0, 0, 0
	const rounds = 10 // a scan of the memory takes long
	for range rounds {
		plain := make([]byte, 128, 256)
		n := newHeapScanner(plain)
		ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public.(*rsa.PublicKey), plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		plain, err = key.(driver.Decrypter).Decrypt(t.Context(), plain[:0], driver.RSAOAEPSHA1, ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		ours += n.inCHeap(t)

		oaep := p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil)
		if err := a.DecryptInit(a.session, mech(p11.CKM_RSA_PKCS_OAEP, oaep), private); err != nil {
			t.Fatal(err)
		}
		plain, err = a.Decrypt(a.session, ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		control += min(1, n.inCHeap(t))

		material := make([]byte, 32)
		m := newHeapScanner(material)
		if _, err := d.(driver.Importer).ImportKey(t.Context(), freshID(), derive, material); err != nil {
			t.Fatal(err)
		}
		suite.Wipe(material)
		imported += m.inCHeap(t)
	}
	t.Logf("%d rounds: %d plaintexts and %d keys left by the driver; %d plaintexts by the control", rounds, ours, imported, control)
	if ours != 0 || imported != 0 {
		t.Errorf("the driver leaves %d plaintexts and %d keys in the C heap", ours, imported)
	}
	if control < rounds/2 {
		t.Errorf("the search found %d of %d secrets left by the control", control, rounds)
	}
}
