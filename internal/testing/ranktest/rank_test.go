package ranktest

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

func TestKnownP(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []int
		want float64
	}{
		"apart":     {[]int{1, 2, 3, 4}, []int{5, 6, 7, 8}, 0.030383}, // z = 7.5/√12
		"tied":      {[]int{1, 1, 2, 2}, []int{2, 2, 3, 3}, 0.086359}, // U = 2, z = 5.5/√(16/12·(9-72/56))
		"equal":     {[]int{5, 5, 5}, []int{5, 5, 5}, 1},
		"mixed":     {[]int{1, 4, 5, 8}, []int{2, 3, 6, 7}, 1},
		"one empty": {nil, []int{1, 2}, 1},
		"nothing":   {nil, nil, 1},
	} {
		if got := P(Block[int]{c.a, c.b}); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %.7f, want %.7f", name, got, c.want)
		}
		if got, back := P(Block[int]{c.a, c.b}), P(Block[int]{c.b, c.a}); got != back {
			t.Errorf("%s: %v one way, %v the other", name, got, back)
		}
	}
}

// TestAgainstAllPermutations compares with the exact p-value, computed over every choice
// of eight of sixteen values as a.
func TestAgainstAllPermutations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var all [16]float64
		for i := range all {
			all[i] = r.Float64()
		}
		p := func(a, b []float64) float64 { return P(Block[float64]{a, b}) }
		split := func(mask uint) (a, b []float64) {
			for i, v := range all {
				if mask>>i&1 == 1 {
					a = append(a, v)
				} else {
					b = append(b, v)
				}
			}
			return a, b
		}
		uneven := func(mask uint) float64 {
			sum, _ := rankSum(split(mask))
			return math.Abs(sum - 68)
		}
		const chosen = 0x00FF
		var asUneven, count float64
		for mask := range uint(1 << 16) {
			if bits.OnesCount(mask) == 8 {
				count++
				if uneven(mask) >= uneven(chosen) {
					asUneven++
				}
			}
		}
		if got, want := p(split(chosen)), asUneven/count; math.Abs(got-want) > 0.02 {
			t.Errorf("P is %.4f, exactly it is %.4f", got, want)
		}
	}
}

// TestFalseAlarms draws both sides from one distribution, heavy-tailed and with ties.
func TestFalseAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	below := 0
	const runs = 2000
	for range runs {
		a, b := make([]int, 60), make([]int, 60)
		for i := range a {
			a[i], b[i] = int(3*math.Exp(r.NormFloat64())), int(3*math.Exp(r.NormFloat64()))
		}
		if P(Block[int]{a, b}) < 0.05 {
			below++
		}
	}
	if share := float64(below) / runs; share < 0.03 || share > 0.07 {
		t.Errorf("%.3f of the runs are below 0.05", share)
	}
}

// TestSmallShift is a positive control with numbers: a shift of 0.15 standard deviations
// among 5,000 samples.
func TestSmallShift(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b := make([]float64, 2500), make([]float64, 2500)
	for i := range a {
		a[i], b[i] = r.NormFloat64(), r.NormFloat64()+0.15
	}
	if p := P(Block[float64]{a, b}); p >= Significance {
		t.Errorf("p is %v", p)
	}
}

// busy works for about the given number of steps. It cannot be optimized away.
func busy(steps int) (sum uint64) {
	for i := range uint64(steps) {
		sum = sum*6364136223846793005 + i
	}
	return sum
}

func TestDiffers(t *testing.T) {
	var work int
	var sink uint64
	trial := func(steps func(class int) int) Trial {
		return Trial{Samples: 5000, Invalid: 8,
			Prepare: func(class int) { work = steps(class) },
			Call:    func() { sink += busy(work) }}
	}
	// An early return on every invalid class.
	leaky := trial(func(class int) int {
		if class == 0 {
			return 4000
		}
		return 2000
	})
	if differs, ps := leaky.Differs(); !differs {
		t.Errorf("Differs does not detect an early return: %v", ps)
	}
	// Only one class of eight.
	oneClass := trial(func(class int) int {
		if class == 3 {
			return 40000
		}
		return 2000
	})
	if differs, ps := oneClass.Differs(); !differs {
		t.Errorf("Differs does not detect one leaky class: %v", ps)
	}
	constant := trial(func(int) int { return 2000 })
	if differs, ps := constant.Differs(); differs {
		t.Errorf("Differs reports equal work as different: %v", ps)
	}
	if sink == 0 {
		t.Error("no work was done")
	}
}

// TestCalibrate makes calls of which noise hides most of the difference. Twelve calls have
// no p-value below Significance.
func TestCalibrate(t *testing.T) {
	var class int
	var sink uint64
	noisy := func(steps int) func() {
		return func() { sink += busy(steps + rand.IntN(20_000)) }
	}
	trial := Trial{Samples: 12, Invalid: 1, Prepare: func(c int) { class = c }, Call: noisy(5000)}
	leaky := func() { noisy(5000 + 3000*class)() }
	if detected, ps := trial.Calibrate(leaky); !detected || trial.Samples == 12 {
		t.Errorf("Calibrate detects %v with %d calls: %v", detected, trial.Samples, ps)
	}
	samples := trial.Samples
	if detected, ps := trial.Calibrate(trial.Call); detected || trial.Samples != samples {
		t.Errorf("Calibrate detects equal work, with %d calls: %v", trial.Samples, ps)
	}
}

// TestBlocks shifts each block by far more than the difference inside the blocks.
func TestBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var blocks []Block[float64]
	var all Block[float64]
	for i := range 40 {
		var b Block[float64]
		for range 32 {
			level := 100 * float64(i%2)
			b.A, b.B = append(b.A, level+r.NormFloat64()), append(b.B, level+r.NormFloat64()+0.3)
		}
		blocks = append(blocks, b, Block[float64]{A: b.A})
		all.A, all.B = append(all.A, b.A...), append(all.B, b.B...)
	}
	if within, without := P(blocks...), P(all); within >= Significance || within*1e6 > without {
		t.Errorf("p is %v with blocks, %v without", within, without)
	}
}

func TestOrder(t *testing.T) {
	count := make([]int, 9)
	var calls int
	blocks := Trial{Samples: 160, Invalid: 8,
		Prepare: func(class int) { count[class]++ }, Call: func() { calls++ }}.Run()
	var valid, invalid []time.Duration
	for _, b := range blocks {
		valid, invalid = append(valid, b.A...), append(invalid, b.B...)
	}
	if count[0] != 80 || len(valid) != 80 || len(invalid) != 80 || calls != 160 {
		t.Errorf("%d valid calls, %d and %d times, %d calls", count[0], len(valid), len(invalid), calls)
	}
	for class, n := range count[1:] {
		if n != 10 {
			t.Errorf("class %d was called %d times", class+1, n)
		}
	}
	for _, d := range append(valid, invalid...) {
		if d < 0 || d > time.Minute {
			t.Errorf("a call took %v", d)
		}
	}
}
