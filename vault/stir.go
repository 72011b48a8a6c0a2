package vault

import (
	"context"
	"sync"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

const (
	// stirSize is how many random bytes a device is asked for.
	stirSize = 32
	// stirEvery is when it is asked again.
	stirEvery = 10 * time.Minute
	// stirWithin is how long Create and Open wait for the devices. One that is slower
	// has its bytes mixed in when they come.
	stirWithin = time.Second
)

// stir has each device that has a generator mix its random bytes into the hedge, now
// and every so often until ctx ends. No operation waits for it. asked is closed when
// each has answered once.
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

// stirFrom mixes one device's random bytes into the hedge. A device that fails leaves
// the hedge as it is, and is asked again later like every other.
func (v *Vault) stirFrom(ctx context.Context, source driver.Random) {
	random := draw(ctx, source)
	defer suite.Wipe(random)
	if random != nil {
		v.hedge.stir(random)
	}
}

// draw returns a device's random bytes, which the caller wipes; nil if it fails, or if
// ctx ends first. A call that the device hangs in is left to itself, for a context does
// not end it, and Close shall not wait for it.
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
