package vaultsuite

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/internal/testing/oddkeys"
	"strongroom.example/vault"
)

// oddKeys imports each file of the table of unusual keys on each path that the driver
// has. As the table says, the file is accepted and the key works, or it is refused and no
// part of it remains. A device that unwraps a file may not detect some of the faults. The
// key that it then has must be the one that the table names, and must work.
func oddKeys(t *testing.T, s *subject) {
	x := s.shared
	before := x.objects(t)
	for _, path := range []vault.ImportPath{vault.PathHost, vault.PathDevice} {
		t.Run(string(path), func(t *testing.T) {
			o := &oddImport{subject: s, x: x, path: path, pending: make(map[row]vault.Key), tokens: make(map[string]*oddToken)}
			for _, file := range oddkeys.Table(t) {
				// The SM edition supports other keys, except for SM2.
				if s.edition != vault.SM || file.Spec.Algorithm == driver.SM2 {
					o.bring(t, file)
				}
			}
			o.end(t)
			t.Logf("%d files were taken, %d refused, %d could not be sent", o.taken, o.refused, o.unsent)
			t.Logf("of those taken, %d have a fault that the device does not show, and a key that computes right: %q", len(o.unseen), o.unseen)
			t.Logf("of these, %d are refused if the owner gives the public half: %q", len(o.named), o.named)
		})
	}
	x.reopen(t) // also completes the vault's background cleanup
	if n := x.objectsSince(t, before); n != 0 {
		t.Errorf("the imports left %d objects in the device, want 0", n)
	}
}

// An oddImport imports unusual keys on one path.
type oddImport struct {
	*subject
	x       *home
	path    vault.ImportPath
	pending map[row]vault.Key // one CMK for each row, which has only been sent refused material
	tokens  map[string]*oddToken
	// The number of files by result. unseen lists those whose fault the device did not
	// detect, and named those of them that were refused with the owner's public half.
	taken, refused, unsent int
	unseen, named          []string
}

// An oddToken is the import parameters of a CMK and the number of attempts left for its
// token.
type oddToken struct {
	vault.ImportParameters
	left int
}

// bring imports one file and compares the result with the table.
func (o *oddImport) bring(t *testing.T, file oddkeys.Row) {
	t.Helper()
	n := slices.IndexFunc(o.usable(), func(r row) bool { return r.device == file.Spec })
	if n < 0 {
		o.unsent++
		return
	}
	r := o.usable()[n]
	on := o.placeOfImport(o.x, r)
	taken := file.Taken() && !slices.Contains(file.Lacks, on) && !slices.Contains(file.Lacks, string(o.path))
	unseen := o.path == vault.PathDevice && file.Key != nil
	k := o.cmk(t, r, taken || unseen)
	token, ok := o.token(t, k)
	if !ok {
		o.unsent++
		return
	}
	m := vault.ImportMaterial{Token: token.Token, EncryptedMaterial: wrap(t, token.ImportParameters, file.File), PublicKey: publicHalf(t, file)}
	got, err := o.x.owner().ImportKeyMaterial(t.Context(), k.ID, m)
	if unseen && err != nil {
		named := file.Public != nil
		if named {
			o.wantRefused(t, k, file, err)
		}
		m.PublicKey = nil
		if got, err = o.x.owner().ImportKeyMaterial(t.Context(), k.ID, m); err == nil && named {
			o.named = append(o.named, file.Name)
		}
	}
	if unseen && err == nil {
		taken = true
		o.unseen = append(o.unseen, file.Name)
	}
	switch {
	case !taken:
		o.refused++
		o.wantRefused(t, k, file, err)
	case err != nil:
		t.Errorf("%s: ImportKeyMaterial: %v, want it taken", file.Name, err)
	default:
		o.taken++
		o.wantWorking(t, r, got, file)
	}
}

// publicHalf returns the public half that the owner gives with a file, or nil for a file
// that has none.
func publicHalf(t *testing.T, file oddkeys.Row) []byte {
	t.Helper()
	switch {
	case file.Public != nil:
		return file.Public
	case file.Key != nil:
		return file.Key
	}
	accepted, err := pkcs8.Parse(file.Spec, file.File)
	if err != nil {
		return nil
	}
	public, err := smx509.MarshalPKIXPublicKey(accepted.Private.Public())
	if err != nil {
		t.Fatalf("%s: encoding the public half: %v", file.Name, err)
	}
	return public
}

// end replaces the remaining tokens, because their wrapping keys are in the device.
func (o *oddImport) end(t *testing.T) {
	t.Helper()
	for key := range o.tokens {
		if _, err := o.x.owner().ParametersForImport(t.Context(), key, vault.ImportRequest{Path: vault.PathHost}); err != nil {
			t.Errorf("ParametersForImport on path HOST: %v", err)
		}
	}
}

