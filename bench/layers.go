package bench

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/vault"
)

// turn is the length of a layer's turn, and rounds the least number of turns.
const (
	turn   = 40 * time.Millisecond
	rounds = 5
)

// A layered is one operation in layers: raw, which may be nil; core, which is the driver's
// call, or the bare cryptography where the vault calls no driver; and the vault's operation.
type layered struct {
	raw   Baseline
	core  act
	bare  bool // core is bare cryptography
	vault act
}

// run measures the layers in turns, one turn of each in an iteration. The order is random,
// because after a layer that computes, a busy system gives less of a processor to the next.
// It reports the time of each layer, the median of each ratio to the layer below, the same
// of processor times (x-vault-cpu), which other load on the machine changes less, and how
// many operations a second the vault does.
func (l layered) run(b *testing.B, callers int, log *durableLog) {
	b.Helper()
	layers, list := l.list(log), make(map[string][]float64)
	add := func(unit string, value float64) { list[unit] = append(list[unit], value) }
	round := func() {
		costs := make([]Cost, len(layers))
		for _, i := range rand.Perm(len(layers)) {
			costs[i] = layers[i].of(b, callers, turn)
		}
		for i, c := range costs {
			add(layers[i].name+"-ns/op", float64(c.Wall))
			if i == 0 {
				continue
			}
			below := costs[i-1]
			add("x-"+layers[i].name, float64(c.Wall)/float64(max(1, below.Wall)))
			if below.CPU > 0 && c.CPU > 0 {
				add("x-"+layers[i].name+"-cpu", float64(c.CPU)/float64(below.CPU))
			}
		}
	}
	for b.Loop() {
		round()
	}
	for len(list["vault-ns/op"]) < rounds {
		round()
	}
	for unit, values := range list {
		b.ReportMetric(median(values), unit)
	}
	b.ReportMetric(1e9/median(list["vault-ns/op"]), "vault-ops/s")
	b.ReportMetric(0, "ns/op") // it would be that of all layers
}

// A layer is one of the layers of an operation.
type layer struct {
	name string
	of   Baseline
}

// list returns the layers from the lowest to the vault.
func (l layered) list(log *durableLog) (list []layer) {
	if l.raw != nil {
		list = append(list, layer{"raw", l.raw})
	}
	name := "driver"
	if l.bare {
		name = "raw"
	}
	return append(list, layer{name, baselineOf(l.core)}, layer{"durable", baselineOf(log.after(l.core))}, layer{"vault", baselineOf(l.vault)})
}

// benchLayers measures one algorithm of each key, data operations and, over the software
// engine, a change of a key. The operation "Same" compares the baseline with itself: the
// deviation of its x-vault from 1 shows how far the other ratios can be trusted.
func benchLayers(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		log := must(newDurableLog(filepath.Join(b.TempDir(), "log"), 4096))
		defer log.Close()
		v := newVault(b, m)
		at := func(name string, callers []int, make func(b *testing.B) layered) {
			b.Run("op="+name, func(b *testing.B) {
				l := make(b)
				for _, n := range callers {
					b.Run(callersName(n), func(b *testing.B) { l.run(b, n, log) })
				}
			})
		}
		for _, row := range m.info.Specs {
			if o, ok := optionsOf(row.Spec); ok && inLayers(row.Spec.Algorithm) {
				alg := layerAlgorithm(row)
				name := map[driver.Usage]string{driver.Derive: "GenerateMac", driver.Sign: "Sign", driver.Decrypt: "AsymmetricDecrypt"}[row.Spec.Usage]
				at(name+"/alg="+algorithmName(row.Spec.Algorithm, alg), m.few(), func(b *testing.B) layered { return v.keyLayers(b, m, row, alg, o) })
			}
		}
		callers := m.few()
		if v.device == "soft" && slices.Contains(m.Callers, 64) {
			callers = append(callers, 64)
			at("TagKey", callers, func(b *testing.B) layered { return v.dataLayers(b, m, "TagKey") })
			g, text := newGCM(), make([]byte, 1024)
			seal := func(context.Context, []byte) error { g.seal(text); return nil }
			at("Same", callers, func(*testing.B) layered { return layered{core: seal, bare: true, vault: log.after(seal)} })
		}
		at("Encrypt/size=1KiB", callers, func(b *testing.B) layered { return v.dataLayers(b, m, "Encrypt") })
		at("Decrypt/size=1KiB", callers, func(b *testing.B) layered { return v.dataLayers(b, m, "Decrypt") })
		at("GenerateDataKey", callers, func(b *testing.B) layered { return v.dataLayers(b, m, "GenerateDataKey") })
	})
}

