package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/throttle"
)

// admitted asks n times at one moment and returns how many are admitted, and the last wait.
func admitted(l *throttle.Limiter, r vault.Request, n int) (done int, wait time.Duration) {
	for range n {
		if w := l.Limit(r); w > 0 {
			wait = w
		} else {
			done++
		}
	}
	return done, wait
}

// TestCloudQuota: each class has the published number of operations in a second, and the wait
// is that until the next one.
func TestCloudQuota(t *testing.T) {
	now := time.Unix(1e9, 0)
	for op, want := range map[vault.Operation]int{
		vault.OpEncrypt: 300, vault.OpGenerateDataKey: 300, vault.OpDecryptTo: 300, vault.OpSign: 100, vault.OpVerify: 100,
		vault.OpAsymmetricDecrypt: 200, vault.OpGenerateRandom: 150, vault.OpPublicKey: 100, vault.OpDescribeKey: 1000,
	} {
		l := throttle.New(throttle.CloudQuota())
		done, wait := admitted(l, vault.Request{Operation: op, Time: now}, 1000)
		if done != want {
			t.Errorf("%s: %d in a moment, want %d", op, done, want)
		}
		if want == 1000 {
			continue
		}
		if perOperation := time.Second / time.Duration(want); wait < perOperation-time.Millisecond || wait > perOperation+time.Millisecond {
			t.Errorf("%s: the wait is %v, want about %v", op, wait, perOperation)
		}
		if done, _ := admitted(l, vault.Request{Operation: op, Time: now.Add(wait)}, 2); done != 1 {
			t.Errorf("%s: %d after the wait, want 1", op, done)
		}
	}
}

// TestRotateEvery: a CMK is rotated once a day.
func TestRotateEvery(t *testing.T) {
	l, now := throttle.New(throttle.CloudQuota()), time.Unix(1e9, 0)
	ask := func(key string, at time.Time) time.Duration {
		return l.Limit(vault.Request{Operation: vault.OpRotateKey, Key: key, Time: at})
	}
	for _, c := range []struct {
		key   string
		after time.Duration
		want  time.Duration
	}{{"a", 0, 0}, {"b", 0, 0}, {"a", time.Hour, 23 * time.Hour}, {"a", 24 * time.Hour, 0}, {"b", 25 * time.Hour, 0}, {"a", 25 * time.Hour, 23 * time.Hour}} {
		if got := ask(c.key, now.Add(c.after)); got != c.want {
			t.Errorf("%s after %v: a wait of %v, want %v", c.key, c.after, got, c.want)
		}
	}
}

// TestLimitsAreSeparate: principals, classes and drivers have limits of their own, and an
// operation above one of them counts for none of the others.
func TestLimitsAreSeparate(t *testing.T) {
	now := time.Unix(1e9, 0)
	ask := func(p vault.Principal, driver string) vault.Request {
		return vault.Request{Principal: p, Operation: vault.OpSign, KeyDriver: driver, Time: now}
	}
	l := throttle.New(throttle.Config{
		Principal: throttle.Rate{PerSecond: 5}, Classes: map[throttle.Class]throttle.Rate{throttle.Sign: {PerSecond: 1, Burst: 12}},
		Drivers: map[string]throttle.Rate{"hsm": {PerSecond: 2}},
	})
	for _, c := range []struct {
		principal vault.Principal
		driver    string
		want      int
	}{{"alice", "soft", 5}, {"alice", "soft", 0}, {"bob", "hsm", 2}, {"bob", "soft", 3}, {"carol", "soft", 2}} {
		if done, _ := admitted(l, ask(c.principal, c.driver), 50); done != c.want {
			t.Errorf("%s on %s: %d in a moment, want %d", c.principal, c.driver, done, c.want)
		}
	}
	l = throttle.New(throttle.Config{Principal: throttle.Rate{PerSecond: 1}})
	for i := range 10_000 {
		l.Limit(ask(vault.Principal(fmt.Sprint("invented ", i)), ""))
	}
	if done, _ := admitted(l, ask("invented 9999", ""), 5); done != 0 {
		t.Errorf("a principal beyond the number that is kept: %d in a moment, want 0, because they share one limit", done)
	}
	if done, _ := admitted(throttle.New(throttle.Config{}), ask("alice", "hsm"), 5000); done != 5000 {
		t.Errorf("without limits %d of 5000 are admitted", done)
	}
}

// A startedClock is a clock that stands still until start is called.
type startedClock struct {
	once    sync.Once
	started atomic.Pointer[time.Time]
}

func (c *startedClock) start() {
	c.once.Do(func() { now := time.Now(); c.started.Store(&now) })
}

// ran returns the time since start.
func (c *startedClock) ran() time.Duration {
	if s := c.started.Load(); s != nil {
		return time.Since(*s)
	}
	return 0
}

func (c *startedClock) Now() time.Time { return time.Unix(2e9, 0).Add(c.ran()) }

func (c *startedClock) Boot() (id [16]byte, since time.Duration) {
	return [16]byte{1}, time.Hour + c.ran()
}

