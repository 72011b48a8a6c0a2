package tpm

import (
	"crypto/sha256"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/lockedmem"
)

// A resident is a key of this TPM, as it is loaded when somebody uses it. handle and
// context belong to the device's goroutine; handle is written under the lock of slots.
type resident struct {
	id      [sha256.Size]byte // hash of the blob and what it is bound to
	public  []byte
	private []byte // wrapped by the TPM
	name    []byte
	auth    *lockedmem.Buffer

	refs       int // open handles on it, under the lock of slots
	handle     tpm2.TPMHandle
	context    []byte
	generation uint64 // of the context
}

// entity is the loaded key.
func (r *resident) entity() entity { return entity{r.handle, r.name} }

// load brings a key into the TPM, which checks that its areas belong together and are
// its own.
func (d *device) load(r *resident) (handle tpm2.TPMHandle, err error) {
	err = d.withSRK(func(parent entity) error {
		rsp, err := d.execute(command{
			code:    tpm2.TPMCCLoad,
			handles: []entity{parent},
			params:  appendSized(appendSized(nil, r.private), r.public),
			session: d.session,
			yields:  true,
		})
		if err != nil {
			return d.guarded(err)
		}
		name := reader{rest: rsp.params}
		handle, r.name = rsp.handle, append([]byte(nil), name.sized()...)
		return name.done()
	})
	return handle, err
}

// save makes the saved form of a loaded object.
func (d *device) save(h tpm2.TPMHandle) ([]byte, error) {
	rsp, err := d.execute(command{code: tpm2.TPMCCContextSave, params: handleBytes(h)})
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), rsp.params...), nil
}

// restore loads an object from its saved form.
func (d *device) restore(context []byte) (tpm2.TPMHandle, error) {
	rsp, err := d.execute(command{code: tpm2.TPMCCContextLoad, params: context, yields: true})
	return rsp.handle, err
}
