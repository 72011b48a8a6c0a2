package ranktest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Significance is the p-value below which one run counts as a difference.
const Significance = 0.001

// A Trial compares calls on valid inputs with calls on several classes of invalid
// ones.
type Trial struct {
	// Samples is the number of calls in one run: half of them on valid inputs, the others
	// evenly distributed over the invalid classes, all in random order.
	Samples int
	// Invalid is the number of invalid classes.
	Invalid int
	// Prepare prepares the next call, outside of the timing. Class 0 is valid, classes 1
	// to Invalid are not. It should copy the input to one place for all classes;
	// otherwise the processor's caches hold the valid input best, and the test measures
	// that.
	Prepare func(class int)
	// Call is the timed call. It is the same for all classes.
	Call func()
}

// neighbours is the number of successive calls whose durations are compared with each
// other. It is a few milliseconds to a tenth of a second of calls, in which the speed of a
// shared machine changes little.
const neighbours = 64

// Run makes one run and returns the durations of valid and invalid calls, as A and B of
// blocks of neighbours.
func (t Trial) Run() []Block[time.Duration] {
	var blocks []Block[time.Duration]
	for order := range slices.Chunk(t.order(), neighbours) {
		var b Block[time.Duration]
		for _, class := range order {
			t.Prepare(class)
			start := time.Now()
			t.Call()
			took := time.Since(start)
			if class == 0 {
				b.A = append(b.A, took)
			} else {
				b.B = append(b.B, took)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func (t Trial) order() []int {
	classes := make([]int, t.Samples)
	for i := range classes {
		if i%2 == 1 {
			classes[i] = 1 + i/2%t.Invalid
		}
	}
	rand.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	return classes
}

// Calibrate doubles Samples until Differs detects control, a variant of Call whose time
// depends on the class, because a test that cannot detect it has not enough calls for the
// noise of this machine. It reports false if 64 times as many calls are not enough.
func (t *Trial) Calibrate(control func()) (bool, []float64) {
	leaky := *t
	leaky.Call = control
	var all []float64
	for range 7 {
		differs, ps := leaky.Differs()
		all = append(all, ps...)
		if differs {
			t.Samples = leaky.Samples
			return true, all
		}
		leaky.Samples *= 2
	}
	return false, all
}

// Differs reports whether valid and invalid calls take different time: two of three runs
// have a p-value below Significance, which happens by chance three times in a million. It
// stops when two runs agree, and returns the p-values.
func (t Trial) Differs() (bool, []float64) {
	var ps []float64
	var same, different int
	for same < 2 && different < 2 {
		p := P(t.Run()...)
		ps = append(ps, p)
		if p < Significance {
			different++
		} else {
			same++
		}
	}
	return different == 2, ps
}
