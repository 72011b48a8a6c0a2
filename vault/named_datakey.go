package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/datakeyrecords"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/inputtext"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
)

// DataKeyOptions describe a new named data key.
type DataKeyOptions struct {
	// Name is required. It has the form of KeyOptions.Alias, and is unique among the named
	// data keys of the vault.
	Name string
	// Description has at most 1024 bytes.
	Description string
	// Context is the encryption context to which the ciphertext is bound. The vault stores it
	// with the data key, so that OpenNamedDataKey does not ask for it, and every operation on
	// the data key is authorized with it.
	Context EncryptionContext
}

// NamedDataKey describes a data key that the vault keeps. It holds no key: the vault stores
// the ciphertext, encrypted under the CMK, and never the plaintext.
type NamedDataKey struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Key is the id of the CMK, and Version the version of it that encrypted the data key.
	Key     string `json:"key"`
	Version uint32 `json:"version"`
	// State is Enabled, Disabled or PendingDeletion. The data key can be used only if the state
	// of the CMK allows that too.
	State KeyState `json:"state"`
	// Size is the length of the data key in bytes.
	Size int `json:"size"`
	// Origin is OriginVault, or OriginExternal for a data key that was imported.
	Origin  Origin            `json:"origin"`
	Context EncryptionContext `json:"context,omitempty"`
	Created time.Time         `json:"created"`
	Creator Principal         `json:"creator"`
	// DeletionDate is the time from which the vault removes a data key that is
	// PendingDeletion.
	DeletionDate time.Time `json:"deletionDate,omitzero"`
}

// clone returns a description that the caller may change.
func (k NamedDataKey) clone() NamedDataKey {
	k.Context = maps.Clone(k.Context)
	return k
}

// storedDataKey is a stored named data key.
type storedDataKey struct {
	NamedDataKey
	Ciphertext []byte `json:"ciphertext"`
}

// CreateDataKey makes a data key of size bytes, as GenerateDataKey does, and stores it
// encrypted under the CMK, with a name. It returns no key: OpenNamedDataKey does, which is a
// permission of its own. A CMK has at most 10,000 named data keys. Errors: those of
// GenerateDataKey; ErrExists for a name that another data key has; ErrInvalid or ErrTooLarge
// for the options or too many data keys.
func (c Client) CreateDataKey(ctx context.Context, key string, size int, o DataKeyOptions) (NamedDataKey, error) {
	if size == DataKeyDefault && c.vault != nil {
		size = c.vault.suite.KeySize()
	}
	q, k, err := o.begin(request{op: OpCreateDataKey, key: key}, OriginVault)
	if err = errors.Join(checkRandomSize(size), err); err != nil {
		return NamedDataKey{}, c.argumentError(ctx, q, err)
	}
	return c.keepDataKey(ctx, q, k, func(ctx context.Context, d *decision) ([]byte, error) {
		v := c.vault
		if err := editionrules.ExcludedSize(v.cfg.Edition, size); err != nil {
			return nil, err
		}
		made, err := v.dataKeys.NewKey(size, v.suite)
		if err != nil {
			return nil, err
		}
		defer made.Destroy()
		var ct []byte
		err = made.Use(func(plain []byte) (err error) {
			v.entropy.Fill(plain, q.context.canonical)
			ct, err = v.encryptMessage(ctx, d.t, q.context.canonical, plain)
			return err
		})
		return ct, err
	})
}

// ImportDataKey stores a data key that was generated elsewhere, of 1 to MaxRandom bytes,
// encrypted under the CMK. The caller wipes plaintext. Errors: those of CreateDataKey.
func (c Client) ImportDataKey(ctx context.Context, key string, plaintext []byte, o DataKeyOptions) (NamedDataKey, error) {
	q, k, err := o.begin(request{op: OpImportDataKey, key: key, size: len(plaintext)}, OriginExternal)
	if err = errors.Join(checkRandomSize(len(plaintext)), err); err != nil {
		return NamedDataKey{}, c.argumentError(ctx, q, err)
	}
	plain := c.vault.copyInput(plaintext)
	defer plain.Release()
	return c.keepDataKey(ctx, q, k, func(ctx context.Context, d *decision) ([]byte, error) {
		if err := editionrules.ExcludedSize(c.vault.cfg.Edition, len(plain.Bytes)); err != nil {
			return nil, err
		}
		return c.vault.encryptMessage(ctx, d.t, q.context.canonical, plain.Bytes)
	})
}

