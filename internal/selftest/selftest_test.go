package selftest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

func suites() []suite.ID {
	return slices.DeleteFunc([]suite.ID{suite.AES, suite.SM}, func(id suite.ID) bool { return !id.Usable() })
}

func TestEditions(t *testing.T) {
	for _, e := range []driver.Edition{driver.Standard, driver.FIPS, driver.SM} {
		if e == driver.SM && !suite.SM.Usable() {
			continue
		}
		if err := Edition(e); err != nil {
			t.Errorf("Edition(%v): %v", e, err)
		}
	}
	if err := Edition(9); !errors.Is(err, ErrFailed) {
		t.Errorf("Edition(9): %v, want ErrFailed", err)
	}
	if err := Suite(9); !errors.Is(err, ErrFailed) {
		t.Errorf("Suite(9): %v, want ErrFailed", err)
	}
}

// brokenAEAD is an AEAD with one method replaced.
type brokenAEAD struct {
	aead
	open func(dst, sealed, aad []byte) ([]byte, error)
	seal func(dst, plaintext, aad []byte) ([]byte, error)
	wipe func()
}

func (b brokenAEAD) Open(dst, sealed, aad []byte) ([]byte, error) {
	if b.open == nil {
		return b.aead.Open(dst, sealed, aad)
	}
	return b.open(dst, sealed, aad)
}

func (b brokenAEAD) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	if b.seal == nil {
		return b.aead.Seal(dst, plaintext, aad)
	}
	return b.seal(dst, plaintext, aad)
}

func (b brokenAEAD) Wipe() {
	if b.wipe != nil {
		b.wipe()
	}
	b.aead.Wipe()
}

