package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/intentrecords"
	"strongroom.example/vault/internal/keyid"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/wrapping"
)

// recordsKept is how many CMKs, and how many versions, are kept decoded: about 10 MB.
const recordsKept = 8192

// A cache keeps up to recordsKept decoded records. The zero value is ready to use.
type cache[E any] struct {
	mu  sync.RWMutex
	all map[string]E
}

func (c *cache[E]) get(name string) (e E, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok = c.all[name]
	return e, ok
}

// put keeps a record. It removes arbitrary others from a cache that is full.
func (c *cache[E]) put(name string, e E) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]E{}
	}
	if len(c.all) >= recordsKept {
		for one := range c.all {
			if len(c.all) <= recordsKept*7/8 {
				break
			}
			delete(c.all, one)
		}
	}
	c.all[name] = e
}

// keyCache keeps decoded records of CMKs and their versions. An entry is valid only while
// the store's record has the version number at which the entry was read.
type keyCache struct {
	store *keystore.Store
	keys  cache[target]
	vers  cache[cachedVersion]
}

type cachedVersion struct {
	storedVersion
	recordVersion uint64
}

// load resolves an id or alias and returns the CMK.
func (v *Vault) load(ctx context.Context, name string) (*target, error) {
	if _, ok := keyid.Parse(name); ok {
		return v.loadByID(ctx, name)
	}
	if err := checkAlias(name); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotFound, err)
	}
	for range maxAttempts {
		r, err := v.store.Get(ctx, aliasPath(name))
		if err != nil {
			return nil, missing(err, "alias "+name+seeListKeys)
		}
		t, err := v.loadByID(ctx, string(r.Value))
		if err != nil || t.hasAlias(name) {
			return t, err
		}
		// The alias was moved between the two reads.
	}
	return nil, errNameMoves
}

// loadByID returns the CMK with an id.
func (v *Vault) loadByID(ctx context.Context, id string) (*target, error) {
	t, err := v.records.key(ctx, id)
	if err != nil {
		return nil, err
	}
	v.applyExpiry(t)
	return t, nil
}

// applyExpiry sets the state of a CMK with expired material to PendingImport. It does so
// from the time of expiry on, even if the material is not destroyed yet.
func (v *Vault) applyExpiry(t *target) {
	if t.ValidTo.IsZero() || !t.due(v.deadline.Now()) {
		return
	}
	t.expired = true
	t.State = t.State.withoutMaterial()
}

// hasExpired reports whether the CMK's material expired after it was loaded.
func (v *Vault) hasExpired(t *target) bool {
	return !t.ValidTo.IsZero() && !t.expired && t.due(v.deadline.Now())
}

// due reports whether the CMK's material has expired at now.
func (k Key) due(now time.Time) bool { return !k.ValidTo.IsZero() && !now.Before(k.ValidTo) }

// errNameMoves reports an alias, or a name of a data key, that was moved during each of several
// attempts to follow it.
var errNameMoves = fmt.Errorf("%w: the name is moved again and again; try again later", ErrThrottled)

// seeListKeys ends the text of an error about a CMK that does not exist.
const seeListKeys = "; ListKeys lists the keys"

// missing turns the store's ErrNotFound into this package's, with what as its text.
func missing(err error, what string) error {
	if errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return err
}

// key returns the CMK with the given id, and keeps it.
func (c *keyCache) key(ctx context.Context, id string) (*target, error) {
	if t := c.kept(id); t != nil {
		return t, nil
	}
	t, err := c.read(ctx, keyPath(id))
	if err != nil {
		return nil, err
	}
	c.keys.put(id, *t)
	return t, nil
}

// peek is key for a listing, which has the path of the record: it does not keep the CMK, so
// that a long listing does not evict those in use. The caller owns the target, with its maps.
func (c *keyCache) peek(ctx context.Context, path string) (*target, error) {
	if t := c.kept(path[len(keyFolder):]); t != nil {
		t.Key = t.Key.clone()
		return t, nil
	}
	return c.read(ctx, path)
}

// kept returns the CMK if it is kept and unchanged, or nil.
func (c *keyCache) kept(id string) *target {
	t, hit := c.keys.get(id)
	if !hit || t.recordVersion != c.store.Version(keyPath(id)) {
		return nil
	}
	kept := t // which is allocated for a hit only
	return &kept
}

// read reads the record of a CMK.
func (c *keyCache) read(ctx context.Context, path string) (*target, error) {
	r, err := c.store.Get(ctx, path)
	if err != nil {
		return nil, missing(err, "key "+path[len(keyFolder):]+seeListKeys)
	}
	k, err := decodeKey(path, r.Value)
	if err != nil {
		return nil, err
	}
	return &target{Key: k, recordVersion: r.Version}, nil
}

