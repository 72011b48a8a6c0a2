package bench_test

import (
	"context"
	"testing"

	"strongroom.example/bench"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A benchmark of a module with a driver of its own measures that driver. It is run as
//
//	go test -run '^$' -bench HSM
func ExampleDevice() {
	device := bench.Device{
		Name:    "acme",
		Open:    func(ctx context.Context) (driver.Driver, error) { return soft.Open(ctx, soft.Config{}) },
		Callers: []int{1, 8},
	}
	testing.Benchmark(device.Run) // in a test file: func BenchmarkHSM(b *testing.B) { device.Run(b) }
}
