//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/selftest"
)

// SelfTest returns the abilities of the token. The first driver in the process runs the
// self-test. It is repeated for another firmware, profile or list of omitted abilities,
// and if the last result was inconclusive.
func (c *Client) SelfTest(ctx context.Context) (*selftest.Result, error) {
	if err := c.token.selfTestLock.take(ctx); err != nil {
		return nil, err
	}
	defer c.token.selfTestLock.give()
	as := c.Profile.Name + " " + cryptoki.FormatVersion(c.Slot().Info.FirmwareVersion) + fmt.Sprint(c.Profile.LeftOut)
	if known := c.token.selfTests[as]; known != nil {
		return known, nil
	}
	able, err := c.runSelfTest(ctx)
	if err != nil {
		return nil, err
	}
	if able.Inconclusive == nil {
		c.token.selfTests[as] = able
	}
	return able, nil
}

// runSelfTest runs the self-test, one at a time in the token. If the token fails
// permanently during a trial, the error names the ability that was tried.
func (c *Client) runSelfTest(ctx context.Context) (able *selftest.Result, err error) {
	if !c.Profile.Parallel {
		if err := c.token.writer.take(ctx); err != nil {
			return nil, err
		}
		defer c.token.writer.give()
	}
	var fatal *cryptoki.AbilityError
	err = c.Run(ctx, func(s object.Session) (err error) {
		able, err = selftest.Run(s, c.Profile)
		errors.As(err, &fatal)
		return err
	})
	if fatal != nil && errors.Is(err, cryptoki.ErrDown) {
		err = cryptoki.Fault("self-test", driver.Unavailable, fatal)
	}
	return able, err
}

// RunSelfTest runs the self-test regardless of earlier results.
func (c *Client) RunSelfTest(ctx context.Context) (*selftest.Result, error) {
	if err := c.token.selfTestLock.take(ctx); err != nil {
		return nil, err
	}
	defer c.token.selfTestLock.give()
	return c.runSelfTest(ctx)
}
