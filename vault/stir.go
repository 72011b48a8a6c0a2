package vault

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	// stirSize is the number of random bytes that a device is asked for.
	stirSize = 32
	// stirEvery is the interval between two requests to a device.
	stirEvery = 10 * time.Minute
	// stirWithin is how long Create and Open wait for the devices. The bytes of a slower
	// device are mixed in when they arrive.
	stirWithin = time.Second
)

// stir starts, for each device that has a random generator, a goroutine that mixes the
// device's random bytes into the hedge, now and at intervals until ctx ends. No operation
// waits for it. It closes asked when each device has been asked once.
func (v *Vault) stir(ctx context.Context, asked chan<- struct{}) {
	var first sync.WaitGroup
	for _, d := range v.drivers {
		source, able := d.(driver.Random)
		if !able || !d.Info().Random {
			continue
		}
		first.Add(1)
		v.agenda.work.Go(func() {
			v.stirFrom(ctx, source)
			first.Done()
			for sleep(ctx, v.cfg.stirEvery) {
				v.stirFrom(ctx, source)
			}
		})
	}
	v.agenda.work.Go(func() { first.Wait(); close(asked) })
}

// stirFrom mixes one device's random bytes into the hedge. If the device fails, the hedge
// is unchanged and the device is asked again at the next interval.
func (v *Vault) stirFrom(ctx context.Context, source driver.Random) {
	random := draw(ctx, source)
	defer suite.Wipe(random)
	if random != nil {
		v.hedge.stir(random)
	}
}

// draw returns a device's random bytes, which the caller wipes. It returns nil if the
// device fails or ctx ends first. If the device hangs, draw abandons the call, because ctx
// does not end it and Close must not wait for it.
func draw(ctx context.Context, source driver.Random) []byte {
	drawn := make(chan []byte)
	go func() {
		p := make([]byte, stirSize)
		if source.Random(ctx, p) != nil {
			suite.Wipe(p)
			p = nil
		}
		select {
		case drawn <- p:
		case <-ctx.Done():
			suite.Wipe(p)
		}
	}()
	select {
	case p := <-drawn:
		return p
	case <-ctx.Done():
		return nil
	}
}
