package entropy

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/retry"
)

// reseedSize is the number of random bytes that a device is asked for.
const reseedSize = 32

// ReseedFrom starts, for each driver whose device has a random generator, a goroutine that
// mixes the device's random bytes into the key, now and at each interval until ctx ends.
// No operation waits for it. It starts each goroutine by calling start, and closes the
// returned channel when each device has been asked once.
func (s *Source) ReseedFrom(ctx context.Context, drivers map[string]driver.Driver, interval time.Duration, start func(func())) <-chan struct{} {
	asked := make(chan struct{})
	var first sync.WaitGroup
	for _, d := range drivers {
		device, able := d.(driver.Random)
		if !able || !d.Info().Random {
			continue
		}
		first.Add(1)
		start(func() {
			s.reseedOnce(ctx, device)
			first.Done()
			for retry.Sleep(ctx, interval) {
				s.reseedOnce(ctx, device)
			}
		})
	}
	start(func() { first.Wait(); close(asked) })
	return asked
}

// reseedOnce mixes one device's random bytes into the key. If the device fails, the key is
// unchanged and the device is asked again at the next interval.
func (s *Source) reseedOnce(ctx context.Context, device driver.Random) {
	random := readDevice(ctx, device)
	defer suite.Wipe(random)
	if random != nil {
		s.Reseed(random)
	}
}

// readDevice returns a device's random bytes, which the caller wipes. It returns nil if the
// device fails or ctx ends first. If the device hangs, readDevice abandons the call, because
// ctx does not end it and Close must not wait for it.
func readDevice(ctx context.Context, device driver.Random) []byte {
	read := make(chan []byte)
	go func() {
		p := make([]byte, reseedSize)
		if device.Random(ctx, p) != nil {
			suite.Wipe(p)
			p = nil
		}
		select {
		case read <- p:
		case <-ctx.Done():
			suite.Wipe(p)
		}
	}()
	select {
	case p := <-read:
		return p
	case <-ctx.Done():
		return nil
	}
}
