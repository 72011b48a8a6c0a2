package selftest

import (
	"bytes"
	"errors"

	"strongroom.example/internal/suite"
)

// A check tests one primitive.
type check struct {
	name string
	test func(primitives) error
}

// suiteChecks are the checks of a suite.
var suiteChecks = []check{
	{"the hash", checkHash},
	{"the MAC", checkMAC},
	{"the key derivation", checkKDF},
	{"the cipher", checkAEAD},
	{"the cipher's wiping", checkWiping},
	{"the signature", checkSignature},
}

var (
	pbkdf2Check  = check{"PBKDF2", checkPBKDF2}
	argon2Check  = check{"Argon2id", checkArgon2}
	keyWrapCheck = check{"AES key wrap", checkKeyWrap}
)

var (
	errAnswer   = errors.New("a known answer differs")
	errAccepts  = errors.New("it accepts what it must refuse")
	errRefuses  = errors.New("it refuses what it must accept")
	errSurvives = errors.New("the wiping of one key changes another")
)

// same returns errAnswer unless got equals want, which is in hexadecimal.
func same(got []byte, want string) error {
	if !bytes.Equal(got, unhex(want)) {
		return errAnswer
	}
	return nil
}

// long returns a message that is hashed on the path for long messages.
func long() []byte { return bytes.Repeat([]byte{'a'}, 600) }

func checkHash(p primitives) error {
	short, of600 := p.hash([]byte("a"), []byte("bc")), p.hash(long())
	return errors.Join(same(short[:], answersOf[p.id].hashShort), same(of600[:], answersOf[p.id].hashLong))
}

func checkMAC(p primitives) error {
	key := bytes.Repeat([]byte{0x0b}, 20)
	short, of600 := p.mac(key, []byte("Hi "), []byte("There")), p.mac(key, long())
	return errors.Join(same(short[:], answersOf[p.id].macShort), same(of600[:], answersOf[p.id].macLong))
}

func checkKDF(p primitives) error {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	dst := make([]byte, 80)
	p.kdf(dst, key, "strongroom/selftest", []byte("context"))
	return same(dst, answersOf[p.id].kdf)
}

// checkAEAD opens a text that another implementation sealed, and one that the AEAD under
// test sealed.
func checkAEAD(p primitives) error {
	for _, known := range answersOf[p.id].aeads {
		a, err := p.newAEAD(unhex(known.key))
		if err != nil {
			return err
		}
		defer a.Wipe()
		if err := known.opens(a); err != nil {
			return err
		}
		sealed := known.sealed()
		for _, i := range []int{0, len(known.nonce) / 2, len(sealed) - 1} {
			sealed[i] ^= 1
			if _, err := a.Open(nil, sealed, unhex(known.aad)); err == nil {
				return errAccepts
			}
			sealed[i] ^= 1
		}
		if _, err := a.Open(nil, sealed, nil); err == nil {
			return errAccepts
		}
		own, err := a.Seal(nil, unhex(known.plaintext), unhex(known.aad))
		if err != nil {
			return err
		}
		opened, err := a.Open(nil, own, unhex(known.aad))
		if err != nil {
			return errRefuses
		}
		if bytes.Equal(own, sealed) || same(opened, known.plaintext) != nil {
			return errAnswer
		}
	}
	return nil
}

func (known aeadAnswer) sealed() []byte { return unhex(known.nonce + known.ciphertext + known.tag) }

func (known aeadAnswer) opens(a aead) error {
	opened, err := a.Open(nil, known.sealed(), unhex(known.aad))
	if err != nil {
		return errRefuses
	}
	return same(opened, known.plaintext)
}

// checkWiping tests that a text sealed under one key does not open under another, neither
// before nor after the first key is wiped; that wiping a key, or the bytes from which it
// was made, does not change a cipher under another key; and that the first key works
// again when it is loaded again.
func checkWiping(p primitives) error {
	known := answersOf[p.id].aeads[0]
	size := len(unhex(known.key))
	first, other := bytes.Repeat([]byte{1}, size), unhex(known.key)
	a, err := p.newAEAD(first)
	if err != nil {
		return err
	}
	b, err := p.newAEAD(other)
	if err != nil {
		return err
	}
	defer b.Wipe()
	suite.Wipe(other)
	sealed, err := a.Seal(nil, []byte("sealed under the first key"), nil)
	if err != nil {
		return err
	}
	zero, err := p.newAEAD(make([]byte, size))
	if err != nil {
		return err
	}
	defer zero.Wipe()
	strangers := func() error {
		for _, stranger := range []aead{b, zero} {
			if _, err := stranger.Open(nil, sealed, nil); err == nil {
				return errAccepts
			}
		}
		return nil
	}
	if err := strangers(); err != nil {
		return err
	}
	a.Wipe()
	if err := strangers(); err != nil {
		return err
	}
	if known.opens(b) != nil {
		return errSurvives
	}
	again, err := p.newAEAD(first)
	if err != nil {
		return err
	}
	defer again.Wipe()
	if _, err := again.Open(nil, sealed, nil); err != nil {
		return errRefuses
	}
	return nil
}

// checkSignature verifies a known signature, and one that the suite under test makes.
func checkSignature(p primitives) error {
	seed, message := unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), []byte{0x72}
	if p.id == suite.SM {
		seed, message = bytes.Repeat([]byte{7}, suite.SeedSize), []byte("a message")
	}
	known := answersOf[p.id]
	public, err := p.publicKey(seed)
	if err != nil {
		return err
	}
	if err := same(public, known.public); err != nil {
		return err
	}
	made, err := p.sign(seed, message)
	if err != nil {
		return err
	}
	for _, signature := range [][]byte{made, unhex(known.signature)} {
		if !p.verify(public, message, signature) {
			return errRefuses
		}
		if p.verify(public, []byte("another message"), signature) {
			return errAccepts
		}
	}
	if p.id == suite.AES { // Ed25519 is deterministic
		return same(made, known.signature)
	}
	return nil
}

func checkPBKDF2(p primitives) error {
	return same(p.pbkdf2([]byte("passphrase"), []byte("0123456789abcdef"), 2, 32), answersOf[p.id].pbkdf2)
}

func checkArgon2(p primitives) error {
	return same(p.argon2id([]byte("password"), []byte("somesalt"), 1, 64, 1, 24), argon2Answer)
}

func checkKeyWrap(p primitives) error {
	wrapped, err := p.wrap(nil, unhex(wrapKey), unhex(wrapMaterial))
	if err != nil {
		return err
	}
	if err := same(wrapped, wrapAnswer); err != nil {
		return err
	}
	material, err := p.unwrap(nil, unhex(wrapKey), wrapped)
	if err != nil {
		return errRefuses
	}
	if err := same(material, wrapMaterial); err != nil {
		return err
	}
	if _, err := p.unwrap(nil, make([]byte, 24), wrapped); err == nil {
		return errAccepts
	}
	wrapped[len(wrapped)-1] ^= 1
	if _, err := p.unwrap(nil, unhex(wrapKey), wrapped); err == nil {
		return errAccepts
	}
	return nil
}
