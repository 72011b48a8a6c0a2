//go:build unix

package bench

import (
	"fmt"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// The simulated devices are the real drivers over emulators that are as slow as published
// figures of hardware say. They show how many sessions and callers such hardware needs, and
// nothing about the hardware itself.

// networkHSMs are the times of one signature by a network HSM, as vendors and users state
// them for one caller. A signature is two calls of the module, and each takes half.
var networkHSMs = []time.Duration{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond}

// BenchmarkPool measures P-256 signatures of a simulated network HSM with 64 callers, for
// several numbers of sessions (pkcs11.Config.MaxSessions). "x-ideal" is the throughput
// divided by that of sessions that are always busy.
func BenchmarkPool(b *testing.B) {
	softwareOnly(b)
	closeDevice("softhsm") // SoftHSM finds new tokens only when it is initialised
	for _, service := range networkHSMs {
		name := fmt.Sprintf("sim_network_hsm_%dms", service.Milliseconds())
		fmt.Printf("device-%s: P-256 signature of %v over SoftHSM\nnote-%[1]s: %[3]s\n", name, service, SimulatedNote)
		b.Run("driver="+name, func(b *testing.B) {
			token := testtoken.NewFaulty(b, testtoken.NewSoftHSM(b))
			for _, sessions := range []int{1, 4, 16, 64} {
				b.Run(fmt.Sprintf("sessions=%d/callers=64", sessions), func(b *testing.B) {
					poolPoint(b, token, sessions, service)
				})
			}
		})
	}
}

func poolPoint(b *testing.B, token testtoken.FaultyPKCS11, sessions int, service time.Duration) {
	b.Helper()
	token.Slow(0)
	d, err := pkcs11.Open(b.Context(), pkcs11.Config{Module: token.Module, Label: token.Label, PIN: pkcs11.PIN{File: token.PINFile}, MaxSessions: sessions})
	if err != nil {
		b.Fatal(err)
	}
	m := &opened{driver: d, info: d.Info(), keys: make(map[driver.KeySpec]Key)}
	defer func() {
		token.Slow(0)
		if err := m.close(); err != nil {
			b.Error(err)
		}
	}()
	row, _ := m.info.Find(driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign})
	do := signAct(m.key(b, row), driver.ECDSASHA256)
	token.Slow(service / 2)
	r := measurePoint(b, 64, do)
	b.ReportMetric(r.rate()*service.Seconds()/float64(sessions), "x-ideal")
}

// chips are TPMs with the latencies of their commands in wolfTPM's published benchmarks, and
// for the firmware TPM those that users published. A command that is not listed takes as
// long as on the median chip of testtoken.DiscreteChip.
var chips = []struct {
	name     string
	commands map[uint32]time.Duration
}{
	{"sim_st33", map[uint32]time.Duration{tpmSign: 42 * time.Millisecond, tpmRSADecrypt: 248 * time.Millisecond, tpmCreate: 220 * time.Millisecond}},
	{"sim_slb9670", map[uint32]time.Duration{tpmSign: 74 * time.Millisecond, tpmRSADecrypt: 448 * time.Millisecond, tpmCreate: 231 * time.Millisecond}},
	{"sim_firmware_tpm", map[uint32]time.Duration{tpmSign: 6 * time.Millisecond, tpmRSADecrypt: 6 * time.Millisecond, tpmCreate: 8 * time.Millisecond, tpmHMAC: 8 * time.Millisecond}},
}

// The codes of TPM commands.
const (
	tpmCreate     = 0x153
	tpmHMAC       = 0x155
	tpmRSADecrypt = 0x159
	tpmSign       = 0x15D
)

// BenchmarkChip measures HMAC and P-256 signatures of simulated TPM chips.
func BenchmarkChip(b *testing.B) {
	softwareOnly(b)
	for _, chip := range chips {
		delay := func(command uint32) time.Duration {
			if t, ok := chip.commands[command]; ok {
				return t
			}
			return testtoken.DiscreteChip(command)
		}
		d := chipDevice(b, chip.name, delay)
		d.Note, d.Callers = SimulatedNote, []int{1, 4, 16}
		m, err := open(d)
		if err != nil {
			b.Fatal(err)
		}
		for _, spec := range []driver.KeySpec{{Algorithm: driver.HMACSHA256, Usage: driver.Derive}, {Algorithm: driver.ECP256, Usage: driver.Sign}} {
			row, ok := m.info.Find(spec)
			if !ok {
				b.Fatalf("%s does not offer %v", chip.name, spec)
			}
			do := prfAct
			if spec.Usage == driver.Sign {
				do = func(k Key) act { return signAct(k, driver.ECDSASHA256) }
			}
			b.Run(m.name("alg="+algorithmName(spec.Algorithm, layerAlgorithm(row))), func(b *testing.B) {
				sweep(b, m.Callers, do(m.key(b, row)))
			})
		}
		if err := m.close(); err != nil {
			b.Error(err)
		}
	}
}
