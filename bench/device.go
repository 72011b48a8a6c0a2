package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
)

// A Device is a device to measure.
type Device struct {
	// Name is the value of "driver" in the names of the benchmarks: letters, digits, "_".
	Name string
	// Note is a remark that the report prints beside the figures of the device. Empty means
	// EmulatorNote if the driver reports level SOFTWARE, and otherwise none.
	Note string
	// Open opens the device. It should be empty: the benchmarks make keys in it, and destroy
	// those that they made.
	Open func(context.Context) (driver.Driver, error)
	// Callers are the numbers of concurrent callers of a sweep. Empty means 1 to 64.
	Callers []int
	// Raw, if not nil, returns the same operation as the driver's without the driver, or nil
	// if there is none.
	Raw func(b *testing.B, k Key, alg string) Baseline
	// Sessions, if not nil, returns the number of sessions that the device has open.
	Sessions func() (int, error)
}

// EmulatorNote is the note of a device in software.
const EmulatorNote = "Emulator, not a hardware figure"

// SimulatedNote is the note of a device whose latencies are those that others published.
const SimulatedNote = "Simulated latencies, not a hardware figure"

// A Baseline repeats an operation with a number of callers for about a duration.
type Baseline func(b *testing.B, callers int, turn time.Duration) Cost

// A Cost is the cost of one operation: wall-clock time and processor time, each divided by
// the number of operations of all callers. CPU is 0 if it is not known.
type Cost struct{ Wall, CPU time.Duration }

// A Key is a key in a device. Blob and PublicDER are those of its creation.
type Key struct {
	driver.Created
	ID   driver.MaterialID
	Row  driver.SpecInfo
	Open driver.Key
}

// Run measures everything that the device offers. The device is closed after it.
func (d Device) Run(b *testing.B) {
	m, err := open(d)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := m.close(); err != nil {
			b.Error(err)
		}
	})
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) { w.run(b, m) })
	}
}

// A workload is a group of benchmarks of one operation.
type workload struct {
	name string
	run  func(*testing.B, *opened)
}

func workloads() []workload {
	return []workload{
		{"PRF", benchPRF}, {"Sign", benchSign}, {"AsymmetricDecrypt", benchDecrypt}, {"Random", benchRandom},
		{"GenerateKey", benchGenerateKey}, {"ImportKey", benchImportKey},
		{"Encrypt", benchEncrypt}, {"Decrypt", benchDecryptData}, {"GenerateDataKey", benchGenerateDataKey},
		{"OpenDataKey", benchOpenDataKey}, {"AuditAppend", benchAuditAppend},
		{"CreateKey", benchCreateKey}, {"ImportKeyMaterial", benchImportKeyMaterial}, {"Layers", benchLayers},
	}
}

// opened is an open device with the keys that were made for its benchmarks.
type opened struct {
	Device
	driver driver.Driver
	info   driver.Info
	keys   map[driver.KeySpec]Key
}

// open opens a device and prints its fingerprint.
func open(d Device) (*opened, error) {
	dev, err := d.Open(context.Background())
	if err != nil {
		return nil, fmt.Errorf("bench: opening %s: %w", d.Name, err)
	}
	if len(d.Callers) == 0 {
		d.Callers = []int{1, 2, 4, 8, 16, 32, 64}
	}
	m := &opened{Device: d, driver: dev, info: dev.Info(), keys: make(map[driver.KeySpec]Key)}
	if d.Note == "" && m.info.Level == driver.LevelSoftware && m.info.Name != "soft" {
		m.Note = EmulatorNote
	}
	i := m.info.Device
	text := i.Manufacturer + ", " + i.Model
	if i.Firmware != "" {
		text += ", firmware " + i.Firmware
	}
	fmt.Fprintf(os.Stdout, "device-%s: %s\n", strings.ToLower(d.Name), text)
	if m.Note != "" {
		fmt.Fprintf(os.Stdout, "note-%s: %s\n", strings.ToLower(d.Name), m.Note)
	}
	return m, nil
}

// close destroys the keys and closes the device.
func (m *opened) close() error {
	for _, k := range m.keys {
		k.Open.Close()
		if err := m.driver.DestroyKey(context.Background(), k.ID, k.Blob); err != nil {
			return fmt.Errorf("bench: %v stays in %s: %w", k.Row.Spec, m.Name, err)
		}
	}
	return m.driver.Close()
}

// key returns the key of a row, which it generates when it is first needed.
func (m *opened) key(b *testing.B, row driver.SpecInfo) Key {
	b.Helper()
	if k, ok := m.keys[row.Spec]; ok {
		return k
	}
	k := Key{ID: newID(), Row: row}
	k.Created = must(m.driver.GenerateKey(b.Context(), k.ID, row.Spec))
	k.Open = must(m.driver.OpenKey(b.Context(), k.ID, row.Spec, k.Blob))
	m.keys[row.Spec] = k
	return k
}

// rows calls f for each row of the device's capability table with a usage.
func (m *opened) rows(usage driver.Usage, f func(row driver.SpecInfo)) {
	for _, row := range m.info.Specs {
		if row.Spec.Usage == usage {
			f(row)
		}
	}
}

// few returns the numbers of callers for an algorithm that costs as much as another one
// with a full sweep.
func (m *opened) few() (list []int) {
	for _, n := range m.Callers {
		if n == 1 || n == 8 {
			list = append(list, n)
		}
	}
	return list
}

// name returns the part of a benchmark's name after the operation.
func (m *opened) name(parts ...string) string {
	return strings.Join(append([]string{"driver=" + m.Name}, parts...), "/")
}

// algorithmName returns one name for a key algorithm and the algorithm that uses it:
// ECDSA_P256, RSA_2048_PSS_SHA_256, HMAC_SHA_256.
func algorithmName(key driver.KeyAlgorithm, alg string) string {
	switch {
	case key.ModulusBits() > 0:
		return string(key) + "_" + strings.TrimPrefix(strings.TrimPrefix(alg, "RSA_"), "RSAES_")
	case strings.HasPrefix(string(key), "EC_"):
		return "ECDSA_" + strings.TrimPrefix(string(key), "EC_")
	case alg == "":
		return string(key)
	}
	return alg
}

func newID() (id driver.MaterialID) {
	rand.Read(id[:])
	return id
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