// ImportDataKeyCiphertext stores a data key from the ciphertext that GenerateDataKey returned,
// unchanged, after decrypting it to see that it is one. o.Context is the context that it was
// made with. A principal who may also open the data key can read with it every ciphertext of
// the CMK with up to MaxRandom bytes of plaintext. Errors: those of OpenDataKey and
// CreateDataKey.
func (c Client) ImportDataKeyCiphertext(ctx context.Context, ct []byte, o DataKeyOptions) (NamedDataKey, error) {
	q, k, err := o.begin(request{op: OpImportDataKeyCiphertext}, OriginExternal)
	if n := len(ct) - Overhead; err == nil && (n < 1 || n > MaxRandom) {
		err = ErrCiphertext
	}
	if err != nil {
		return NamedDataKey{}, c.argumentError(ctx, q, err)
	}
	m, err := readMessage(append([]byte(nil), ct...), k.Context)
	if err != nil {
		return NamedDataKey{}, c.argumentError(ctx, q, err)
	}
	q.key, q.version, q.size = m.keyID(), m.header.Version, len(ct)
	out, err := c.keepDataKey(ctx, q, k, func(ctx context.Context, _ *decision) ([]byte, error) {
		if err := editionrules.ExcludedSize(c.vault.cfg.Edition, len(m.bytes)-Overhead); err != nil {
			return nil, err
		}
		opened, _, err := c.vault.decryptToDataKey(ctx, m)
		opened.Destroy()
		return m.bytes, err
	})
	return out, asCiphertext(q.op, err)
}

// begin checks the options, and returns the request with what they add and the beginning of
// the description.
func (o DataKeyOptions) begin(q request, origin Origin) (request, NamedDataKey, error) {
	bound, err := o.Context.snapshot()
	if err = errors.Join(checkDataKeyName(o.Name), inputtext.CheckDescription(o.Description), err); err != nil {
		return q, NamedDataKey{}, err
	}
	q.context, q.newName = bound, o.Name
	return q, NamedDataKey{Name: o.Name, Description: o.Description, Origin: origin, Context: bound.pairs, State: Enabled}, nil
}

// keepDataKey runs an operation that stores a new named data key. encrypt returns its ciphertext.
func (c Client) keepDataKey(ctx context.Context, q request, k NamedDataKey, encrypt func(context.Context, *decision) ([]byte, error)) (NamedDataKey, error) {
	return operate(ctx, c, q, func(ctx context.Context, d *decision) (NamedDataKey, error) {
		v := c.vault
		d.rec.Algorithm = v.suite.String()
		ct, err := encrypt(ctx, d)
		if err != nil {
			return NamedDataKey{}, d.fail(ctx, err)
		}
		h, err := ciphertext.Parse(ct)
		if err != nil {
			return NamedDataKey{}, d.fail(ctx, err)
		}
		k := storedDataKey{k, ct}
		k.ID, k.Key, k.Version, k.Size = keyid.New(v.entropy.ID()), d.t.ID, h.Version, len(ct)-Overhead
		k.Created, k.Creator = v.clock.Now().UTC(), c.principal
		d.note("dataKey", k.ID)
		return k.clone(), d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error { return addDataKey(tx, k) }})
	}, nil)
}

// put stores the record of a named data key in a commit.
func (k storedDataKey) put(tx *keystore.Tx) { tx.Put(datakeyrecords.Path(k.ID), encode(k)) }

// records returns what the paths of its records are made of.
func (k storedDataKey) records() datakeyrecords.DataKey {
	return datakeyrecords.DataKey{ID: k.ID, Name: k.Name, Key: k.Key}
}

// addDataKey stores a new data key in a commit.
func addDataKey(tx *keystore.Tx, k storedDataKey) error {
	if err := k.records().Add(tx, encode(k)); err != nil {
		return err
	}
	return checkDataKeySize(k)
}