// version returns version n of the CMK with the given id.
func (c *keyCache) version(ctx context.Context, id string, n uint32) (storedVersion, error) {
	path := versionPath(id, n)
	now := c.store.Version(path)
	cached, hit := c.vers.get(path)
	if hit && now != 0 && cached.recordVersion == now {
		return cached.storedVersion, nil
	}
	r, err := c.store.Get(ctx, path)
	if err != nil {
		return storedVersion{}, missing(err, fmt.Sprintf("version %d of key %s", n, id))
	}
	ver, err := record.Decode[storedVersion](path, r.Value)
	if err != nil {
		return storedVersion{}, err
	}
	c.vers.put(path, cachedVersion{ver, r.Version})
	return ver, nil
}

// A reader reads records: in a commit, including the changes of earlier commits in the same
// group, or as stored.
type reader interface {
	Version(path string) uint64
	Get(path string) (keystore.Record, error)
	// Paths lists the paths that start with prefix, sorted. prefix has a slash.
	Paths(prefix string) []string
}

// storeReader reads stored records.
type storeReader struct {
	*keystore.Store
	ctx context.Context
}

func (r storeReader) Get(path string) (keystore.Record, error) { return r.Store.Get(r.ctx, path) }
func (r storeReader) Paths(prefix string) []string {
	return r.PathsAfter(prefix, "", math.MaxInt)
}

// viewInTx returns the CMK as keyInTx reads it, with expiry applied; see applyExpiry.
func (v *Vault) viewInTx(tx reader, id string) (*target, error) {
	k, err := keyInTx(tx, id)
	return v.view(k), err
}

// view returns a CMK with expiry applied. It is not for the store, because the time may be in doubt.
func (v *Vault) view(stored Key) *target {
	t := &target{Key: stored}
	v.applyExpiry(t)
	return t
}

// keyInTx reads a CMK in a commit, including the changes of earlier commits in the same
// group.
func keyInTx(tx reader, id string) (Key, error) {
	path := keyPath(id)
	r, err := tx.Get(path)
	if err != nil {
		return Key{}, err
	}
	return decodeKey(path, r.Value)
}

// versionInTx reads a key version in a commit.
func versionInTx(tx *keystore.Tx, id string, n uint32) (storedVersion, error) {
	return record.Read[storedVersion](tx, versionPath(id, n))
}

// hasMaterial reports whether an imported CMK has its material.
func hasMaterial(tx *keystore.Tx, k Key) (bool, error) {
	if k.Version == 0 {
		return false, nil
	}
	ver, err := versionInTx(tx, k.ID, k.Version)
	return ver.Material != "", err
}

// keyFolder begins the paths of the records of CMKs.
const keyFolder = "key/"

// The paths of stored records.
func keyPath(id string) string { return keyFolder + id }

func aliasPath(name string) string { return "alias/" + name }

func versionPath(id string, n uint32) string { return "version/" + id + "/" + paddedVersion(n) }

func materialPath(id driver.MaterialID) string { return "material/" + id.String() }

func intentPath(id driver.MaterialID) string { return intentrecords.Path(id) }

// paddedVersion formats n with ten digits, so that the texts sort in the order of the numbers.
func paddedVersion(n uint32) string {
	digits := strconv.FormatUint(uint64(n), 10)
	return "0000000000"[len(digits):] + digits
}

// encode is record.Encode.
func encode(r any) []byte { return record.Encode(r) }

// storedVersion is a stored key version.
type storedVersion struct {
	KeyVersion
	// Material is the material's id. It is empty while imported material is deleted, and
	// after TrimKeyVersion.
	Material  string              `json:"material"`
	Algorithm driver.KeyAlgorithm `json:"algorithm"`
	DeviceUse driver.Usage        `json:"use"`
	// Public is the public half as SubjectPublicKeyInfo in DER.
	Public []byte `json:"public,omitempty"`
	// Check is the check value of a symmetric key in a device; see package devicekey. Records of
	// earlier versions of this package have none.
	Check []byte `json:"check,omitempty"`
	// Series is the series of counts in which the version was made, see package usestore. Records
	// of earlier versions of this package have none.
	Series uint32 `json:"series,omitempty"`
	// Device is the device in which the material is an object; nil if it is not known.
	// Records of earlier versions of this package have none.
	Device *deviceid.Identity `json:"device,omitempty"`
}

// spec returns the spec of the material in the driver.
func (v storedVersion) spec() driver.KeySpec {
	return driver.KeySpec{Algorithm: v.Algorithm, Usage: v.DeviceUse}
}

