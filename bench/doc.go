// Package bench measures devices and the vault over them: how many operations a second, at
// what latency, with how many callers, and what each layer adds.
//
//	go test -run '^$' -bench . ./bench                  every software device of this machine
//	go test -run '^$' -bench . ./bench -driver URI      one device, such as pkcs11:token=… or tpm:
//	go test -run '^$' -bench Soak -timeout 2h ./bench -duration 1h
//	go run ./bench/report results.txt > report.html
//
// A driver of another module is measured by a benchmark in that module:
//
//	func BenchmarkHSM(b *testing.B) {
//		bench.Device{Name: "acme", Open: func(ctx context.Context) (driver.Driver, error) { return acme.Open(ctx) }}.Run(b)
//	}
//
// # What is measured
//
// Names are Operation/driver=…/alg=…/callers=…, so that benchstat can pivot them. A number of
// callers repeat the operation without a pause between two calls; keys are made before.
// Each line has ops/s, the latencies p50-ns, p99-ns and p99.9-ns, and the number of failed
// calls. ns/op is the inverse of ops/s.
//
// In a sweep of 1 to 64 callers the line callers=knee names the fewest callers that reach
// nine tenths of the highest throughput. Beyond it only the latency grows: with n callers
// and a full device it is n times the service time. queue-p99-ns is the 99th percentile of
// the time that goroutines waited for a processor; a p99 of that size is the Go
// scheduler's.
//
// # Layers
//
// Absolute times mean little on a shared machine. The benchmark Layers therefore measures,
// in turns of one run, an operation
//
//   - raw: C calls on the token, bytes on the TPM's wire, or bare cryptography,
//   - driver: through the driver,
//   - durable: through the driver, and with one durable record of 256 bytes, which is the
//     least that an audited operation can cost,
//   - vault: through the vault,
//
// and reports the median of each ratio to the layer below: x-driver, x-durable and x-vault.
package bench
