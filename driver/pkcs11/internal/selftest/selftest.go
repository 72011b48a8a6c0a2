//go:build cgo && unix

// Package selftest determines what a token can do. It tries each ability with keys of its
// own, and checks the results against Go's cryptography where possible.
package selftest

import (
	"errors"
	"fmt"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/internal/suite"
)

// The abilities other than key algorithms that a configuration can leave out, by name.
const (
	randomAbility         = "random"
	wrappedImportAbility  = "wrapped-import"
	unwrapTemplateAbility = "unwrap-template"
)

// A Finding is the result of the trial of one ability.
type Finding struct {
	Ability string
	Works   bool
	// Note is the reason why it does not work, with the token's error if there is one.
	Note string
}

// A Result has the results of the self-test of a token.
type Result struct {
	Specs []driver.SpecInfo
	// Native has the OAEP variants that the token supports itself. The driver computes
	// the others over raw RSA.
	Native map[driver.EncryptAlg]bool
	// KeyWrap is the mechanism that unwraps AES-KWP (RFC 5649), 0 for none.
	KeyWrap uint
	Random  bool
	// Origin lists, by class (CKO), those of object.OriginAttributes that the token sets on
	// every key that it generated. A key under one of the driver's ids without them was
	// put there by another program. NSS does not set CKA_LOCAL.
	Origin map[uint][]string
	// Leaks: a key that is not extractable could be read or wrapped.
	Leaks bool
	// Inconclusive is a failure that persisted but may be due to the token's state.
	Inconclusive error
	Findings     []Finding
}

// A run is one run of the self-test. Its keys are objects of one session and are
// used in a second session, which is replaced after each failed trial, because some
// tokens leave the failed operation active.
type run struct {
	object.Session
	keys object.Session
	Result
	ended   error // why it ended early: a failure of the token, not a missing ability
	profile object.Profile
	listed  map[uint]bool
	largest uint   // RSA modulus in bits
	pair    []byte // PKCS #8 of an RSA key of 2048 bits, made in the host
}

// trialLabel is the label of all keys of a self-test. ListKeys does not return them.
// If the token makes only persistent keys, an interrupted self-test leaves some, and
// the next one destroys them. Two processes that test such a token at the same time
// therefore destroy each other's keys, and retry.
const trialLabel = "sr-trial"

// Run tests every ability that the driver uses. An error from the token becomes a
// finding. A temporary error is retried, and ends the self-test with an error if it
// persists. If no session key works, the token is tested again with persistent keys,
// because some tokens make no others. If the driver can use no key of the token, the
// error is Unsupported, and the findings are returned with it.
func Run(s object.Session, p object.Profile) (*Result, error) {
	able, err := runWith(s, p)
	if err != nil || len(able.Specs) > 0 {
		return able, err
	}
	first := able
	if !p.NoSessionObjects {
		p.NoSessionObjects = true
		if able, err = runWith(s, p); err == nil && len(able.Specs) > 0 {
			return able, nil
		}
	}
	return first, cryptoki.Fault("Open", driver.Unsupported, errors.Join(noUsableKey(s, first), err))
}

// runWith is Run with session keys or, if the profile says so, persistent keys.
func runWith(s object.Session, p object.Profile) (*Result, error) {
	list, err := s.Lib.Ctx.GetMechanismList(s.Epoch.Slot)
	if err != nil {
		return nil, cryptoki.Convert("C_GetMechanismList", err)
	}
	x := &run{Session: s, keys: s, profile: p, listed: make(map[uint]bool)}
	if _, err := s.DestroyMatching(cryptoki.Template{cryptoki.Bytes(p11.CKA_LABEL, []byte(trialLabel)), cryptoki.True(p11.CKA_TOKEN)}); err != nil && isTransient(err) {
		return nil, err
	}
	if err := x.newSession(); err != nil {
		return nil, err
	}
	defer x.leave()
	x.Native = make(map[driver.EncryptAlg]bool)
	x.Origin = make(map[uint][]string)
	for _, m := range list {
		x.listed[m.Mechanism] = true
	}
	info, err := s.Lib.Ctx.GetMechanismInfo(s.Epoch.Slot, []*p11.Mechanism{p11.NewMechanism(p11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)})
	if err == nil {
		x.largest = info.MaxKeySize
	}
	x.tryAll()
	if x.ended == nil && len(x.Specs) == 0 {
		x.ended = x.Inconclusive
	}
	if x.ended != nil {
		return nil, x.ended
	}
	if _, err := s.Lib.Ctx.GetSessionInfo(s.Handle); err != nil {
		return nil, cryptoki.Convert("C_GetSessionInfo", err)
	}
	return &x.Result, nil
}

// noUsableKey returns an error that says why the token is not usable, and the remedy.
func noUsableKey(s object.Session, able *Result) error {
	var tried []string
	for _, f := range able.Findings {
		if !f.Works {
			tried = append(tried, f.Ability+": "+f.Note)
		}
	}
	advice := "give its keys another token"
	if object.IsTPM(s.Epoch.Info) {
		advice = "use the driver tpm, which works with the TPM itself"
	}
	return fmt.Errorf("the token makes no key that the driver can use; %s (%s)", advice, strings.Join(tried, "; "))
}

func (x *run) tryAll() {
	defer func() { suite.Wipe(x.pair) }()
	for _, alg := range []driver.KeyAlgorithm{driver.HMACSHA256, driver.HMACSHA224, driver.HMACSHA384, driver.HMACSHA512} {
		x.trySecret(driver.KeySpec{Algorithm: alg, Usage: driver.Derive})
	}
	x.tryRSA()
	for _, alg := range []driver.KeyAlgorithm{driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519} {
		x.tryCurve(driver.KeySpec{Algorithm: alg, Usage: driver.Sign})
	}
	x.tryUnwrap()
	x.tryRandom()
	x.tryLeaks()
	x.tryNested()
}

func (x *run) tryRandom() {
	x.Random = x.try("random numbers", func() error {
		if x.profile.Without(randomAbility) {
			return errLeftOut
		}
		first, second := make([]byte, 32), make([]byte, 32)
		err := errors.Join(x.Lib.Random(uint(x.Handle), first), x.Lib.Random(uint(x.Handle), second))
		if err == nil && string(first) == string(second) {
			err = object.ErrWrongResult
		}
		return err
	})
}
