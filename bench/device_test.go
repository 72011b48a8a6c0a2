package bench

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// The benchmarks of a device; those of Device.Run have the same names.

func BenchmarkPRF(b *testing.B)               { each(b, benchPRF) }
func BenchmarkSign(b *testing.B)              { each(b, benchSign) }
func BenchmarkAsymmetricDecrypt(b *testing.B) { each(b, benchDecrypt) }
func BenchmarkRandom(b *testing.B)            { each(b, benchRandom) }
func BenchmarkGenerateKey(b *testing.B)       { each(b, benchGenerateKey) }
func BenchmarkImportKey(b *testing.B)         { each(b, benchImportKey) }
func BenchmarkEncrypt(b *testing.B)           { each(b, benchEncrypt) }
func BenchmarkDecrypt(b *testing.B)           { each(b, benchDecryptData) }
func BenchmarkGenerateDataKey(b *testing.B)   { each(b, benchGenerateDataKey) }
func BenchmarkOpenDataKey(b *testing.B)       { each(b, benchOpenDataKey) }
func BenchmarkAuditAppend(b *testing.B)       { each(b, benchAuditAppend) }
func BenchmarkCreateKey(b *testing.B)         { each(b, benchCreateKey) }
func BenchmarkImportKeyMaterial(b *testing.B) { each(b, benchImportKeyMaterial) }
func BenchmarkLayers(b *testing.B)            { each(b, benchLayers) }

// BenchmarkGCM measures bare AES-256-GCM, the yardstick of Encrypt and Decrypt. No driver
// offers it: the vault derives a key for each message in the device, and encrypts in the
// host.
func BenchmarkGCM(b *testing.B) {
	fmt.Printf("device-bare: AES-256-GCM of %s\n", runtime.Version())
	g := newGCM()
	for _, size := range sizes {
		text := make([]byte, size.length)
		b.Run("driver=bare/size="+size.name, func(b *testing.B) {
			sweep(b, []int{1, 8}, func(context.Context, []byte) error { g.seal(text); return nil })
		})
	}
}

// BenchmarkSoak runs for -duration.
func BenchmarkSoak(b *testing.B) {
	if *soakTime > 0 {
		each(b, func(b *testing.B, m *opened) { m.soak(b, *soakTime) })
	}
}