// inLayers reports whether keys of an algorithm are measured in layers: one of each kind.
func inLayers(alg driver.KeyAlgorithm) bool {
	return slices.Contains([]driver.KeyAlgorithm{driver.HMACSHA256, driver.RSA2048, driver.ECP256, driver.Ed25519, driver.SM2}, alg)
}

// layerAlgorithm returns the algorithm of a row that is measured in layers.
func layerAlgorithm(row driver.SpecInfo) string {
	switch {
	case slices.Contains(row.Sign, driver.RSAPKCS1SHA256):
		return string(driver.RSAPKCS1SHA256)
	case len(row.Sign) > 0:
		return string(row.Sign[0])
	case slices.Contains(row.Decrypt, driver.RSAOAEPSHA256):
		return string(driver.RSAOAEPSHA256)
	case len(row.Decrypt) > 0:
		return string(row.Decrypt[0])
	}
	return ""
}

// keyLayers returns the layers of an operation with a key in the device.
func (v vaultOn) keyLayers(b *testing.B, m *opened, row driver.SpecInfo, alg string, o vault.KeyOptions) layered {
	b.Helper()
	k, cmk := m.key(b, row), v.key(b, o)
	var l layered
	if m.Raw != nil {
		l.raw = m.Raw(b, k, alg)
	}
	switch row.Spec.Usage {
	case driver.Derive:
		message := make([]byte, prfInput)
		l.core = prfAct(k)
		l.vault = func(ctx context.Context, _ []byte) error { _, err := v.GenerateMac(ctx, cmk, message); return err }
	case driver.Sign:
		input, options := make([]byte, signInput(driver.SignAlg(alg))), signOptions(driver.SignAlg(alg))
		l.core = signAct(k, driver.SignAlg(alg))
		l.vault = func(ctx context.Context, _ []byte) error { _, err := v.Sign(ctx, cmk, input, options); return err }
	case driver.Decrypt:
		public := must(v.PublicKey(b.Context(), cmk))
		ciphertext := encryptTo(public.DER, driver.EncryptAlg(alg))
		l.core = decryptAct(k, driver.EncryptAlg(alg))
		l.vault = func(ctx context.Context, _ []byte) error {
			_, err := v.AsymmetricDecrypt(ctx, cmk, ciphertext, vault.EncryptionAlgorithm(alg))
			return err
		}
	}
	return l
}

// signOptions returns the vault's options for a driver's algorithm.
func signOptions(alg driver.SignAlg) vault.SignOptions {
	o := vault.SignOptions{Algorithm: vault.SignAlgorithm(alg), MessageType: vault.Digest}
	if alg.TakesMessage() {
		o.MessageType = vault.Raw
	}
	if curve, ok := strings.CutPrefix(string(alg), "ECDSA_SHA_"); ok {
		o.Algorithm = map[string]vault.SignAlgorithm{"256": vault.ECCP256R1, "384": vault.ECCP384R1, "512": vault.ECCP521R1}[curve]
	}
	return o
}

// dataLayers returns the layers of an operation with a symmetric CMK. If the CMK is in the
// device, the core is a call of its PRF and AES-256-GCM; otherwise it is AES-256-GCM.
func (v vaultOn) dataLayers(b *testing.B, m *opened, operation string) layered {
	b.Helper()
	cmk := must(v.CreateKey(b.Context(), vault.KeyOptions{}))
	g, text := newGCM(), make([]byte, 1024)
	sealed := g.seal(text)
	l := layered{bare: true}
	switch operation {
	case "Encrypt":
		l.core = func(context.Context, []byte) error { g.seal(text); return nil }
		l.vault = v.encrypt(cmk.ID, len(text))
	case "Decrypt":
		l.core = func(context.Context, []byte) error { _, err := g.open(sealed); return err }
		l.vault = v.decrypt(b, cmk.ID, len(text))
	case "GenerateDataKey":
		l.core = func(context.Context, []byte) error { g.dataKey(); return nil }
		l.vault = v.generateDataKey(cmk.ID)
	case "TagKey":
		l.core = func(context.Context, []byte) error { g.seal(text[:512]); return nil }
		l.vault = func(ctx context.Context, _ []byte) error { return v.TagKey(ctx, cmk.ID, map[string]string{"a": "b"}) }
		return l
	}
	if row, ok := m.info.Find(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}); ok && cmk.Driver != "soft" {
		prf, seal := prfAct(m.key(b, row)), l.core
		l.bare = false
		l.core = func(ctx context.Context, dst []byte) error {
			if err := prf(ctx, dst); err != nil {
				return err
			}
			return seal(ctx, dst)
		}
	}
	return l
}

// median returns the median of v, which it sorts.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