// cmk returns a CMK for a file. A file that is accepted needs a fresh one, because the
// CMK is then bound to its material.
func (o *oddImport) cmk(t *testing.T, r row, fresh bool) vault.Key {
	t.Helper()
	if k, ok := o.pending[r]; ok && !fresh {
		return k
	}
	options := o.x.options(r)
	options.Origin, options.Driver = vault.OriginExternal, o.placeOfImport(o.x, r)
	k := o.x.create(t, options)
	if !fresh {
		o.pending[r] = k
	}
	return k
}

// token returns parameters that are valid for another attempt, or false if the driver
// does not have this path. On the host path, a key that unwraps and is refused does not
// use up an attempt.
func (o *oddImport) token(t *testing.T, k vault.Key) (*oddToken, bool) {
	t.Helper()
	token := o.tokens[k.ID]
	if token == nil || token.left == 0 {
		p, err := o.x.owner().ParametersForImport(t.Context(), k.ID, vault.ImportRequest{Path: o.path})
		if errors.Is(err, vault.ErrUnsupported) && o.path == vault.PathDevice && strings.Contains(err.Error(), "inside its device") {
			return nil, false
		}
		if err != nil || p.Path != o.path {
			t.Fatalf("ParametersForImport on path %s: path %s, %v", o.path, p.Path, err)
		}
		token = &oddToken{p, 5}
		o.tokens[k.ID] = token
	}
	if o.path == vault.PathDevice {
		token.left--
	}
	return token, true
}

// wantRefused checks that a file was refused, on the host path with the text in the
// table, and that the CMK still accepts other material.
func (o *oddImport) wantRefused(t *testing.T, k vault.Key, file oddkeys.Row, err error) {
	t.Helper()
	says := err != nil && strings.Contains(err.Error(), file.Fault)
	if !errors.Is(err, vault.ErrImport) || errors.Is(err, vault.ErrImportToken) || errors.Is(err, vault.ErrOtherMaterial) || o.path == vault.PathHost && !says {
		t.Errorf("%s: ImportKeyMaterial: %v, want ErrImport with %q", file.Name, err, file.Fault)
	}
	if now, err := o.x.owner().DescribeKey(t.Context(), k.ID); err != nil || now.State != vault.PendingImport || now.Version != 0 {
		t.Errorf("%s: DescribeKey after the refusal: %+v, %v, want it PendingImport and unbound", file.Name, now, err)
	}
}

// wantWorking checks that a key has the file's material and works, and destroys it.
func (o *oddImport) wantWorking(t *testing.T, r row, k vault.Key, file oddkeys.Row) {
	t.Helper()
	want := file.Key
	if accepted, err := pkcs8.Parse(file.Spec, file.File); err == nil {
		if want, err = smx509.MarshalPKIXPublicKey(accepted.Private.Public()); err != nil {
			t.Fatalf("%s: encoding the public half: %v", file.Name, err)
		}
	}
	if got := o.x.publicOf(t, k.ID).DER; !bytes.Equal(got, want) {
		t.Errorf("%s: the public key is %x, want %x", file.Name, got, want)
	}
	if k.State != vault.Enabled {
		t.Errorf("%s: after the import: %+v, want it Enabled", file.Name, k)
	}
	if file.Sign != nil {
		o.wantRestricted(t, k, file)
	} else {
		allWork(t, o.x, []keySample{o.sampleOf(t, o.x, r, k)})
	}
	if err := o.x.owner().DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
		t.Errorf("%s: DeleteImportedKeyMaterial: %v", file.Name, err)
	}
}

// wantRestricted checks that a key signs with the algorithms that its file allows, and
// with no others.
func (o *oddImport) wantRestricted(t *testing.T, k vault.Key, file oddkeys.Row) {
	t.Helper()
	var allowed []vault.SignAlgorithm
	for _, alg := range file.Sign {
		allowed = append(allowed, vault.SignAlgorithm(alg))
	}
	versions, err := o.x.owner().ListKeyVersions(t.Context(), k.ID)
	if err != nil || len(versions) != 1 || !slices.Equal(versions[0].SignAlgorithms, allowed) {
		t.Errorf("%s: ListKeyVersions: %+v, %v, want SignAlgorithms %s", file.Name, versions, err, allowed)
	}
	if signature, err := o.x.owner().Sign(t.Context(), k.ID, []byte(message), vault.SignOptions{}); err != nil {
		t.Errorf("%s: Sign by the default algorithm: %v, want %s", file.Name, err, allowed[0])
	} else if ok, err := o.x.owner().Verify(t.Context(), k.ID, []byte(message), signature, vault.SignOptions{Algorithm: allowed[0]}); err != nil || !ok {
		t.Errorf("%s: Verify by %s of a signature by the default algorithm: %v, %v", file.Name, allowed[0], ok, err)
	}
	for _, x := range o.signings() {
		if x.row.spec != k.Spec || !x.can {
			continue
		}
		_, err := o.x.owner().Sign(t.Context(), k.ID, []byte(message), vault.SignOptions{Algorithm: x.alg})
		if slices.Contains(allowed, x.alg) && err != nil || !slices.Contains(allowed, x.alg) && !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("%s: Sign by %s: %v, the key is restricted to %s", file.Name, x.alg, err, allowed)
		}
	}
}
