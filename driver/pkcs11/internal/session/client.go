//go:build cgo && unix

// Package session loads modules, logs in to tokens and keeps their sessions. After a
// failure it opens new sessions, logs in again or initialises the module again, and
// repeats the call.
package session

import (
	"context"
	"errors"
	"runtime"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/pin"
)

// Options select a token and configure a client of it.
type Options struct {
	Module, Args  string // the path of the module, and its initialisation argument
	Serial, Label string
	PIN           pin.Source
	Profile       string
	MaxSessions   int
	Without       []string
}

// A Client is one user of a token: its PIN, its sessions, and the profile by which it
// uses the token.
type Client struct {
	Profile object.Profile
	token   *token
	pin     *pin.Credential
	pool    *pool
}

// Open loads the module, finds the token, selects its profile and logs in.
func Open(ctx context.Context, o Options) (*Client, error) {
	m, err := Modules.acquire(ctx, o.Module, o.Args)
	if err != nil {
		return nil, err
	}
	c := &Client{}
	if err := c.connect(ctx, m, o); err != nil {
		m.release()
		return nil, err
	}
	return c, nil
}

// connect finds the token, selects its profile and logs in.
func (c *Client) connect(ctx context.Context, m *module, o Options) (err error) {
	var info p11.TokenInfo
	if c.token, info, err = m.tokenFor(ctx, tokenName{o.Serial, o.Label}); err != nil {
		return err
	}
	c.Profile = object.SelectProfile(o.Profile, cryptoki.TrimPadding(info.ManufacturerID))
	c.Profile.LeftOut = slices.Sorted(slices.Values(o.Without))
	if info.MaxRwSessionCount == 1 {
		return cryptoki.Fault("Open", driver.Unsupported, errOneSession)
	}
	c.pool = newPool(m, sessionCount(o.MaxSessions, c.Profile, info.MaxRwSessionCount))
	if c.pin, err = pin.NewCredential(ctx, o.PIN); err != nil {
		return cryptoki.Fault("PIN", driver.Denied, err)
	}
	if err = c.token.addUser(ctx, c.pin, c.Profile.NoLogin); err != nil {
		c.pin.Close()
	}
	return err
}

var errOneSession = errors.New("the token allows one session: the driver keeps one for the login, and needs another to work")

// sessionCount returns the number of sessions that are used concurrently. The token's limit
// includes the anchor session; 0 and all ones mean that it has no limit.
func sessionCount(most int, p object.Profile, limit uint) int {
	n := most
	if n == 0 {
		n = p.Sessions
	}
	if n == 0 {
		n = max(16, 4*runtime.GOMAXPROCS(0))
	}
	if limit > 0 && limit < uint(n)+1 {
		n = int(limit) - 1
	}
	return n
}

// Slot returns the slot in which the token was at the last login.
func (c *Client) Slot() object.TokenSlot { return c.token.epoch.Load().TokenSlot }

// ModuleInfo returns the module's description of itself.
func (c *Client) ModuleInfo() cryptoki.LibraryInfo { return c.token.mod.Info }

// FailedDestroys returns the keys that the token could not destroy.
func (c *Client) FailedDestroys() *object.FailedDestroys { return &c.token.failedDestroys }

// HasSentinel reports whether the token has a sentinel.
func (c *Client) HasSentinel() bool { return c.token.sentinel.Load() != nil }

// Close closes the sessions, and releases the token and the module.
func (c *Client) Close() error {
	if err := c.token.mod.calls.enter(context.Background()); err == nil {
		c.pool.close(c.token.mod.generation.Load())
		c.token.mod.calls.leave()
	}
	err := c.token.removeUser(c.pin)
	if released := c.token.mod.release(); err == nil {
		err = released
	}
	if err != nil {
		return cryptoki.Fault("Close", driver.Unknown, err)
	}
	return nil
}

// LockForWrite locks the id for writing, and the whole token unless its profile allows
// concurrent writers. The caller calls done.
func (c *Client) LockForWrite(ctx context.Context, id driver.MaterialID) (done func(), err error) {
	if err := c.token.ids.take(ctx, id); err != nil {
		return nil, err
	}
	if c.Profile.Parallel {
		return func() { c.token.ids.give(id) }, nil
	}
	if err := c.token.writer.take(ctx); err != nil {
		c.token.ids.give(id)
		return nil, err
	}
	return func() {
		c.token.writer.give()
		c.token.ids.give(id)
	}, nil
}

// sentinelShape returns the shape for a new sentinel, the cheapest that the token
// supports.
func (c *Client) sentinelShape(specs []driver.SpecInfo) (object.Shape, bool) {
	for _, usage := range []driver.Usage{driver.Derive, driver.Sign} {
		i := slices.IndexFunc(specs, func(row driver.SpecInfo) bool {
			return row.Spec.Usage == usage && row.Spec.Algorithm != driver.RSA3072 && row.Spec.Algorithm != driver.RSA4096
		})
		if i >= 0 {
			return c.Profile.ShapeOf(specs[i].Spec)
		}
	}
	return object.Shape{}, false
}

// EnsureSentinel makes sure that the token has a sentinel. Two programs that open a new
// token at the same time may make two.
func (c *Client) EnsureSentinel(ctx context.Context, specs []driver.SpecInfo) error {
	sh, ok := c.sentinelShape(specs)
	if !ok || c.token.sentinel.Load() != nil {
		return nil
	}
	done, err := c.LockForWrite(ctx, object.SentinelID())
	if err != nil {
		return err
	}
	defer done()
	err = c.Run(ctx, func(s object.Session) (err error) {
		there, known, err := s.FindSentinel()
		if err == nil && !known {
			there = sh
			_, err = s.EnsureKey(object.KeyRequest{Shape: sh, ID: object.SentinelID(), Persistent: true}, object.Session.Generate)
		}
		sh = there
		return err
	})
	if err == nil {
		c.token.sentinel.Store(&object.Object{Shape: sh, ID: object.SentinelID(), Any: true})
	}
	return err
}