// material returns the id of the version's material.
func (v storedVersion) material() (id driver.MaterialID, err error) {
	b, err := hex.DecodeString(v.Material)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: material id of key %s version %d", ErrCorrupt, v.Key, v.Number)
	}
	copy(id[:], b)
	return id, nil
}

// newVersion describes version n of CMK k, to be made on k's driver.
func (v *Vault) newVersion(k Key, n uint32, now time.Time) (storedVersion, error) {
	d, err := v.driver(k.Driver)
	if err != nil {
		return storedVersion{}, err
	}
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	if err != nil {
		return storedVersion{}, err
	}
	spec, info := row.device(v.suite), d.Info()
	can, ok := info.Find(spec)
	if !ok {
		return storedVersion{}, fmt.Errorf("%w: driver %q does not support %s", ErrUnsupported, k.Driver, spec)
	}
	ver := storedVersion{
		KeyVersion: KeyVersion{Key: k.ID, Number: n, Created: now, Origin: k.Origin, Residence: Wrapped, Level: driver.LevelSoftware, Driver: k.Driver, Provenance: ProvenanceVault},
		Algorithm:  spec.Algorithm, DeviceUse: spec.Usage, Series: v.uses.Series,
	}
	if k.Origin == OriginExternal && !wrapping.Importable(d, spec) {
		return storedVersion{}, fmt.Errorf("%w: driver %q does not import %s", ErrUnsupported, k.Driver, spec)
	}
	if can.Resident {
		ver.Residence, ver.Level, ver.Provenance = Resident, info.Level, ProvenanceDevice
	}
	if k.Origin == OriginExternal {
		ver.Provenance = ProvenanceImported
	}
	ver.Material = driver.MaterialID(v.entropy.ID()).String()
	return ver, v.checkLevel(k.MinLevel, ver)
}

// levels lists the protection levels, the weakest first.
var levels = []driver.ProtectionLevel{driver.LevelSoftware, driver.LevelTPM, driver.LevelHSM}

// checkLevelName returns ErrInvalid for a level that is not empty and not one of levels.
func checkLevelName(what string, l driver.ProtectionLevel) error {
	if l != "" && !slices.Contains(levels, l) {
		return invalid("%s is %.80q; it must be empty or one of %v", what, l, levels)
	}
	return nil
}

// minLevel returns the stricter of a CMK's minimum level and the vault's, and the name of
// its source. least is empty if neither is set.
func (v *Vault) minLevel(of driver.ProtectionLevel) (least driver.ProtectionLevel, whose string) {
	if slices.Index(levels, v.cfg.MinLevel) > slices.Index(levels, of) {
		return v.cfg.MinLevel, "Config.MinLevel"
	}
	return of, "KeyOptions.MinLevel"
}

// checkLevel returns ErrUnsupported for a version whose protection level is below the
// minimum of its CMK or of the vault.
func (v *Vault) checkLevel(least driver.ProtectionLevel, ver storedVersion) error {
	least, whose := v.minLevel(least)
	if slices.Index(levels, ver.Level) >= slices.Index(levels, least) {
		return nil
	}
	return fmt.Errorf("%w: driver %q protects %s at level %s, but %s is %s; name a driver of that level in KeyOptions.Driver or Config.Driver",
		ErrUnsupported, ver.Driver, ver.spec(), ver.Level, whose, least)
}

// restrict limits the version's signature algorithms to those that an imported key allows.
// The restriction remains if the same material is later imported without it. restrict
// returns a *pkcs8.Error if no algorithm is left.
func (v *storedVersion) restrict(p *pkcs8.PSS) error {
	if p == nil {
		return nil
	}
	var allowed []SignAlgorithm
	for _, r := range signTable {
		if r.spec == KeySpec(v.Algorithm) && v.signs(r.alg) && p.Allows(r.device) {
			allowed = append(allowed, r.alg)
		}
	}
	if allowed == nil {
		return &pkcs8.Error{Fault: fmt.Sprintf("the RSA key is restricted to RSASSA-PSS with %s, and the CMK to %s since its first import", p, v.SignAlgorithms)}
	}
	v.SignAlgorithms = allowed
	return nil
}

// signs reports whether the version's material may sign with alg.
func (v storedVersion) signs(alg SignAlgorithm) bool {
	return v.SignAlgorithms == nil || slices.Contains(v.SignAlgorithms, alg)
}

// putVersion stores a key version with its material.
func putVersion(tx *keystore.Tx, ver storedVersion, made madeKey) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	ver.Attributes, ver.Public, ver.Check, ver.Device = made.Attributes, made.PublicDER, made.check, made.objectIn()
	tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
	tx.PutMaterial(materialPath(id), made.Blob)
	return nil
}
