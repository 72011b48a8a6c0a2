package vault

import (
	"errors"
	"strings"
	"testing"
)

// TestKeyFaultsDoNotCount: material that unwraps by AES-KWP and has a wrong length is
// refused with its length, and takes no try of the token. What does not unwrap does.
func TestKeyFaultsDoNotCount(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := askParcel(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: WrapRSAAESSHA256})
	for range tokenTries + 1 {
		m := p.material()
		m.EncryptedMaterial = wrapFor(t, p.parameters, append(ownKey(1), 0))
		refusedImport(t, c, k.ID, m, "bytes, the CMK takes")
	}
	bad := p.material()
	bad.EncryptedMaterial = append([]byte(nil), bad.EncryptedMaterial...)
	bad.EncryptedMaterial[300-32] ^= 1
	for range tokenTries {
		if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, errMaterial) {
			t.Errorf("ImportKeyMaterial of what does not unwrap: %v, want %v", err, errMaterial)
		}
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, p.material()); !errors.Is(err, ErrImportToken) || !strings.Contains(err.Error(), "failed tries") {
		t.Errorf("ImportKeyMaterial after %d tries that did not unwrap: %v, want ErrImportToken", tokenTries, err)
	}
	mustImport(t, c, k.ID, askParcel(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: WrapRSAAESSHA256}).material())
}

// TestImportPathDemanded: a path is taken as it is asked for, or refused with the reason.
func TestImportPathDemanded(t *testing.T) {
	c, _, _, _ := newImportDevice(t)
	symmetric, private := newExternal(t, c), mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: ECCP256})
	soft := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: softDriver})
	for _, row := range []struct {
		key  Key
		r    ImportRequest
		path ImportPath
		want error
		say  string
	}{
		{symmetric, ImportRequest{}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathAuto}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathDevice}, PathDevice, nil, ""},
		{symmetric, ImportRequest{Path: PathHost}, PathHost, nil, ""},
		{symmetric, ImportRequest{Path: PathDevice, Algorithm: WrapRSAAESSHA256}, "", ErrUnsupported, "inside its device by"},
		{symmetric, ImportRequest{Path: "MOON"}, "", ErrInvalid, "MOON"},
		{private, ImportRequest{}, PathHost, nil, ""},
		{private, ImportRequest{Path: PathDevice}, "", ErrUnsupported, "EC_P256/SIGN"},
		{soft, ImportRequest{Path: PathDevice}, "", ErrUnsupported, "soft driver unwraps nothing"},
		{soft, ImportRequest{}, PathHost, nil, ""},
	} {
		p, err := c.ParametersForImport(t.Context(), row.key.ID, row.r)
		if !errors.Is(err, row.want) || err != nil && !strings.Contains(err.Error(), row.say) || p.Path != row.path {
			t.Errorf("ParametersForImport(%s, %+v): path %q, %v; want path %q, %v with %q", row.key.Spec, row.r, p.Path, err, row.path, row.want, row.say)
		}
	}
}