// checkDataKeySize returns ErrTooLarge for a record that is too large. It leaves room for
// fields that become longer, such as the name.
func checkDataKeySize(k storedDataKey) error {
	if n := len(encode(k)); n > maxText {
		return fmt.Errorf("%w: the data key has %d bytes with its description and context as JSON, the limit is %d", ErrTooLarge, n, maxText)
	}
	return nil
}

// maxDataKeyName is the maximum length of the name of a data key.
const maxDataKeyName = 60

// checkDataKeyName returns what is wrong with a name.
func checkDataKeyName(name string) error {
	return inputtext.CheckName("the name of a data key", name, maxDataKeyName, "_-")
}

// dataKeyTarget is the named data key that an operation acts on, as it was when it was loaded.
type dataKeyTarget struct {
	storedDataKey
	recordVersion uint64       // version number of the stored record
	bound         boundContext // the context that is stored with it
}

// onDataKey returns the request for an operation on a named data key, given its id or name.
func onDataKey(op Operation, dataKey string) request {
	return request{op: op, onDataKey: true, dataKey: dataKey}
}

// loadDataKey resolves the id or name of a named data key, and returns it with its CMK.
func (v *Vault) loadDataKey(ctx context.Context, name string) (*target, error) {
	k, err := v.findDataKey(ctx, name)
	if err != nil {
		return nil, missing(err, "data key "+inputtext.Quote(name)+"; ListDataKeys lists the data keys")
	}
	t, err := v.loadByID(ctx, k.Key)
	if err != nil {
		return nil, err
	}
	t.data = k
	return t, nil
}

// findDataKey returns the named data key with an id or name.
func (v *Vault) findDataKey(ctx context.Context, name string) (*dataKeyTarget, error) {
	if _, ok := keyid.Parse(name); ok {
		return v.dataKey(ctx, name)
	}
	if checkDataKeyName(name) != nil {
		return nil, keystore.ErrNotFound
	}
	for range maxAttempts {
		r, err := v.store.Get(ctx, datakeyrecords.NamePath(name))
		if err != nil {
			return nil, err
		}
		k, err := v.dataKey(ctx, string(r.Value))
		if errors.Is(err, keystore.ErrNotFound) {
			continue // removed between the two reads; the name may be that of another since
		}
		if err != nil || k.Name == name {
			return k, err
		}
		// The name was given to another data key between the two reads.
	}
	return nil, errNameMoves
}

// dataKey reads a named data key.
func (v *Vault) dataKey(ctx context.Context, id string) (*dataKeyTarget, error) {
	path := datakeyrecords.Path(id)
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	k := &dataKeyTarget{recordVersion: r.Version}
	if k.storedDataKey, err = record.Decode[storedDataKey](path, r.Value); err != nil {
		return nil, err
	}
	if k.bound, err = k.Context.snapshot(); err != nil {
		return nil, fmt.Errorf("%w: the context in record %s", ErrCorrupt, path)
	}
	return k, nil
}

// describeDataKey sets the fields of a Request for a named data key. t is nil if there is no
// such data key.
func (r *Request) describeDataKey(q request, t *target) {
	if t != nil && t.data != nil {
		r.DataKey, r.DataKeyName, r.Context, r.Subject = t.data.ID, t.data.Name, t.data.bound.pairs, t.data.ID
	} else if _, ok := keyid.Parse(q.dataKey); ok {
		r.DataKey, r.Subject = q.dataKey, q.dataKey
	} else {
		r.DataKeyName = q.dataKey
	}
}

// recordDataKey writes the named data key of a request, which may be none, into the record.
// Its ciphertext determines the version of the CMK, but for an operation that makes another.
func (v *Vault) recordDataKey(r *audit.Record, q request, t *target) {
	if q.newName != "" && !q.onDataKey {
		noteIn(r, "dataKeyName", q.newName)
	}
	if !q.onDataKey {
		return
	}
	r.Detail = nil // without a CMK's alias
	if t != nil && t.data != nil {
		noteIn(r, "dataKey", t.data.ID)
		noteIn(r, "dataKeyName", t.data.Name)
		if q.op != OpReEncryptTo {
			r.KeyVersion = t.data.Version
		}
		if len(t.data.bound.pairs) > 0 {
			r.ContextHash = v.contextHash(t.data.bound)
		}
	} else if _, ok := keyid.Parse(q.dataKey); ok {
		noteIn(r, "dataKey", q.dataKey)
	} else if checkDataKeyName(q.dataKey) == nil {
		noteIn(r, "dataKeyName", q.dataKey)
	}
	if q.newName != "" {
		noteIn(r, "newName", q.newName)
	}
}