// TestApplicationAtQuota: 20 goroutines of an application complete their work in quota mode
// with a RetryPolicy. The denied ones among them are not retried. Time begins with the first
// throttled attempt, so that there is one on a slow machine too.
func TestApplicationAtQuota(t *testing.T) {
	ctx := t.Context()
	clock := new(startedClock)
	cfg := vault.Config{Limiter: throttle.New(throttle.CloudQuota()), Clock: clock}
	v, err := vault.Create(ctx, filepath.Join(t.TempDir(), "vault"), cfg, soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	k, err := c.CreateKey(ctx, vault.KeyOptions{Spec: vault.ECCP256, Usage: vault.SignVerify})
	if err != nil {
		t.Fatal(err)
	}
	const calls, burst = 10, 200
	var attempts, throttled, denied atomic.Int64
	p := vault.RetryPolicy{Attempts: 100, MaxDelay: 200 * time.Millisecond, Budget: vault.NewRetryBudget(2, burst)}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range calls {
				err := p.Do(ctx, func(ctx context.Context) error {
					attempts.Add(1)
					_, err := c.Sign(ctx, k.ID, []byte("message"), vault.SignOptions{})
					var e *vault.Error
					if errors.Is(err, vault.ErrThrottled) && errors.As(err, &e) && e.RetryAfter > 0 {
						throttled.Add(1)
						clock.start()
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
			_ = p.Do(ctx, func(ctx context.Context) error {
				denied.Add(1)
				_, err := v.As("mallory").Sign(ctx, k.ID, []byte("message"), vault.SignOptions{})
				return err
			})
		})
	}
	all.Wait()
	if n := attempts.Load() - throttled.Load(); n != 20*calls {
		t.Errorf("%d calls were done, want %d", n, 20*calls)
	}
	if throttled.Load() == 0 || attempts.Load() > 20*calls+burst+2*21*calls {
		t.Errorf("%d attempts, %d of them throttled", attempts.Load(), throttled.Load())
	}
	if denied.Load() != 20 {
		t.Errorf("%d attempts of 20 denied calls, want 20", denied.Load())
	}
	if took := clock.ran(); took < 900*time.Millisecond {
		t.Errorf("after 100 signatures at once, 100 at 100 in a second took %v", took)
	}
	var recorded uint64
	for r, err := range c.AuditRecords(ctx, audit.Filter{Operation: string(vault.OpSign), Result: audit.Failed}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Error == "THROTTLED" {
			recorded += max(1, r.Count)
		}
	}
	if recorded != uint64(throttled.Load()) {
		t.Errorf("%d throttled attempts on record, want %d", recorded, throttled.Load())
	}
}

// TestTimeSetBack: after the vault's time was set back, a rotation waits no longer than
// RotateEvery.
func TestTimeSetBack(t *testing.T) {
	t.Parallel()
	const every = 24 * time.Hour
	l := throttle.New(throttle.Config{RotateEvery: every})
	now := time.Now()
	rotate := func(at time.Time) time.Duration {
		return l.Limit(vault.Request{Principal: "p", Operation: vault.OpRotateKey, Key: "k", Time: at})
	}
	if wait := rotate(now.AddDate(10, 0, 0)); wait != 0 {
		t.Fatalf("the first rotation waits %v", wait)
	}
	if wait := rotate(now); wait <= 0 || wait > every {
		t.Errorf("the time was set back 10 years: a rotation waits %v, want at most %v", wait, every)
	}
	if wait := rotate(now.Add(every)); wait != 0 {
		t.Errorf("a rotation after %v waits %v", every, wait)
	}
}

// TestForecast: Forecast returns what Limit would, and counts nothing. A dry run fails like the
// operation.
func TestForecast(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := throttle.New(throttle.Config{Principal: throttle.Rate{PerSecond: 3}, RotateEvery: time.Hour})
	for op, allowed := range map[vault.Operation]int{vault.OpSign: 3, vault.OpRotateKey: 1} {
		r := vault.Request{Principal: vault.Principal(op), Operation: op, Key: "k", Time: now}
		for n := range 5 {
			want := l.Forecast(r)
			for range 10 {
				if got := l.Forecast(r); got != want {
					t.Fatalf("%s: Forecast returns %v and then %v", op, want, got)
				}
			}
			if got := l.Limit(r); got != want || got > 0 != (n >= allowed) {
				t.Errorf("%s %d: Limit returns %v, Forecast %v", op, n, got, want)
			}
		}
	}
	v, err := vault.Create(t.Context(), filepath.Join(t.TempDir(), "vault"), vault.Config{Limiter: throttle.New(throttle.Config{
		Classes: map[throttle.Class]throttle.Rate{throttle.Random: {PerSecond: 0.001}},
	})}, soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	c := v.As(vault.DefaultOwner)
	for range 3 {
		if err := c.DryRun(t.Context(), vault.OpGenerateRandom, "", nil); err != nil {
			t.Errorf("DryRun below the limit: %v", err)
		}
	}
	if _, err := c.GenerateRandom(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	err = c.DryRun(t.Context(), vault.OpGenerateRandom, "", nil)
	would, forErr := c.DryRunFor(t.Context(), vault.DefaultOwner, vault.OpGenerateRandom, "", nil)
	for name, err := range map[string]error{"DryRun": err, "DryRunFor": would.Err} {
		var e *vault.Error
		if !errors.Is(err, vault.ErrThrottled) || !errors.As(err, &e) || e.RetryAfter <= 0 {
			t.Errorf("%s above the limit: %v, want ErrThrottled with RetryAfter", name, err)
		}
	}
	if forErr != nil || !would.Allowed {
		t.Errorf("DryRunFor above the limit: %+v, %v", would, forErr)
	}
}
