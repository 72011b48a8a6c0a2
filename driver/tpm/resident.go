package tpm

import (
	"crypto/sha256"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/lockedmem"
)

// A resident is a key of this TPM, which is loaded when it is used. handle and context
// belong to the goroutine that has the TPM; handle is written under the lock of slots.
type resident struct {
	id      [sha256.Size]byte // hash of the blob, its id and its spec
	public  []byte
	private []byte // wrapped by the TPM
	name    []byte
	auth    *lockedmem.Buffer

	refs       int // the number of open handles, under the lock of slots
	handle     tpm2.TPMHandle
	context    []byte
	generation uint64 // of the context
}

// entity returns the handle and the name of the loaded key.
func (r *resident) entity() entity { return entity{r.handle, r.name} }

// load loads a key into the TPM, which verifies that the two areas belong together and to
// it.
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

// save returns the saved context of a loaded object.
func (d *device) save(h tpm2.TPMHandle) ([]byte, error) {
	rsp, err := d.execute(command{code: tpm2.TPMCCContextSave, params: handleBytes(h)})
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), rsp.params...), nil
}

// restore loads an object from its saved context.
func (d *device) restore(context []byte) (tpm2.TPMHandle, error) {
	rsp, err := d.execute(command{code: tpm2.TPMCCContextLoad, params: context, yields: true})
	return rsp.handle, err
}
