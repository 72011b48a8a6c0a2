package tpm

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

var errAuth = errors.New("an authorization has at most 32 bytes and no zero byte: software cuts it there")

// ExportTSS2 writes an asymmetric key as a TPM 2.0 key file in PEM ("TSS2 PRIVATE KEY"),
// for OpenSSL's tpm2 provider and others. It stays a key of this TPM: elsewhere the file
// is worth nothing. auth is the authorization that the file's user must give; nil: none,
// so that whoever may use this TPM may use the file.
func (d *Driver) ExportTSS2(ctx context.Context, k driver.Key, auth []byte) ([]byte, error) {
	const op = "TPM2_ObjectChangeAuth"
	own, err := d.exportable(k)
	if err != nil {
		return nil, fault(op, driver.Invalid, err)
	}
	if len(auth) > authLength || bytes.IndexByte(auth, 0) >= 0 {
		return nil, fault(op, driver.Invalid, errAuth)
	}
	if err := own.enter(ctx, op); err != nil {
		return nil, err
	}
	defer own.leave()
	f := keyFile{EmptyAuth: len(auth) == 0}
	err = own.run(ctx, op, func(dev *device, e entity) error {
		private, err := dev.changeAuth(e, reauth{own.res.auth, auth})
		if err != nil {
			return err
		}
		f.Parent = ownerParent
		if dev.srk.context == nil {
			f.Parent = int64(dev.srk.handle)
		}
		f.Public, f.Private = own.res.public, private
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := f.encode()
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return text, nil
}

// exportable finds the key behind an interface.
func (d *Driver) exportable(k driver.Key) (*key, error) {
	var own *key
	switch k := k.(type) {
	case *signKey:
		own = &k.key
	case *rsaKey:
		own = &k.key
	case *sm2Key:
		own = &k.key
	}
	if own == nil || own.driver != d {
		return nil, errors.New("only this driver's asymmetric keys have a key file")
	}
	return own, nil
}

// A reauth is a change of a key's authorization value.
type reauth struct {
	from *lockedmem.Buffer
	to   []byte
}

// changeAuth returns the private area of a loaded key with another authorization value.
// The key that is loaded keeps its own.
func (d *device) changeAuth(e entity, r reauth) (private []byte, err error) {
	err = d.withSRK(func(parent entity) error {
		rsp, err := d.execute(command{
			code:    tpm2.TPMCCObjectChangeAuth,
			handles: []entity{e, parent},
			params:  sizedAll(r.to),
			session: d.session,
			auth:    r.from.Bytes(),
			in:      true,
		})
		if err != nil {
			return err
		}
		area := reader{rest: rsp.params}
		private = bytes.Clone(area.sized())
		return area.done()
	})
	return private, err
}

// prove has the TPM check the authorization value of a key from a file, by which it is
// bound. Nothing counts against a lockout.
func (d *device) prove(r *resident) error {
	_, err := d.changeAuth(r.entity(), reauth{r.auth, r.auth.Bytes()})
	if refusal(codeOf(err)) {
		d.link.close() // should it be the session that is wrong
		return fault("TPM2_Load", driver.Authentic, errDamaged)
	}
	return err
}

// ImportTSS2 takes a key from a TPM 2.0 key file that is under this TPM's storage root
// key. auth is the file's authorization; the copy that the driver keeps gets one of its
// own, and the file remains as good as before: it is its owner who deletes it.
//
// A file that is none, names a policy, or does not fit spec is Invalid. (A policy in the
// key itself is no matter: it opens it beside the authorization, to who satisfies it.) So
// is one whose key can lock the TPM, such as OpenSSL's own genpkey makes: a power cut
// after its use counts as an attack, even if its authorization is empty, and the attribute
// is a part of the key for life. One of another TPM is Authentic; a wrong auth is Denied.
// The driver uses the key as spec says, but the file's may be good for more.
func (d *Driver) ImportTSS2(ctx context.Context, n KeyID, text, auth []byte) (driver.Created, error) {
	const op = "TPM2_Load"
	k, err := d.offered(ctx, op, n.Spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	f, err := parseKeyFile(text)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	area, err := parseArea(f.Public)
	if err == nil {
		err = k.checkFile(area)
	}
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	seed := newAuth()
	name := keyName{n.ID, n.Spec}
	value := name.derived(seed)
	defer suite.Wipe(value)
	made := pair{adopted: true, public: f.Public}
	err = d.queue.do(op, &job{ctx: ctx, lane: ordinary, cost: op, act: func(dev *device) (err error) {
		made.parent = dev.srk.name
		made.private, err = dev.adoptFile(f, auth, value)
		return err
	}})
	if err != nil {
		return driver.Created{}, err
	}
	return made.created(op, name, seed)
}

// A KeyID is what a key is to be bound to.
type KeyID struct {
	ID   driver.MaterialID
	Spec driver.KeySpec
}

// adoptFile loads the key of a file and gives it another authorization value.
func (d *device) adoptFile(f keyFile, auth, value []byte) ([]byte, error) {
	if f.Parent != int64(d.srk.handle) && f.Parent != ownerParent {
		return nil, fault("TPM2_Load", driver.Authentic, errForeign)
	}
	old, err := d.arena.Alloc(max(1, len(auth)))
	if err != nil {
		return nil, fault("TPM2_Load", driver.Throttled, err)
	}
	defer old.Free()
	copy(old.Bytes(), auth)
	d.makeRoom()
	r := &resident{public: f.Public, private: f.Private}
	if r.handle, err = d.load(r); err != nil {
		if errors.Is(d.judge(d.srk.name, err), driver.Authentic) {
			return nil, fault("TPM2_Load", driver.Authentic, errForeign)
		}
		return nil, err
	}
	defer d.flush(r.handle)
	return d.changeAuth(r.entity(), reauth{old, value})
}
