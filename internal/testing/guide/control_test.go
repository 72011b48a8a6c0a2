//go:build cgo && unix

package guide

import (
	"bytes"
	"context"
	"errors"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// permissions stores policies: an application may encrypt under one key and do nothing else.
func permissions(s *stand) string {
	ctx := s.Context()
	k, err := s.owner.CreateKey(ctx, vault.KeyOptions{Alias: "invoices"})
	s.ok(err)
	app := s.vault.As("billing")
	_, err = app.Encrypt(ctx, "invoices", []byte("4711"), purpose)
	s.want("before the policy", err, vault.ErrDenied)
	_, err = policy.Put(ctx, s.owner, policy.Set{Cedar: `
		permit(principal == Principal::"owner", action, resource);
		permit(principal == Principal::"billing", action == Action::"Encrypt", resource)
		when { resource.alias == "invoices" && context.encryptionContext.hasTag("tenant") };`})
	s.ok(err)
	ct, err := app.Encrypt(ctx, "invoices", []byte("4711"), purpose)
	s.ok(err)
	_, err = app.Encrypt(ctx, "invoices", []byte("4711"), nil)
	s.want("without a tenant", err, vault.ErrDenied)
	_, err = app.Decrypt(ctx, ct, purpose)
	s.want("Decrypt", err, vault.ErrDenied)
	s.want("DisableKeys", app.DisableKeys(ctx, k.ID), vault.ErrDenied)
	s.decrypts(ct, []byte("4711"))
	// A part of a program gets less than its principal may do.
	narrow, _, err := s.owner.Narrow(ctx, vault.Grant{Keys: []string{k.ID}, Operations: []vault.Operation{vault.OpDecrypt}, Uses: 1})
	s.ok(err)
	_, err = narrow.Decrypt(ctx, ct, purpose)
	s.ok(err)
	_, err = narrow.Decrypt(ctx, ct, purpose)
	s.want("the second use of one", err, vault.ErrDenied)
	return holds
}

// auditLog finds who used a key yesterday, and verifies an export without the vault.
func auditLog(s *stand) string {
	ctx := s.Context()
	k, err := s.owner.CreateKey(ctx, vault.KeyOptions{})
	s.ok(err)
	yesterday := s.clock.Now()
	ct := s.encrypt(k.ID, []byte("4711"))
	_, err = s.vault.As("mallory").Decrypt(ctx, ct, purpose)
	s.want("a stranger", err, vault.ErrDenied)
	s.clock.Advance(24 * time.Hour)
	s.decrypts(ct, []byte("4711"))
	found := map[string]audit.Result{}
	for r, err := range s.owner.AuditRecords(ctx, audit.Filter{Key: k.ID, From: yesterday, To: yesterday.Add(time.Hour)}) {
		s.ok(err)
		found[r.Principal+" "+r.Operation] = r.Result
	}
	if found["owner Encrypt"] != audit.OK || found["mallory Decrypt"] != audit.Refused || found["owner Decrypt"] != "" {
		s.Errorf("yesterday's records of the key: %v", found)
	}
	var export bytes.Buffer
	s.ok(s.owner.ExportAudit(ctx, &export))
	report, err := audit.VerifyExport(bytes.NewReader(export.Bytes()), s.vault.LogKey())
	if err != nil || report.Records == 0 {
		s.Errorf("VerifyExport: %+v, %v", report, err)
	}
	_, err = audit.VerifyExport(bytes.NewReader(bytes.Replace(export.Bytes(), []byte("mallory"), []byte("malerbe"), 1)), s.vault.LogKey())
	s.want("an export in which a name was changed", err, audit.ErrFault)
	return holds
}

// onlyBatch applies a limiter to one principal.
type onlyBatch struct{ vault.Limiter }

// Limit implements vault.Limiter.
func (l onlyBatch) Limit(r vault.Request) time.Duration {
	if r.Principal != "batch" {
		return 0
	}
	return l.Limiter.Limit(r)
}

// backOff repeats calls above a limit and calls of a busy device, and no others.
func backOff(s *stand) string {
	_, err := policy.Put(s.Context(), s.owner, policy.Set{Cedar: `permit(principal, action, resource);`})
	s.ok(err)
	batch := s.vault.As("batch")
	_, err = batch.GenerateRandom(s.Context(), 16)
	s.ok(err)
	var class vault.RetryClass
	calls := 0
	s.ok(vault.Retry(s.Context(), func(ctx context.Context) error {
		calls++
		_, err := batch.GenerateRandom(ctx, 16)
		var e *vault.Error
		if errors.Is(err, vault.ErrThrottled) && errors.As(err, &e) {
			class = vault.RetryClassOf(err)
			s.clock.Advance(e.RetryAfter) // the limiter goes by the vault's clock
		}
		return err
	}))
	if calls != 2 || class != vault.RetryDelayed {
		s.Errorf("a call above the limit was made %d times, and its class is %d", calls, class)
	}
	calls = 0
	err = vault.Retry(s.Context(), func(ctx context.Context) error {
		calls++
		_, err := batch.Decrypt(ctx, []byte("no ciphertext"), nil)
		return err
	})
	if !errors.Is(err, vault.ErrCiphertext) || calls != 1 {
		s.Errorf("a call that cannot succeed was made %d times: %v", calls, err)
	}
	if s.device != nil {
		s.busyDevice()
	}
	return holds
}

// busyDevice makes the device refuse signatures until the caller makes its call again. The
// vault itself makes calls of a device again for a short time.
func (s *stand) busyDevice() {
	k, err := s.owner.CreateKey(s.Context(), vault.KeyOptions{Usage: vault.SignVerify, Spec: vault.ECCP256, Driver: "device"})
	s.ok(err)
	s.device.Add(drivertest.Fault{Method: drivertest.MethodSign, Fail: true, Class: driver.Throttled})
	defer s.device.Clear()
	calls := 0
	s.ok(vault.Retry(s.Context(), func(ctx context.Context) error {
		if calls++; calls > 1 {
			s.device.Clear()
		}
		_, err := s.owner.Sign(ctx, k.ID, []byte("4711"), vault.SignOptions{Algorithm: vault.ECCP256R1, MessageType: vault.Raw})
		return err
	}))
	if calls != 2 {
		s.Errorf("a signature by a busy device was asked for %d times, want twice", calls)
	}
}

// opensAgain closes the vault and opens it by its first protector alone.
func opensAgain(s *stand) string {
	ct := s.encrypt("invoices", []byte("4711"))
	s.ok(s.vault.Close())
	v, kind, err := s.reopen()
	s.ok(err) // the end of the test closes the vault that is closed already
	s.vault, s.owner = v, v.As(vault.DefaultOwner)
	s.decrypts(ct, []byte("4711"))
	s.ok(s.owner.Check(s.Context()))
	return kind
}
