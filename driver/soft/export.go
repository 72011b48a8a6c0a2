package soft

import (
	"context"

	"strongroom.example/driver"
)

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
