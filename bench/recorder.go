package bench

import (
	"context"
	"errors"
	"iter"
	"sync"

	"strongroom.example/driver"
)

// A recorder is a driver that notes the keys that a vault makes in a device, so that they
// are destroyed after the benchmark. It offers what the driver under it offers.
type recorder struct {
	driver.Driver
	mu   sync.Mutex
	made map[driver.MaterialID]driver.Blob
}

func newRecorder(d driver.Driver) *recorder {
	return &recorder{Driver: d, made: make(map[driver.MaterialID]driver.Blob)}
}

// note notes a creation, even one that failed: the device may have made the key.
func (r *recorder) note(id driver.MaterialID, c driver.Created, err error) (driver.Created, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made[id] = c.Blob
	return c, err
}

// destroyAll destroys the keys.
func (r *recorder) destroyAll() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for id, blob := range r.made {
		all = append(all, r.DestroyKey(context.Background(), id, blob))
	}
	r.made = make(map[driver.MaterialID]driver.Blob)
	return errors.Join(all...)
}

func (r *recorder) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	c, err := r.Driver.GenerateKey(ctx, id, spec)
	return r.note(id, c, err)
}

func (r *recorder) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	c, err := r.Driver.(driver.Importer).ImportKey(ctx, id, spec, material)
	return r.note(id, c, err)
}

func (r *recorder) GenerateWrappingKey(ctx context.Context, id driver.MaterialID, alg driver.KeyAlgorithm) (driver.Created, error) {
	c, err := r.Driver.(driver.WrappedImporter).GenerateWrappingKey(ctx, id, alg)
	return r.note(id, c, err)
}

func (r *recorder) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	c, err := r.Driver.(driver.WrappedImporter).ImportWrapped(ctx, id, spec, w)
	return r.note(id, c, err)
}

func (r *recorder) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return r.Driver.(driver.Lister).ListKeys(ctx)
}

func (r *recorder) Random(ctx context.Context, p []byte) error {
	return r.Driver.(driver.Random).Random(ctx, p)
}

var (
	_ driver.WrappedImporter = (*recorder)(nil)
	_ driver.Importer        = (*recorder)(nil)
	_ driver.Lister          = (*recorder)(nil)
	_ driver.Random          = (*recorder)(nil)
)
