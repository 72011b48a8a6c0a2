package awskms_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// listAliases returns the names in all pages of a list, and checks the length of each page.
func (c *client) listAliases(p params, limit int) (names []string) {
	c.t.Helper()
	p["Limit"] = limit
	for range 1000 {
		page := c.must("ListAliases", p)
		list := page["Aliases"].([]any)
		if len(list) > limit {
			c.t.Errorf("ListAliases with the limit %d: %d aliases", limit, len(list))
		}
		for _, one := range list {
			names = append(names, one.(map[string]any)["AliasName"].(string))
		}
		if page["Truncated"] == false {
			return names
		}
		p["Marker"] = page["NextMarker"]
	}
	c.t.Fatal("ListAliases does not end")
	return nil
}

// TestListAliases lists aliases of several CMKs, and of one, in pages of every length. Each alias is
// in one page.
func TestListAliases(t *testing.T) {
	c := newClient(t)
	var all []string
	ofKey := map[string][]string{}
	for _, n := range []int{3, 0, 1, 5} {
		key := c.create(nil)
		for i := range n {
			name := fmt.Sprintf("alias/%d:%d", n, i)
			c.must("CreateAlias", params{"AliasName": name, "TargetKeyId": key})
			all, ofKey[key] = append(all, name), append(ofKey[key], name)
		}
	}
	slices.Sort(all)
	for limit := 1; limit <= len(all)+1; limit++ {
		if got := c.listAliases(params{}, limit); !slices.Equal(slices.Sorted(slices.Values(got)), all) {
			t.Errorf("in pages of %d: %q, want %q", limit, got, all)
		}
		for key, want := range ofKey {
			if got := c.listAliases(params{"KeyId": key}, limit); !slices.Equal(got, want) {
				t.Errorf("of one key in pages of %d: %q, want %q", limit, got, want)
			}
		}
	}
}

// TestAliasesAtTheSameTime gives one CMK several aliases, and several CMKs one alias, at the same
// time. Each alias is given once, and replaces none.
func TestAliasesAtTheSameTime(t *testing.T) {
	const callers = 4
	for _, op := range []string{"CreateAlias", "UpdateAlias"} {
		t.Run(op, func(t *testing.T) {
			c := newClient(t)
			key := c.create(nil)
			var want []string
			for i := range callers {
				want = append(want, fmt.Sprintf("alias/%d", i))
				if op == "UpdateAlias" { // moves aliases from other CMKs
					c.must("CreateAlias", params{"AliasName": want[i], "TargetKeyId": c.create(nil)})
				}
			}
			var own, contested [callers]answer
			var all sync.WaitGroup
			for i := range callers {
				r := c.request(op, fmt.Appendf(nil, `{"AliasName":%q,"TargetKeyId":%q}`, want[i], key))
				all.Go(func() { own[i] = c.send(r) })
				one := c.request("CreateAlias", fmt.Appendf(nil, `{"AliasName":"alias/contested","TargetKeyId":%q}`, c.create(nil)))
				all.Go(func() { contested[i] = c.send(one) })
			}
			all.Wait()
			given := 0
			for i := range callers {
				if code := own[i].code(); code != "" {
					t.Errorf("%s %d: %s", op, i, code)
				}
				switch code := contested[i].code(); code {
				case "":
					given++
				case "AlreadyExistsException":
				default:
					t.Errorf("CreateAlias of an alias that is taken: %s", code)
				}
			}
			if got := c.listAliases(params{"KeyId": key}, 100); given != 1 || !slices.Equal(got, want) {
				t.Errorf("the key has %q, want %q; %d keys have the contested alias, want 1", got, want, given)
			}
		})
	}
}

// TestUpdateAliasKeepsType: an alias moves only to a key of the same type and usage. A move that is
// refused changes nothing.
func TestUpdateAliasKeepsType(t *testing.T) {
	c := newClient(t)
	kinds := []struct{ kind, spec, usage string }{
		{"symmetric", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"},
		{"asymmetric for encryption", "RSA_2048", "ENCRYPT_DECRYPT"},
		{"asymmetric for signatures", "ECC_NIST_P256", "SIGN_VERIFY"},
		{"asymmetric for signatures", "RSA_2048", "SIGN_VERIFY"},
		{"HMAC", "HMAC_256", "GENERATE_VERIFY_MAC"},
		{"HMAC", "HMAC_384", "GENERATE_VERIFY_MAC"},
	}
	var keys []string
	for i, k := range kinds {
		keys = append(keys, c.create(params{"KeySpec": k.spec, "KeyUsage": k.usage}))
		c.must("CreateAlias", params{"AliasName": fmt.Sprint("alias/", i), "TargetKeyId": keys[i]})
	}
	for i, from := range kinds {
		for j, to := range kinds {
			alias := params{"AliasName": fmt.Sprint("alias/", i), "TargetKeyId": keys[j]}
			want, leads := "ValidationException", keys[i]
			if from.kind == to.kind {
				want, leads = "", keys[j]
			}
			if code := c.call("UpdateAlias", alias).code(); code != want {
				t.Errorf("UpdateAlias from %s to %s: %q, want %q", from.spec, to.spec, code, want)
			}
			got := c.must("DescribeKey", params{"KeyId": alias["AliasName"]})["KeyMetadata"].(map[string]any)["KeyId"]
			if got != leads {
				t.Errorf("after UpdateAlias from %s to %s the alias leads to %v, want %s", from.spec, to.spec, got, leads)
			}
			if got != keys[i] {
				c.must("UpdateAlias", params{"AliasName": alias["AliasName"], "TargetKeyId": keys[i]})
			}
		}
	}
}
