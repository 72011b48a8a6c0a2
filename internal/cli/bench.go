package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/suite"
	"strongroom.example/vault"
)

// A measurement is one row of the command bench.
type measurement struct {
	Operation  string        `json:"operation"`
	Key        string        `json:"key"`
	Spec       vault.KeySpec `json:"spec"`
	Driver     string        `json:"driver"`
	Callers    int           `json:"callers"`
	Operations int           `json:"operations"`
	PerSecond  float64       `json:"per_second"`
	P50        time.Duration `json:"p50_ns"`
	P99        time.Duration `json:"p99_ns"`
}

func (a *app) benchCommand() *cobra.Command {
	callers, turn := 1, time.Second
	on := ""
	c := &cobra.Command{
		Use: "bench [KEY]...", Short: "Measure operations of the vault's keys, or of a disk",
		Long: "bench measures how many operations a second the keys do, in the vault as it is configured, with its device and its\n" +
			"disk. Each operation is recorded in the vault's audit log. Without KEY it makes a vault of software keys in a\n" +
			"temporary directory, and removes it. Compare figures of one machine under the same load. The package bench of the\n" +
			"source measures devices in depth.",
		Example: "  strongroom bench --on /var/lib --callers 8\n  strongroom bench invoices ca --duration 5s",
		RunE: func(c *cobra.Command, args []string) error {
			if callers < 1 || turn <= 0 {
				return usage("--callers and --duration are greater than zero")
			}
			b := bencher{app: a, callers: callers, turn: turn}
			if len(args) > 0 {
				return a.vaultCommand(b.measureKeys)(c, args)
			}
			return b.measureDisk(c.Context(), on)
		},
	}
	c.Flags().IntVar(&callers, "callers", callers, "how many callers work at a time")
	c.Flags().DurationVar(&turn, "duration", turn, "how long each operation is measured")
	c.Flags().StringVar(&on, "on", "", "the `directory` in which the temporary vault is made; default that of temporary files")
	return c
}

// A bencher measures keys, each operation with the same callers and for the same time.
type bencher struct {
	app     *app
	callers int
	turn    time.Duration
}

// measureDisk measures a temporary vault of software keys in a directory.
func (b bencher) measureDisk(ctx context.Context, on string) (err error) {
	dir, err := os.MkdirTemp(on, "strongroom-bench-*")
	if err != nil {
		return notThere(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := session.New(ctx, session.Settings{Directory: filepath.Join(dir, "vault")}, session.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	protectors, err := newProtectors(ctx, s, []string{"new-key-file:" + filepath.Join(dir, "key")})
	if err != nil {
		return err
	}
	if err := s.Create(ctx, protectors); err != nil {
		return err
	}
	var keys []string
	for _, spec := range []vault.KeySpec{vault.Symmetric, vault.HMAC256, vault.ECCP256, vault.RSA2048} {
		o := vault.KeyOptions{Spec: spec}
		if spec == vault.RSA2048 {
			o.Usage = vault.SignVerify
		}
		k, err := s.Client().CreateKey(ctx, o)
		if err != nil {
			return err
		}
		keys = append(keys, k.ID)
	}
	return b.measureKeys(ctx, s, keys)
}

// measureKeys measures the operations of keys.
func (b bencher) measureKeys(ctx context.Context, s *session.Session, keys []string) error {
	p := b.app.columns("OPERATION", "SPEC", "DRIVER", "CALLERS", "PER SECOND", "P50", "P99", "KEY")
	for _, name := range keys {
		k, err := s.Client().DescribeKey(ctx, name)
		if err != nil {
			return err
		}
		operations, err := operationsOf(ctx, s.Client(), k)
		if err != nil {
			return err
		}
		for _, o := range operations {
			m, err := b.measure(ctx, o.call)
			if err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			m.Operation, m.Key, m.Spec, m.Driver = o.name, name, k.Spec, k.Driver
			if err := p.row(m, m.Operation, m.Spec, m.Driver, m.Callers, fmt.Sprintf("%.0f", m.PerSecond), m.P50, m.P99, m.Key); err != nil {
				return err
			}
		}
	}
	return p.flush()
}

type operation struct {
	name string
	call func(context.Context) error
}

// operationsOf returns the operations of a key's usage.
func operationsOf(ctx context.Context, c vault.Client, k vault.Key) ([]operation, error) {
	switch k.Usage {
	case vault.EncryptDecrypt:
		text := make([]byte, 1024)
		ct, err := c.Encrypt(ctx, k.ID, text, nil)
		return []operation{
			{"Encrypt 1 KiB", func(ctx context.Context) error { _, err := c.Encrypt(ctx, k.ID, text, nil); return err }},
			{"Decrypt 1 KiB", func(ctx context.Context) error {
				b, err := c.Decrypt(ctx, ct, nil)
				suite.Wipe(b)
				return err
			}},
			{"GenerateDataKey", func(ctx context.Context) error {
				k, err := c.GenerateDataKey(ctx, k.ID, vault.DataKeyDefault, nil)
				k.Destroy()
				return err
			}},
		}, err
	case vault.SignVerify:
		message := make([]byte, sha256.Size)
		signature, err := c.Sign(ctx, k.ID, message, vault.SignOptions{})
		return []operation{
			{"Sign", func(ctx context.Context) error {
				_, err := c.Sign(ctx, k.ID, message, vault.SignOptions{})
				return err
			}},
			{"Verify", func(ctx context.Context) error {
				_, err := c.Verify(ctx, k.ID, message, signature, vault.SignOptions{})
				return err
			}},
		}, err
	case vault.GenerateVerifyMac:
		return []operation{{"GenerateMac", func(ctx context.Context) error {
			_, err := c.GenerateMac(ctx, k.ID, make([]byte, 64))
			return err
		}}}, nil
	}
	return nil, usage("%s has the usage %s, which is not measured", k.ID, k.Usage)
}

// measure repeats a call for one turn. Each caller makes at least one call.
func (b bencher) measure(ctx context.Context, call func(context.Context) error) (measurement, error) {
	times := make([][]time.Duration, b.callers)
	errs := make([]error, b.callers)
	begun := time.Now()
	var callers sync.WaitGroup
	for i := range b.callers {
		callers.Go(func() {
			for again := true; again; again = time.Since(begun) < b.turn && errs[i] == nil {
				start := time.Now()
				errs[i] = call(ctx)
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	callers.Wait()
	elapsed := time.Since(begun)
	all := slices.Concat(times...)
	slices.Sort(all)
	at := func(part float64) time.Duration {
		return all[min(int(part*float64(len(all))), len(all)-1)].Round(100 * time.Nanosecond)
	}
	return measurement{
		Callers: b.callers, Operations: len(all), PerSecond: float64(len(all)) / elapsed.Seconds(), P50: at(0.5), P99: at(0.99),
	}, errors.Join(errs...)
}
