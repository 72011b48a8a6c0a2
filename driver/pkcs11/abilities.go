//go:build cgo && unix

package pkcs11

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"strings"

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
	// origin names, by class (CKO), those of originAttributes that the token reports of
	// every key that it generated. A key under one of our ids that lacks them was put
	// there by somebody else. NSS reports none of CKA_LOCAL.
	origin map[uint][]string
	// leaks: a key that is not extractable came out.
	leaks bool
	// doubtful is a failure that stayed and may yet have been the token's state.
	doubtful error
	findings []Finding
}

// An examination is a self-test under way. Its keys are objects of one session, and
// used in another, which ends with a trial that fails: some tokens leave the failed
// operation active.
type examination struct {
	session
	keys session
	abilities
	ended   error // what ended it: a fault of the token that is none of its inabilities
	profile profile
	listed  map[uint]bool
	largest uint   // RSA modulus in bits
	pair    []byte // PKCS #8 of an RSA key of 2048 bits, made in the host
}

// trialLabel is that of all keys of an examination, which no list shows. Where they last,
// one that was broken off leaves some, and the next destroys them; two processes that
// examine such a token at once take each other's away, and try again.
const trialLabel = "sr-trial"

// examine tries everything that the driver offers. What the token answers is a
// finding; what may pass is tried again, and is an error where nothing is left. Where no
// key of a session works, the token is tried once more with keys that last, since some
// make no others. A token without any key that the driver can use is Unsupported; what was
// found is returned with that.
func (s session) examine(p profile) (*abilities, error) {
	able, err := s.examineBy(p)
	if err != nil || len(able.specs) > 0 {
		return able, err
	}
	first := able
	if !p.noSessionObjects {
		p.noSessionObjects = true
		if able, err = s.examineBy(p); err == nil && len(able.specs) > 0 {
			return able, nil
		}
	}
	return first, fault("Open", driver.Unsupported, errors.Join(s.useless(first), err))
}

// examineBy is examine with keys of a session or, by profile, keys that last.
func (s session) examineBy(p profile) (*abilities, error) {
	list, err := s.mod.ctx.GetMechanismList(s.epoch.slot)
	if err != nil {
		return nil, from("C_GetMechanismList", err)
	}
	x := &examination{session: s, keys: s, profile: p, listed: make(map[uint]bool)}
	if _, err := s.clear(template{raw(p11.CKA_LABEL, []byte(trialLabel)), yes(p11.CKA_TOKEN)}); err != nil && passes(err) {
		return nil, err
	}
	if err := x.another(); err != nil {
		return nil, err
	}
	defer x.leave()
	x.native = make(map[driver.EncryptAlg]bool)
	x.origin = make(map[uint][]string)
	for _, m := range list {
		x.listed[m.Mechanism] = true
	}
	info, err := s.mod.ctx.GetMechanismInfo(s.epoch.slot, []*p11.Mechanism{p11.NewMechanism(p11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)})
	if err == nil {
		x.largest = info.MaxKeySize
	}
	x.tryAll()
	if x.ended == nil && len(x.specs) == 0 {
		x.ended = x.doubtful
	}
	if x.ended != nil {
		return nil, x.ended
	}
	if _, err := s.mod.ctx.GetSessionInfo(s.handle); err != nil {
		return nil, from("C_GetSessionInfo", err)
	}
	return &x.abilities, nil
}

// useless says why a token offers nothing, and what to do.
func (s session) useless(able *abilities) error {
	var tried []string
	for _, f := range able.findings {
		if !f.Works {
			tried = append(tried, f.Ability+": "+f.Note)
		}
	}
	advice := "give its keys another token"
	if isTPM(s.epoch.info) {
		advice = "use the driver tpm, which works with the TPM itself"
	}
	return fmt.Errorf("the token makes no key that the driver can use; %s (%s)", advice, strings.Join(tried, "; "))
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
	x.tryNested()
}

func (x *examination) tryRandom() {
	x.random = x.try("random numbers", func() error {
		if x.profile.without(AbilityRandom) {
			return errLeftOut
		}
		first, second := make([]byte, 32), make([]byte, 32)
		err := errors.Join(x.mod.random(uint(x.handle), first), x.mod.random(uint(x.handle), second))
		if err == nil && string(first) == string(second) {
			err = errTrial
		}
		return err
	})
}

// sha1Allowed: Go refuses SHA-1 where the process enforces FIPS 140, and with it the
// host's half of OAEP with SHA-1.
func sha1Allowed() bool { return !fips140.Enforced() }
