//go:build cgo && unix

package object

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
)

// Generate makes the key in the token.
func (s Session) Generate(r KeyRequest) (p11.ObjectHandle, error) {
	mechanism := []*p11.Mechanism{p11.NewMechanism(r.Shape.Generate, nil)}
	return s.withFallback("generate", r, func(level int) (p11.ObjectHandle, error) {
		if r.Shape.Secret() {
			t := append(r.protectedTemplate(level), cryptoki.Ulong(p11.CKA_VALUE_LEN, r.Shape.Size))
			o, err := s.Lib.Ctx.GenerateKey(s.Handle, mechanism, t.Attributes())
			return o, cryptoki.Convert("C_GenerateKey", err)
		}
		private := r.protectedTemplate(level)
		if r.Nested || !r.Trial && r.Shape.Spec.Usage == driver.Unwrap && s.Epoch.Levels.Nested.Load() {
			unwrapped, free := cryptoki.EncodeNested(unwrappedTemplate())
			defer free()
			private = append(private, cryptoki.Bytes(p11.CKA_UNWRAP_TEMPLATE, unwrapped))
		}
		public, o, err := s.Lib.Ctx.GenerateKeyPair(s.Handle, mechanism, r.Public(level).Attributes(), private.Attributes())
		if err != nil {
			return 0, cryptoki.Convert("C_GenerateKeyPair", err)
		}
		return o, s.keepPair(public, o, r)
	})
}

// CreateObject creates an object with the given material in the token. The caller wipes the
// values.
func (s Session) CreateObject(r KeyRequest, values cryptoki.Template) (p11.ObjectHandle, error) {
	return s.withFallback("place", r, func(level int) (p11.ObjectHandle, error) {
		o, err := s.Lib.Create(uint(s.Handle), slices.Concat(r.protectedTemplate(level), values))
		return p11.ObjectHandle(o), err
	})
}

var ErrNotAsRequested = errors.New("the token made a key that is not what was asked for: it is not used")

// attempts is how often a key is made before the token counts as not following its
// template. SoftHSM 2.6.1 sometimes stores a new key without some of its attributes,
// including "sensitive", while other threads search for objects.
const attempts = 4

// EnsureKey makes a key, unless an earlier attempt made it.
func (s Session) EnsureKey(r KeyRequest, how func(Session, KeyRequest) (p11.ObjectHandle, error)) (driver.Created, error) {
	o, f, err := s.ensureConforming(r, how)
	if err != nil {
		return driver.Created{}, err
	}
	return s.describe(o, r, f)
}

// ensureConforming returns the existing key, or makes one with the requested attributes.
func (s Session) ensureConforming(r KeyRequest, how func(Session, KeyRequest) (p11.ObjectHandle, error)) (o p11.ObjectHandle, f Facts, err error) {
	for range attempts {
		var there bool
		if o, there, err = s.existing(r); err != nil {
			return 0, Facts{}, err
		}
		if !there {
			o, err = how(s, r)
		}
		if err == nil {
			f, err = s.CheckNew(o, r, there)
		}
		if !errors.Is(err, ErrNotAsRequested) {
			return o, f, err
		}
	}
	return 0, Facts{}, err
}

// CheckNew checks a key against the request. A new key that does not match is destroyed;
// an existing one is not changed.
func (s Session) CheckNew(o p11.ObjectHandle, r KeyRequest, there bool) (Facts, error) {
	f, err := s.inspect(o, r)
	if err == nil && f.Conforms {
		f.Conforms, err = s.hasID(o, r.ID)
		f.Conforms = f.Conforms && f.generatedHere(r.Origin)
	}
	switch {
	case err != nil:
		return Facts{}, err
	case !f.Conforms && there:
		return Facts{}, cryptoki.Fault("C_FindObjects", driver.Invalid, errOtherMaterial)
	case !f.Conforms:
		return Facts{}, cryptoki.Fault("C_GetAttributeValue", driver.Unsupported, errors.Join(ErrNotAsRequested, s.destroy(o), s.DestroyByID(r.ID)))
	}
	return f, nil
}

// hasID reports whether an object has the id. Without it the key could not be found
// again.
func (s Session) hasID(o p11.ObjectHandle, id driver.MaterialID) (bool, error) {
	reported, err := s.Attribute(o, p11.CKA_ID)
	return bytes.Equal(reported, id[:]), err
}

var errOtherMaterial = errors.New("the token has other material under this id")

// existing looks for a key left by an earlier attempt. No other object may have the id,
// because some tokens replace a key whose id is used again.
func (s Session) existing(r KeyRequest) (p11.ObjectHandle, bool, error) {
	all, err := s.Find(cryptoki.Template{cryptoki.Bytes(p11.CKA_ID, r.ID[:])})
	if err != nil || len(all) == 0 {
		return 0, false, err
	}
	same, err := s.Find(r.Shape.Search(r.ID))
	if err != nil {
		return 0, false, err
	}
	one := len(same) == 1
	if len(same) > 1 {
		if one, err = s.oneKey(same, s.ObjectAt(same[0], r)); err != nil {
			return 0, false, err
		}
	}
	switch {
	case one:
		return same[0], true, nil
	case len(same) == 0 && !r.Shape.Secret():
		return 0, false, s.clearHalf(r, all)
	}
	return 0, false, cryptoki.Fault("C_FindObjects", driver.Invalid, errOtherMaterial)
}

// clearHalf destroys a public key without its private key, which is left when making a
// pair is interrupted. It does not touch other objects with the id. Private objects are
// hidden if the login has just ended, so it believes that there is none only if the same
// session shows the sentinel before the search. For half a sentinel it relies on the
// session's own report of its login.
func (s Session) clearHalf(r KeyRequest, all []p11.ObjectHandle) error {
	for _, o := range all {
		label, err := s.Attribute(o, p11.CKA_LABEL)
		if err != nil {
			return err
		}
		class, err := s.Attribute(o, p11.CKA_CLASS)
		if err != nil {
			return err
		}
		if got, reported := cryptoki.ParseUlong(class); !reported || got != p11.CKO_PUBLIC_KEY || !bytes.Equal(label, r.Shape.label(r.ID)) {
			return cryptoki.Fault("C_FindObjects", driver.Invalid, errOtherMaterial)
		}
	}
	_, shown, err := s.FindSentinel()
	if err == nil && r.ID == SentinelID() {
		shown, err = s.LoggedIn()
	}
	if err != nil {
		return err
	}
	private, err := s.Find(r.Shape.Search(r.ID))
	if err != nil {
		return err
	}
	if !shown || len(private) > 0 {
		return cryptoki.ErrHidden
	}
	for _, o := range all {
		if err := s.destroy(o); err != nil {
			return err
		}
	}
	return nil
}

// describe returns the public key and the attributes of a key.
func (s Session) describe(o p11.ObjectHandle, r KeyRequest, f Facts) (driver.Created, error) {
	public, err := s.Public(o, r)
	if err != nil || public == nil {
		return driver.Created{Attributes: f.Attributes}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return driver.Created{}, cryptoki.Fault("C_GetAttributeValue", driver.Unknown, errPublic)
	}
	return driver.Created{PublicDER: der, Attributes: f.Attributes}, nil
}