// OpenNamedDataKey decrypts a named data key, given its id or name. The caller destroys the
// data key. Errors: ErrNotFound; ErrDenied; ErrKeyState, and ErrDataKeyState unless the data
// key is Enabled; ErrMinimumVersion if it has not been re-encrypted since the CMK's minimum
// version was set; ErrLockedMemory.
func (c Client) OpenNamedDataKey(ctx context.Context, dataKey string) (*DataKey, error) {
	return useKey(ctx, c, onDataKey(OpOpenNamedDataKey, dataKey), func(ctx context.Context, d *decision) (*DataKey, error) {
		k, err := d.openDataKey(ctx)
		if err != nil {
			return nil, err
		}
		d.rec.OutputSize = uint64(k.size)
		return k, nil
	}, (*DataKey).Destroy)
}

// OpenNamedDataKeyTo is like OpenNamedDataKey, and returns the data key encrypted to the
// recipient. The caller never gets it in the clear. Errors: those of OpenNamedDataKey and of
// DecryptTo.
func (c Client) OpenNamedDataKeyTo(ctx context.Context, to Recipient, dataKey string) ([]byte, error) {
	q := onDataKey(OpOpenNamedDataKeyTo, dataKey)
	if err := to.check(c.vault); err != nil {
		return nil, c.argumentError(ctx, q, err)
	}
	q.recipient = to.key.Fingerprint
	return useKey(ctx, c, q, func(ctx context.Context, d *decision) (sealed []byte, err error) {
		to.record(d)
		k, err := d.openDataKey(ctx)
		if err != nil {
			return nil, err
		}
		defer k.Destroy()
		err = k.Use(func(plain []byte) (err error) {
			sealed, err = to.key.Seal(plain)
			return err
		})
		d.rec.OutputSize = uint64(len(sealed))
		return sealed, err
	}, nil)
}

// openDataKey decrypts the named data key of the operation.
func (d *decision) openDataKey(ctx context.Context) (*DataKey, error) {
	v := d.client.vault
	m, err := d.dataKeyMessage()
	if err != nil {
		return nil, err
	}
	if err := editionrules.ExcludedSize(v.cfg.Edition, len(m.bytes)-Overhead); err != nil {
		return nil, err
	}
	d.rec.Algorithm, d.rec.InputSize = v.suite.String(), uint64(len(m.bytes))
	k, _, err := v.decryptToDataKey(ctx, m)
	if err != nil {
		k.Destroy()
		return nil, err
	}
	k.ciphertext = m.bytes
	return k, nil
}

// dataKeyMessage returns the stored ciphertext of the named data key of the operation.
func (d *decision) dataKeyMessage() (message, error) {
	k := d.t.data
	m, err := readMessage(slices.Clone(k.Ciphertext), nil)
	if err != nil || m.keyID() != k.Key || len(m.bytes) <= Overhead {
		return m, fmt.Errorf("%w: the ciphertext of data key %s", ErrCorrupt, k.ID)
	}
	m.context = k.bound
	return m, nil
}

// DataKeyCiphertext returns the ciphertext of a named data key, for OpenDataKey and Decrypt
// with the data key's context. A caller who has it and may decrypt under the CMK can read the
// data key even after the named data key was disabled or removed; therefore it has the same
// conditions as OpenNamedDataKey. Errors: those of OpenNamedDataKey.
func (c Client) DataKeyCiphertext(ctx context.Context, dataKey string) ([]byte, error) {
	return useKey(ctx, c, onDataKey(OpGetDataKeyCiphertext, dataKey), func(_ context.Context, d *decision) ([]byte, error) {
		d.rec.OutputSize = uint64(len(d.t.data.Ciphertext))
		return slices.Clone(d.t.data.Ciphertext), nil
	}, nil)
}
