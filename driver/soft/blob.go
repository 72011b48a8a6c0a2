package soft

import (
	"context"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const (
	blobMagic  = "SRM\x01" // the last byte is the format
	blobHeader = len(blobMagic) + 1
	blobLabel  = "strongroom soft blob"
	maxBlob    = 16 << 10
)

var errBlob = errors.New("blob does not open")

// A name identifies the key to which a blob is bound.
type name struct {
	id   driver.MaterialID
	spec driver.KeySpec
}

// binding returns header, id and spec: the associated data of a blob, and the context
// from which its key is derived.
func (n name) binding(header []byte) []byte {
	b := append([]byte(nil), header...)
	b = append(b, n.id[:]...)
	return append(b, n.spec.String()...)
}

// seal wraps material. Each blob is sealed under a key of its own, derived from the
// wrapping key, so that the wrapping key has no limit on the number of blobs.
func (d *Driver) seal(n name, material []byte) (driver.Blob, error) {
	header := append([]byte(blobMagic), byte(d.suite))
	bound := n.binding(header)
	key := d.blobKey(bound)
	defer suite.Wipe(key)
	return d.suite.Seal(header, key, material, bound)
}

// unseal opens a blob into locked memory. The caller frees it.
func (d *Driver) unseal(op string, n name, blob driver.Blob) (*lockedmem.Buffer, error) {
	if len(blob) <= blobHeader+suite.Overhead || len(blob) > maxBlob ||
		string(blob[:len(blobMagic)]) != blobMagic || blob[blobHeader-1] != byte(d.suite) {
		return nil, fault(op, driver.Authentic, errBlob)
	}
	header, sealed := blob[:blobHeader], blob[blobHeader:]
	buf, err := d.arena.Alloc(len(sealed) - suite.Overhead)
	if err != nil {
		return nil, lockedFault(op, err)
	}
	bound := n.binding(header)
	key := d.blobKey(bound)
	defer suite.Wipe(key)
	if _, err := d.suite.Open(buf.Bytes()[:0], key, sealed, bound); err != nil {
		buf.Free()
		return nil, fault(op, driver.Authentic, errBlob)
	}
	return buf, nil
}

func (d *Driver) blobKey(bound []byte) []byte {
	key := suite.NewSecret(d.suite.KeySize())
	d.suite.KDF(key, d.key.Bytes(), blobLabel, bound)
	return key
}

// ExportMaterial appends the material in blob to dst in the clear: raw bytes for
// symmetric keys, PKCS #8 DER for asymmetric ones. It exists for a vault that moves a
// wrapped key into a device; other callers must not use it.
//
// The caller wipes the result, and therefore should pass a dst with a capacity of 4096
// bytes, which suffices for every spec. Errors are those of OpenKey.
func (d *Driver) ExportMaterial(ctx context.Context, n Material, dst []byte) ([]byte, error) {
	const op = "ExportMaterial"
	if err := d.enter(ctx, op, n.Spec); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	buf, err := d.unseal(op, name{n.ID, n.Spec}, n.Blob)
	if err != nil {
		return nil, err
	}
	defer buf.Free()
	return append(dst, buf.Bytes()...), nil
}

// Material identifies the material that ExportMaterial exports.
type Material struct {
	ID   driver.MaterialID
	Spec driver.KeySpec
	Blob driver.Blob
}
