package soft

import (
	"runtime"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
)

// A keptSecret is the secret of a protector, from its creation until wipe. It is in
// locked memory. If the process can get no locked memory it is on the heap, because a
// protector cannot report that and must open the vault all the same.
type keptSecret struct {
	redacted
	locked *lockedmem.Buffer
	heap   []byte
}

// keepSecret returns a secret of n bytes, which fill writes. If the caller does not wipe
// the secret, it is wiped when it becomes unreachable.
func keepSecret(n int, fill func([]byte)) *keptSecret {
	s := new(keptSecret)
	buf, err := lockedmem.Process.Alloc(n)
	if err != nil { // also if n is 0 or too large
		s.heap = suite.NewSecret(n)
	} else {
		s.locked = buf
		runtime.AddCleanup(s, func(b *lockedmem.Buffer) { b.Free() }, buf)
	}
	fill(s.bytes())
	return s
}

// bytes returns the secret itself. It returns nil after wipe and for a nil *keptSecret.
// The caller must keep the *keptSecret reachable while it uses the result.
func (s *keptSecret) bytes() []byte {
	switch {
	case s == nil:
		return nil
	case s.locked != nil:
		return s.locked.Bytes()
	}
	return s.heap
}

// wipe zeroes the secret. Calling it twice, or on nil, has no effect.
func (s *keptSecret) wipe() {
	if s == nil {
		return
	}
	s.locked.Free()
	suite.Wipe(s.heap)
	s.heap = nil
}

// redacted makes every type that embeds it print redacted.
type redacted = redact.Secret
