package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/deviceuri"
	"strongroom.example/internal/pkcs11uri"
	"strongroom.example/internal/testing/testtoken"
)

var (
	deviceURI = flag.String("driver", "", "measure the device of this `URI` (soft:, pkcs11:…, tpm:…) instead of the software devices of this machine")
	soakTime  = flag.Duration("duration", 0, "how long the benchmark Soak lasts; 0 leaves it out")
	sweepOf   = flag.String("callers", "", "the numbers of concurrent callers of a sweep, separated by commas, instead of 1,2,4,8,16,32,64")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if asked, err := serveIfAsked(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	} else if asked {
		os.Exit(0)
	}
	if flagValue("test.bench") != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		fmt.Print(fingerprint())
	}
	if *deviceURI != "" {
		os.Exit(after{m}.Run()) // in the user's environment
	}
	os.Exit(testtoken.Main(after{m}))
}

// prepare sets the flags of package testing to what the benchmarks need. Unless -benchtime
// is given, a measurement takes a fifth of a second, so that all devices are measured within
// the ten minutes that "go test" allows. A soak runs its own time, once.
func prepare() error {
	given := make(map[string]bool)
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	whole := *soakTime // of each device in turn
	if *deviceURI == "" {
		whole *= time.Duration(1 + len(emulators()))
	}
	switch limit := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); {
	case *soakTime > 0 && limit > 0 && whole > limit-time.Minute:
		return fmt.Errorf("bench: a soak of %v ends after the time limit of the test: add -timeout %v", whole, whole+10*time.Minute)
	case *soakTime > 0:
		return flag.Set("test.benchtime", "1x")
	case !given["test.benchtime"]:
		return flag.Set("test.benchtime", "200ms")
	}
	return nil
}

// flagValue returns the value of a flag of package testing.
func flagValue(name string) string { return flag.Lookup(name).Value.String() }

// fingerprint returns lines "key: value" of what is measured, and where.
func fingerprint() string {
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	averages := strings.Fields(string(load))
	return fmt.Sprintf("date: %s\ncommit: %s\ngo: %s\ncores: %d\nload-at-start: %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		strings.TrimSpace(string(commit)), runtime.Version(), runtime.GOMAXPROCS(0), strings.Join(averages[:min(3, len(averages))], " "))
}

// each runs a group of benchmarks over the device of -driver, or over every software device
// of this machine. The devices stay open until the process ends.
func each(b *testing.B, run func(*testing.B, *opened)) {
	b.Helper()
	for _, d := range measured(b) {
		run(b, d)
	}
}

// measured returns the devices to measure.
func measured(b *testing.B) (list []*opened) {
	b.Helper()
	if *deviceURI != "" {
		return []*opened{once(b, "driver", func(f forever) testDevice {
			d, err := fromURI(*deviceURI)
			if err != nil {
				f.Fatal(err)
			}
			return d
		})}
	}
	list = append(list, once(b, "soft", func(forever) testDevice {
		return testDevice{Device: Device{Name: "soft", Raw: Bare, Open: func(ctx context.Context) (driver.Driver, error) {
			return deviceuri.Open(ctx, "soft:", deviceuri.Options{})
		}}}
	}))
	for _, e := range emulators() {
		if _, err := exec.LookPath(e.needs); err != nil {
			b.Logf("%s is left out: %v", e.name, err)
			continue
		}
		list = append(list, once(b, e.name, e.device))
	}
	return list
}

// An emulator is a device in software that this machine may have. needs is a command that
// is there if the emulator is installed.
type emulator struct {
	name, needs string
	device      func(forever) testDevice
}

// A testDevice is a device with its PKCS #11 module, if it has one.
type testDevice struct {
	Device
	module string
}

func emulators() []emulator {
	return []emulator{{"softhsm", "softhsm2-util", softHSM}, {"nss", "certutil", nss}, {"swtpm", "swtpm", swtpm}}
}

// fromURI returns the device of a URI. Its name is the URI's scheme, or that of a token's
// module.
func fromURI(uri string) (testDevice, error) {
	u, err := pkcs11uri.Parse(uri)
	if err != nil {
		return testDevice{}, err
	}
	d := testDevice{Device: Device{Name: u.Scheme, Open: func(ctx context.Context) (driver.Driver, error) {
		return deviceuri.Open(ctx, uri, deviceuri.Options{PIN: pinFromEnvironment})
	}}}
	switch u.Scheme {
	case "soft":
		d.Raw = Bare
	case "pkcs11":
		token, err := tokenOf(uri)
		if err != nil {
			return testDevice{}, err
		}
		d.module = token.Module
		d.Name, d.Raw, d.Sessions = moduleName(token.Module), rawToken(token), sessionsOf(token)
	}
	return d, nil
}

// pinFromEnvironment returns the PIN in STRONGROOM_PIN, for a URI without a pin-source.
func pinFromEnvironment(context.Context) ([]byte, error) {
	if pin := os.Getenv("STRONGROOM_PIN"); pin != "" {
		return []byte(pin), nil
	}
	return nil, errors.New("set STRONGROOM_PIN, or name a pin-source in the URI")
}

// devices are those that this process opened, by name, and ends what it must do at its end.
var (
	devices = make(map[string]*opened)
	ends    []func()
)

// once returns a device, which it opens when it is first asked for.
func once(b *testing.B, name string, make func(forever) testDevice) *opened {
	b.Helper()
	if m := devices[name]; m != nil {
		return m
	}
	d := make(forever{b})
	if *sweepOf != "" {
		d.Callers = nil
		for n := range strings.SplitSeq(*sweepOf, ",") {
			callers := 0
			if _, err := fmt.Sscan(n, &callers); err != nil || callers < 1 {
				b.Fatalf("-callers has %q, which is no number of callers", n)
			}
			d.Callers = append(d.Callers, callers)
		}
	}
	m, err := open(d.Device)
	if err != nil {
		b.Fatal(err)
	}
	devices[name] = m
	if d.module != "" {
		printModule(d.Name, d.module)
	}
	ends = append(ends, func() { closeDevice(name) })
	return m
}

// closeDevice closes a device if it is open. The next call of once opens it again.
func closeDevice(name string) {
	m := devices[name]
	if m == nil {
		return
	}
	delete(devices, name)
	if err := m.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// A forever is a benchmark whose resources last until the process ends, because benchmarks
// share one device. It is valid only while its benchmark runs.
type forever struct{ *testing.B }

// Cleanup calls f when the process ends.
func (forever) Cleanup(f func()) { ends = append(ends, f) }

// TempDir returns a directory that is removed when the process ends.
func (f forever) TempDir() string {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// An after runs the tests and benchmarks, and then ends what lasts until then.
type after struct{ *testing.M }

func (a after) Run() int {
	code := a.M.Run()
	for _, end := range slices.Backward(ends) {
		end()
	}
	return code
}
