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
		if got := P(c.a, c.b); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%s: %.7f, want %.7f", name, got, c.want)
		}
		if got, back := P(c.a, c.b), P(c.b, c.a); got != back {
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
		if got, want := P(split(chosen)), asUneven/count; math.Abs(got-want) > 0.02 {
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
		if P(a, b) < 0.05 {
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
	if p := P(a, b); p >= Significance {
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

func TestOrder(t *testing.T) {
	count := make([]int, 9)
	var calls int
	valid, invalid := Trial{Samples: 160, Invalid: 8,
		Prepare: func(class int) { count[class]++ }, Call: func() { calls++ }}.Run()
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