// faults break one primitive each, in ways in which libraries have been broken.
var faults = []struct {
	what string
	in   string // the check that must fail
	by   func(p *primitives)
}{
	{"the hash drops what is long", "the hash", func(p *primitives) {
		whole := p.hash
		p.hash = func(parts ...[]byte) [32]byte {
			if len(parts[0]) > 512 {
				return whole(parts[0][:512])
			}
			return whole(parts...)
		}
	}},
	{"the hash takes the first part only", "the hash", func(p *primitives) {
		whole := p.hash
		p.hash = func(parts ...[]byte) [32]byte { return whole(parts[0]) }
	}},
	{"the MAC is a hash", "the MAC", func(p *primitives) {
		hash := p.hash
		p.mac = func(_ []byte, parts ...[]byte) [32]byte { return hash(parts...) }
	}},
	{"the MAC of long messages has no key", "the MAC", func(p *primitives) {
		whole := p.mac
		p.mac = func(key []byte, parts ...[]byte) [32]byte {
			if len(parts[0]) > 512 {
				key = make([]byte, len(key))
			}
			return whole(key, parts...)
		}
	}},
	{"the KDF repeats its first block", "the key derivation", func(p *primitives) {
		whole := p.kdf
		p.kdf = func(dst, key []byte, label string, context []byte) {
			whole(dst, key, label, context)
			copy(dst[32:], dst[:32])
		}
	}},
	{"the KDF ignores the context", "the key derivation", func(p *primitives) {
		whole := p.kdf
		p.kdf = func(dst, key []byte, label string, _ []byte) { whole(dst, key, label, nil) }
	}},
	{"the cipher runs under zeros", "the cipher", func(p *primitives) {
		whole := p.newAEAD
		p.newAEAD = func(key []byte) (aead, error) { return whole(make([]byte, len(key))) }
	}},
	{"the cipher does not check the tag", "the cipher", func(p *primitives) {
		whole := p.newAEAD
		p.newAEAD = func(key []byte) (aead, error) {
			a, err := whole(key)
			return brokenAEAD{aead: a, open: func(dst, sealed, aad []byte) ([]byte, error) {
				if out, err := a.Open(dst, sealed, aad); err == nil {
					return out, nil
				}
				return append(dst, sealed...), nil
			}}, err
		}
	}},
	{"the cipher seals in the clear", "the cipher", func(p *primitives) {
		whole := p.newAEAD
		p.newAEAD = func(key []byte) (aead, error) {
			a, err := whole(key)
			return brokenAEAD{aead: a, seal: func(dst, plaintext, _ []byte) ([]byte, error) {
				return append(dst, plaintext...), nil
			}}, err
		}
	}},
	{"every key but the known ones is the same", "the cipher's wiping", func(p *primitives) {
		whole := p.newAEAD
		p.newAEAD = func(key []byte) (aead, error) {
			known := func(a aeadAnswer) bool { return bytes.Equal(key, unhex(a.key)) }
			if !slices.ContainsFunc(answersOf[p.id].aeads, known) {
				key = make([]byte, len(key))
			}
			return whole(key)
		}
	}},
	{"the cipher keeps the caller's key bytes", "the cipher's wiping", func(p *primitives) {
		whole := p.newAEAD
		p.newAEAD = func(key []byte) (aead, error) {
			a, err := whole(key)
			return brokenAEAD{aead: a, open: func(dst, sealed, aad []byte) ([]byte, error) {
				late, err := whole(key)
				if err != nil {
					return nil, err
				}
				return late.Open(dst, sealed, aad)
			}}, err
		}
	}},
	{"two ciphers share their state", "the cipher's wiping", func(p *primitives) {
		whole, wiped := p.newAEAD, false
		p.newAEAD = func(key []byte) (aead, error) {
			if wiped = wiped && !bytes.Equal(key, unhex(answersOf[p.id].aeads[0].key)); wiped {
				key = make([]byte, len(key))
			}
			a, err := whole(key)
			return brokenAEAD{aead: a, wipe: func() { wiped = true }, open: func(dst, sealed, aad []byte) ([]byte, error) {
				if wiped {
					return nil, suite.ErrOpen
				}
				return a.Open(dst, sealed, aad)
			}}, err
		}
	}},
	{"every signature verifies", "the signature", func(p *primitives) {
		p.verify = func(_, _, _ []byte) bool { return true }
	}},
	{"no signature verifies", "the signature", func(p *primitives) {
		p.verify = func(_, _, _ []byte) bool { return false }
	}},
	{"the seed is not used", "the signature", func(p *primitives) {
		whole := p.publicKey
		p.publicKey = func(seed []byte) ([]byte, error) { return whole(make([]byte, len(seed))) }
	}},
	{"the signature is of another key", "the signature", func(p *primitives) {
		whole := p.sign
		p.sign = func(seed, message []byte) ([]byte, error) { return whole(bytes.Repeat([]byte{9}, len(seed)), message) }
	}},
	{"PBKDF2 does one iteration", "PBKDF2", func(p *primitives) {
		whole := p.pbkdf2
		p.pbkdf2 = func(password, salt []byte, _, n int) []byte { return whole(password, salt, 1, n) }
	}},
	{"Argon2id has less memory", "Argon2id", func(p *primitives) {
		whole := p.argon2id
		p.argon2id = func(password, salt []byte, time, _ uint32, threads uint8, n uint32) []byte {
			return whole(password, salt, time, 8, threads, n)
		}
	}},
	{"key wrap checks nothing", "AES key wrap", func(p *primitives) {
		p.unwrap = func(_, _, _ []byte) ([]byte, error) { return unhex(wrapMaterial), nil }
	}},
	{"key wrap does not wrap", "AES key wrap", func(p *primitives) {
		p.wrap = func(dst, _, material []byte) ([]byte, error) { return append(dst, material...), nil }
	}},
	{"a primitive panics", "the MAC", func(p *primitives) {
		p.mac = func([]byte, ...[]byte) [32]byte { panic("illegal instruction") }
	}},
}

// TestFaults breaks each primitive in turn. The self-test must name it.
func TestFaults(t *testing.T) {
	all := append(slices.Clone(suiteChecks), pbkdf2Check, argon2Check, keyWrapCheck)
	for _, id := range suites() {
		if err := run(primitivesOf(id), all); err != nil {
			t.Errorf("nothing is broken, and the self-test returns %v", err)
		}
		for _, f := range faults {
			p := primitivesOf(id)
			f.by(&p)
			err := run(p, all)
			if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), ": "+f.in+" of ") {
				t.Errorf("%v, %s: the self-test returns %v, want a failure of %s", id, f.what, err, f.in)
			}
		}
		for _, c := range all {
			if !slices.ContainsFunc(faults, func(f struct {
				what, in string
				by       func(*primitives)
			}) bool {
				return f.in == c.name
			}) {
				t.Errorf("no fault is tried in %s", c.name)
			}
		}
	}
}

func BenchmarkEdition(b *testing.B) {
	for _, e := range []struct {
		name   string
		id     suite.ID
		checks []check
	}{
		{"STANDARD", suite.AES, append(slices.Clone(suiteChecks), argon2Check, keyWrapCheck)},
		{"FIPS", suite.AES, append(slices.Clone(suiteChecks), pbkdf2Check, keyWrapCheck)},
		{"SM", suite.SM, append(slices.Clone(suiteChecks), pbkdf2Check, keyWrapCheck)},
	} {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				if err := run(primitivesOf(e.id), e.checks); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
