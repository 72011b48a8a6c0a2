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

// abilities are the results of the self-test of a token.
type abilities struct {
	specs []driver.SpecInfo
	// native has the OAEP variants that the token supports itself. The driver computes
	// the others over raw RSA.
	native map[driver.EncryptAlg]bool
	// keyWrap is the mechanism that unwraps AES-KWP (RFC 5649), 0 for none.
	keyWrap uint
	random  bool
	// origin lists, by class (CKO), those of originAttributes that the token sets on
	// every key that it generated. A key under one of the driver's ids without them was
	// put there by another program. NSS does not set CKA_LOCAL.
	origin map[uint][]string
	// leaks: a key that is not extractable could be read or wrapped.
	leaks bool
	// doubtful is a failure that persisted but may be due to the token's state.
	doubtful error
	findings []Finding
}

// An examination is a run of the self-test. Its keys are objects of one session and are
// used in a second session, which is replaced after each failed trial, because some
// tokens leave the failed operation active.
type examination struct {
	session
	keys session
	abilities
	ended   error // why it ended early: a failure of the token, not a missing ability
	profile profile
	listed  map[uint]bool
	largest uint   // RSA modulus in bits
	pair    []byte // PKCS #8 of an RSA key of 2048 bits, made in the host
}

// trialLabel is the label of all keys of an examination. ListKeys does not return them.
// If the token makes only persistent keys, an interrupted examination leaves some, and
// the next one destroys them. Two processes that examine such a token at the same time
// therefore destroy each other's keys, and retry.
const trialLabel = "sr-trial"

// examine tests every ability that the driver uses. An error from the token becomes a
// finding. A temporary error is retried, and ends the examination with an error if it
// persists. If no session key works, the token is tested again with persistent keys,
// because some tokens make no others. If the driver can use no key of the token, the
// error is Unsupported, and the findings are returned with it.
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

// examineBy is examine with session keys or, if the profile says so, persistent keys.
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

// useless returns an error that says why the token is not usable, and the remedy.
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

// sha1Allowed reports whether SHA-1 can be used. Go refuses it if the process enforces
// FIPS 140, and with it the part of OAEP with SHA-1 that runs in the host.
func sha1Allowed() bool { return !fips140.Enforced() }
