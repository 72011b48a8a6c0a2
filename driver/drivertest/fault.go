package drivertest

import (
	"context"
	"errors"
	"time"

	"strongroom.example/driver"
)

// A Method names a method of a driver, of its keys, of its optional interfaces or of
// a protector.
type Method string

// The methods that a [Faulty] counts and can fail.
const (
	MethodGenerateKey         Method = "GenerateKey"
	MethodOpenKey             Method = "OpenKey"
	MethodDestroyKey          Method = "DestroyKey"
	MethodImportKey           Method = "ImportKey"
	MethodGenerateWrappingKey Method = "GenerateWrappingKey"
	MethodImportWrapped       Method = "ImportWrapped"
	MethodListKeys            Method = "ListKeys"
	MethodRandom              Method = "Random"
	MethodIdentity            Method = "Identity"
	MethodRead                Method = "Read"
	MethodIncrement           Method = "Increment"
	MethodPRF                 Method = "PRF"
	MethodSign                Method = "Sign"
	MethodDecrypt             Method = "Decrypt"
	MethodProtect             Method = "Protect"
	MethodRecover             Method = "Recover"
)

// A Fault describes what happens to one call, or to all calls, of a [Faulty]. The call
// waits for Delay and then for Block. If Fail is set, it then ends with an error of
// Class; if After is set too, the device first does the work, and the result is lost. The
// zero Fault changes nothing.
//
//	Fault{Method: MethodSign, Nth: 3, Fail: true, Class: driver.Throttled} // the third signature is refused
//	Fault{Fail: true, Class: driver.Unavailable}                           // the device is gone
//	Fault{Method: MethodGenerateKey, Fail: true, After: true}              // it dies after it acted: Unknown
//	Fault{Method: MethodPRF, Delay: 20 * time.Millisecond}                 // a slow device
//	Fault{Method: MethodPRF, Nth: 1, Block: proceed}                       // a call hangs until proceed is closed
type Fault struct {
	// Method is the method that the fault applies to; empty means every method.
	Method Method
	// Nth is the number of the call that the fault applies to, counted from 1 since Add,
	// among the calls of Method. 0 means every call.
	Nth int
	// Delay is added latency. A context that ends shortens it.
	Delay time.Duration
	// Block, if not nil, holds the call until it is closed or the context ends.
	Block <-chan struct{}
	// Fail makes the call end in an error of Class.
	Fail  bool
	Class driver.Class
	// After makes a failing call act first, as when the device dies after the work.
	After bool
}

var errInjected = errors.New("injected fault")

// wait delays and blocks a call. It returns the context's error, unwrapped.
func (x Fault) wait(ctx context.Context) error {
	if x.Delay > 0 {
		timer := time.NewTimer(x.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if x.Block != nil {
		select {
		case <-x.Block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (x Fault) err(m Method) error {
	if !x.Fail {
		return nil
	}
	return failure(string(m), x.Class, errInjected)
}
