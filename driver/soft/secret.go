package soft

import (
	"runtime"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A keptSecret is the secret of a protector, from its creation to wipe. It is in locked
// memory, and on the heap only where there is none to be had: a protector has no way to
// report that, and opens a vault all the same.
type keptSecret struct {
	redacted
	locked *lockedmem.Buffer
	heap   []byte
}

// keepSecret returns a secret of n bytes that fill writes. A secret that the caller
// forgets to wipe is wiped once nothing refers to it.
func keepSecret(n int, fill func([]byte)) *keptSecret {
	s := new(keptSecret)
	buf, err := lockedmem.Process.Alloc(n)
	if err != nil { // also where n is 0, or too much
		s.heap = make([]byte, n)
	} else {
		s.locked = buf
		runtime.AddCleanup(s, func(b *lockedmem.Buffer) { b.Free() }, buf)
	}
	fill(s.bytes())
	return s
}

// bytes returns the secret itself, nil after wipe and of a nil *keptSecret. The caller
// keeps the *keptSecret alive while it uses them.
func (s *keptSecret) bytes() []byte {
	switch {
	case s == nil:
		return nil
	case s.locked != nil:
		return s.locked.Bytes()
	}
	return s.heap
}

// wipe zeroes the secret. Wiping twice is fine, and so is wiping nil.
func (s *keptSecret) wipe() {
	if s == nil {
		return
	}
	s.locked.Free()
	suite.Wipe(s.heap)
	s.heap = nil
}
