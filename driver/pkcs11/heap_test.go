//go:build cgo && linux

package pkcs11_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/internal/testtoken"
)

// A needle is the end of a secret, for a search of memory. It is not the beginning,
// because an allocator overwrites the beginning of freed memory. It is kept masked, so
// that the search does not find the needle itself.
type needle [16]byte

const needleMask = 0x5A

// newNeedle writes a random secret to plain, which is on the Go heap.
func newNeedle(plain []byte) (n needle) {
	rand.Read(plain)
	end := plain[len(plain)-len(n):]
	for i := range n {
		n[i] = end[i] ^ needleMask
	}
	return n
}

// inCHeap counts the copies of the secret in writable memory that does not belong to Go:
// the C heap, including the arenas of threads.
func (n needle) inCHeap(t *testing.T) (found int) {
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
func (n needle) count(part []byte) (found int) {
	for {
		i := bytes.IndexByte(part, n[0]^needleMask)
		if i < 0 || len(part)-i < len(n) {
			return found
		}
		same := true
		for j := range n {
			same = same && part[i+j] == n[j]^needleMask
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
	seal := driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}
	if _, err := d.GenerateKey(t.Context(), id, seal); err != nil {
		t.Fatal(err)
	}
	key, err := d.OpenKey(t.Context(), id, seal, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t, token)
	handle := a.objects(id)[0]
	ours, control, imported, rounds := 0, 0, 0, 40
	if raceDetector {
		rounds = 10 // scanning the race detector's shadow memory takes long
	}
	for range rounds {
		plain := make([]byte, 256)
		n := newNeedle(plain)
		ciphertext, err := key.(driver.AEAD).Seal(t.Context(), nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		plain, err = key.(driver.AEAD).Open(t.Context(), plain[:0], ciphertext, nil)
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		ours += n.inCHeap(t)

		params := p11.NewGCMParams(ciphertext[:12], nil, 128)
		if err := a.DecryptInit(a.session, mech(p11.CKM_AES_GCM, params), handle); err != nil {
			t.Fatal(err)
		}
		plain, err = a.Decrypt(a.session, ciphertext[12:])
		params.Free()
		if err != nil {
			t.Fatal(err)
		}
		suite.Wipe(plain)
		control += min(1, n.inCHeap(t))

		material := make([]byte, 32)
		m := newNeedle(material)
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
