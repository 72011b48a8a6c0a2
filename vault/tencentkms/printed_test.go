package tencentkms_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
	"strongroom.example/vault/tencentkms"
)

// newer are the fields of responses that the printed responses lack and later releases of the
// SDK have.
var newer = []string{
	"CreatorUinString", "DataKeyId", "ExclusiveHSMList", "HsmClusterId", "IsAllowedDataKeyHosted", "IsAllowedSync", "IsSyncReplica", "KeyName", "LastRotateTime",
	"RotateDays", "TagCode", "TagMsg",
}

// A printed request is one of testdata/printed.txt.
type printed struct{ method, action, parameters, response string }

// readPrinted returns the requests of testdata/printed.txt.
func readPrinted(t *testing.T) (all []printed) {
	t.Helper()
	text, err := os.ReadFile("testdata/printed.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
	for i := 0; i+2 < len(lines); i++ {
		if method, action, ok := strings.Cut(lines[i], " "); ok && (method == "GET" || method == "POST") {
			all = append(all, printed{method, action, lines[i+1], lines[i+2]})
		}
	}
	return all
}

// TestPrintedRequests sends the requests that the documentation of the API and its guide print,
// and compares names and JSON types of the fields of the responses with those that are printed.
func TestPrintedRequests(t *testing.T) {
	device := map[string]driver.Driver{"cluster": drivertest.NewMemory()}
	c := newClient(t, func(cfg *vault.Config) { cfg.Drivers = device })
	f := &fixtures{client: c}
	var actions []string
	for i, p := range readPrinted(t) {
		actions = append(actions, p.action)
		t.Run(fmt.Sprintf("%s-%d", p.action, i), func(t *testing.T) {
			f.t = t
			got := f.send(f.request(p))
			if p.response == "refused" {
				if want := refusal(p.action); got.code() != want || want == "" {
					t.Errorf("%v, not %q", got, want)
				}
				return
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(p.response), &want); err != nil {
				t.Fatal(err)
			}
			for _, fault := range compare("", want, map[string]any(got)) {
				t.Errorf("%s; the response is %v", fault, got)
			}
		})
	}
	for _, op := range tencentkms.Operations() {
		if !slices.Contains(actions, op.Action) {
			t.Errorf("testdata/printed.txt lacks %s", op.Action)
		}
	}
}

// refusal returns the code with which an action is refused.
func refusal(action string) string {
	for _, op := range tencentkms.Operations() {
		if op.Action == action {
			return op.Refusal
		}
	}
	return ""
}

// compare returns how the shape of a value differs from the printed one.
func compare(path string, want, got any) (faults []string) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{path + " is no object"}
		}
		for name, v := range w {
			if _, there := g[name]; !there {
				faults = append(faults, path+"."+name+" is missing")
				continue
			}
			faults = append(faults, compare(path+"."+name, v, g[name])...)
		}
		for name := range g {
			if _, there := w[name]; !there && !slices.Contains(newer, name) {
				faults = append(faults, path+"."+name+" is not printed")
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) == 0 {
			return []string{path + " is no list, or empty"}
		}
		for _, v := range g {
			faults = append(faults, compare(path+"[]", w[0], v)...)
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			faults = append(faults, fmt.Sprintf("%s is a %T, not a %T", path, got, want))
		}
	}
	return faults
}
