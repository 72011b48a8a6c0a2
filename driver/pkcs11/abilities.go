//go:build cgo && unix

package pkcs11

import (
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// Abilities are what a token can do.
type abilities struct {
	specs []driver.SpecInfo
	// native are the OAEP variants that the token does itself; others are done over
	// raw RSA.
	native map[driver.EncryptAlg]bool
	// keyWrap is the mechanism that unwraps AES-KWP (RFC 5649), 0 for none.
	keyWrap uint
	random  bool
	// leaks: a key that is not extractable came out.
	leaks    bool
	findings []Finding
}

// An examination is a self-test under way. Its keys are objects of one session.
type examination struct {
	session
	abilities
	profile profile
	listed  map[uint]bool
	largest uint   // RSA modulus in bits
	pair    []byte // PKCS #8 of an RSA key of 2048 bits, made in the host
}

// examine tries everything that the driver offers. What the token answers is a
// finding; only a session that dies ends it.
func (s session) examine(p profile) (*abilities, error) {
	list, err := s.mod.ctx.GetMechanismList(s.epoch.slot)
	if err != nil {
		return nil, from("C_GetMechanismList", err)
	}
	x := &examination{session: s, profile: p, listed: make(map[uint]bool)}
	x.native = make(map[driver.EncryptAlg]bool)
	for _, m := range list {
		x.listed[m.Mechanism] = true
	}
	info, err := s.mod.ctx.GetMechanismInfo(s.epoch.slot, []*p11.Mechanism{p11.NewMechanism(p11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)})
	if err == nil {
		x.largest = info.MaxKeySize
	}
	x.tryAll()
	if _, err := s.mod.ctx.GetSessionInfo(s.handle); err != nil {
		return nil, from("C_GetSessionInfo", err)
	}
	return &x.abilities, nil
}

func (x *examination) tryAll() {
	defer func() { suite.Wipe(x.pair) }()
	x.trySecret(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive})
	x.trySecret(driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal})
	x.tryRSA()
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519} {
		x.tryCurve(driver.KeySpec{Algorithm: alg, Usage: driver.Sign})
	}
	x.tryUnwrap()
	x.tryRandom()
	x.tryLeaks()
}

// note adds a finding and reports whether it is good.
func (x *examination) note(ability string, err error) bool {
	f := Finding{Ability: ability, Works: err == nil}
	if err != nil {
		f.Note = err.Error()
	}
	x.findings = append(x.findings, f)
	return err == nil
}

var errNotListed = errors.New("the token does not list the mechanisms")

// fresh makes a key of a shape that lives as long as the session, and its public
// half. done destroys it.
func (x *examination) fresh(spec driver.KeySpec) (o *object, public crypto.PublicKey, done func(), err error) {
	done = func() {}
	sh, ok := shapeOf(spec)
	if !ok || !x.listed[sh.generate] || !slices.ContainsFunc(sh.mechanisms, func(m uint) bool { return x.listed[m] }) {
		return nil, nil, done, errNotListed
	}
	r := request{shape: sh}
	rand.Read(r.id[:])
	handle, err := x.generate(r)
	if err != nil {
		return nil, nil, done, err
	}
	done = func() { x.sweep(r.id) } // what is left ends with the session
	if _, err = x.fitting(handle, r, false); err == nil {
		public, err = x.public(handle, r)
	}
	return x.at(handle, r), public, done, err
}

func (x *examination) tryRandom() {
	first, second := make([]byte, 32), make([]byte, 32)
	err := errors.Join(x.mod.random(uint(x.handle), first), x.mod.random(uint(x.handle), second))
	if err == nil && string(first) == string(second) {
		err = errTrial
	}
	x.random = x.note("random numbers", err)
}

// sha1Allowed: Go refuses SHA-1 where the process enforces FIPS 140, and with it the
// host's half of OAEP with SHA-1.
func sha1Allowed() bool { return !fips140.Enforced() }
