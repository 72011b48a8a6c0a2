package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// broken is an engine with one fault. A nil function field means no fault.
type broken struct {
	keystore.Engine
	get    func(v []byte, err error) ([]byte, error)
	scan   func(pairs []keystore.Pair) []keystore.Pair
	commit func(ctx context.Context, e keystore.Engine, b keystore.Batch) error
	trim   func(ctx context.Context, e keystore.Engine, below []byte) error
	close  func(e keystore.Engine) error
}

func (b broken) Get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := b.Engine.Get(ctx, key)
	if b.get != nil {
		return b.get(v, err)
	}
	return v, err
}

func (b broken) Scan(ctx context.Context, prefix, after []byte, limit int) ([]keystore.Pair, error) {
	pairs, err := b.Engine.Scan(ctx, prefix, after, limit)
	if b.scan != nil {
		pairs = b.scan(pairs)
	}
	return pairs, err
}

func (b broken) Commit(ctx context.Context, batch keystore.Batch) error {
	if b.commit != nil {
		return b.commit(ctx, b.Engine, batch)
	}
	return b.Engine.Commit(ctx, batch)
}

func (b broken) Trim(ctx context.Context, below []byte) error {
	if b.trim != nil {
		return b.trim(ctx, b.Engine, below)
	}
	return b.Engine.Trim(ctx, below)
}

func (b broken) Close() error {
	if b.close != nil {
		return b.close(b.Engine)
	}
	return b.Engine.Close()
}

const faultName = "STORETEST_FAULT"

// TestFaultsAreFound: Run fails for each engine with a fault and passes for the one
// without. Each engine is tested in a process of its own.
func TestFaultsAreFound(t *testing.T) {
	if name, child := os.LookupEnv(faultName); child {
		storetest.Run(t, withFault(faults()[name]))
		return
	}
	for name := range faults() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFaultsAreFound$")
		cmd.Env = append(os.Environ(), faultName+"="+name)
		out, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) || (name == "none") != (err == nil) {
			t.Errorf("Run on the engine with fault %s: %v, want a failure for every fault but none\n%s", name, err, out)
		}
	}
}

func withFault(b broken) storetest.Opener {
	engines := map[string]*storetest.Memory{}
	return func(t *testing.T, dir string) keystore.Engine {
		if engines[dir] == nil {
			engines[dir] = storetest.NewMemory()
		}
		e, err := engines[dir].Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		b.Engine = e
		return b
	}
}

// faults returns engines that each break one rule of the contract.
func faults() map[string]broken {
	return map[string]broken{
		"none": {},
		"absent without an error": {get: func(v []byte, err error) ([]byte, error) {
			if errors.Is(err, keystore.ErrNotFound) {
				return nil, nil
			}
			return v, err
		}},
		"an error of its own for absent": {get: func(v []byte, err error) ([]byte, error) {
			if errors.Is(err, keystore.ErrNotFound) {
				return nil, errors.New("absent")
			}
			return v, err
		}},
		"a trim that keeps all": {trim: func(context.Context, keystore.Engine, []byte) error { return nil }},
		"a trim of one key more": {trim: func(ctx context.Context, e keystore.Engine, below []byte) error {
			return e.Trim(ctx, append(slices.Clone(below), 0))
		}},
		"order reversed": {scan: func(p []keystore.Pair) []keystore.Pair { slices.Reverse(p); return p }},
		"one pair less":  {scan: func(p []keystore.Pair) []keystore.Pair { return p[:len(p)-min(1, len(p))] }},
		"one pair twice": {scan: func(p []keystore.Pair) []keystore.Pair { return append(p, p[:min(1, len(p))]...) }},
		"no expectations": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			b.Expect = nil
			return e.Commit(ctx, b)
		}},
		"the first expectation only": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			b.Expect = b.Expect[:min(1, len(b.Expect))]
			return e.Commit(ctx, b)
		}},
		"puts before expectations": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			if err := e.Commit(ctx, keystore.Batch{Delete: b.Delete}); err != nil {
				return err
			}
			return e.Commit(ctx, b)
		}},
		"no deletions": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			b.Delete = nil
			return e.Commit(ctx, b)
		}},
		"two batches of one": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			half := keystore.Batch{Expect: b.Expect, Put: b.Put[:len(b.Put)/2]}
			b.Put, b.Expect = b.Put[len(b.Put)/2:], nil
			return errors.Join(e.Commit(ctx, half), e.Commit(ctx, b))
		}},
		"any size": {commit: func(ctx context.Context, e keystore.Engine, b keystore.Batch) error {
			if err := e.Commit(ctx, b); !errors.Is(err, keystore.ErrTooLarge) {
				return err
			}
			return nil
		}},
		"deaf to its context": {commit: func(_ context.Context, e keystore.Engine, b keystore.Batch) error {
			return e.Commit(context.Background(), b)
		}},
		"alive after Close": {close: func(keystore.Engine) error { return nil }},
		"forgets": {close: func(e keystore.Engine) error {
			e.(*storetest.Memory).Restore(nil)
			return e.Close()
		}},
	}
}
