package vaultmodel

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"pgregory.net/rapid"

	"strongroom.example/vault"
)

const day = 24 * time.Hour

// wrapped is an import token with the material that was wrapped for it.
type wrapped struct {
	token, material []byte
	until           time.Time
}

// action is a kind of step, with its weight.
type action struct {
	name   string
	weight int
	do     func(*system)
}

// actions are the steps that do not act on one CMK.
var actions = []action{
	{"create", 4, func(x *system) { x.create(false) }},
	{"create external", 2, func(x *system) { x.create(true) }},
	{"advance", 12, (*system).advance},
	{"jump", 4, (*system).jump},
	{"confirm time", 1, (*system).confirmTime},
	{"set time back", 1, (*system).setTimeBack},
	{"reopen", 1, func(x *system) { x.reopen(false, false) }},
	{"reboot", 1, func(x *system) { x.reopen(true, false) }},
	{"crash", 1, func(x *system) { x.reopen(false, true) }},
	{"device absent", 1, (*system).deviceAbsent},
}

// keyAction is a kind of step on one CMK.
type keyAction struct {
	name   string
	weight int
	do     func(*system, *keyModel)
}

// keyActions are the steps on one CMK.
var keyActions = slices.Concat([]keyAction{
	{"encrypt", 24, (*system).encrypt},
	{"decrypt", 30, func(x *system, k *keyModel) {
		if len(k.made) > 0 {
			x.decrypt(k, k.made[rapid.IntRange(0, len(k.made)-1).Draw(x.T, "ciphertext")])
		}
	}},
	{"enable", 14, (*system).enable},
	{"disable", 8, (*system).disable},
	{"archive", 3, (*system).archive},
	{"cancel archive", 4, (*system).cancelArchive},
	{"rotate", 8, (*system).rotate},
	{"schedule deletion", 6, (*system).schedule},
	{"cancel deletion", 4, (*system).cancel},
	{"import", 3, (*system).importMaterial},
	{"delete material", 2, (*system).deleteMaterial},
}, aliasActions, dataKeyActions)

// unbiased draws from 0 to 4095. IntRange prefers small numbers.
var unbiased = rapid.Custom(func(t *rapid.T) (n int) {
	for _, bit := range rapid.SliceOfN(rapid.Bool(), 12, 12).Draw(t, "bits") {
		n *= 2
		if bit {
			n++
		}
	}
	return n
})

// step makes one random step.
func (x *system) step() {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	onKeys := total
	for _, a := range keyActions {
		total += a.weight
	}
	n := unbiased.Draw(x.T, "step") % total
	if len(x.keys) == 0 {
		n %= 6
	}
	if n < onKeys {
		for _, a := range actions {
			if n -= a.weight; n < 0 {
				x.done[a.name]++
				a.do(x)
				x.Logf("%s: %v", a.name, x.time)
				return
			}
		}
	}
	n -= onKeys
	for _, a := range keyActions {
		if n -= a.weight; n < 0 {
			x.done[a.name]++
			k := x.keys[unbiased.Draw(x.T, a.name)%len(x.keys)]
			a.do(x, k)
			x.compare(k)
			return
		}
	}
}

func (x *system) create(external bool) {
	if len(x.keys) >= 24 {
		return
	}
	o := vault.KeyOptions{}
	k := &keyModel{external: external, state: vault.Enabled, material: true, versions: 1}
	if external {
		o.Origin = vault.OriginExternal
		k.state, k.material, k.versions, k.plain = vault.PendingImport, false, 0, make([]byte, 32)
		rand.Read(k.plain)
	}
	var want error
	if unbiased.Draw(x.T, "named")%2 == 0 {
		o.Alias = x.anyAlias()
		k.aliases = []string{o.Alias}
		if x.owner(o.Alias) != nil {
			want = vault.ErrExists
		}
	}
	got, err := x.c.CreateKey(context.Background(), o)
	if !x.expect("CreateKey", err, want) {
		return
	}
	k.id = got.ID
	x.keys = append(x.keys, k)
	x.compare(k)
}

func (x *system) encrypt(k *keyModel) {
	plaintext := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(x.T, "plaintext")
	ct, err := x.c.Encrypt(context.Background(), x.nameOf(k), plaintext, nil)
	if !x.expect("Encrypt", err, x.refusal(k, vault.Enabled)) {
		return
	}
	if by, err := vault.Inspect(ct); err != nil || by.Key != k.id {
		x.Fatalf("Encrypt for key %s used key %q, error %v", k.id, by.Key, err)
	}
	if len(k.made) < 50 {
		k.made = append(k.made, sealed{ct, plaintext})
	}
}

func (x *system) enable(k *keyModel) {
	if x.expect("EnableKeys", x.c.EnableKeys(context.Background(), x.nameOf(k)), x.refusal(k, vault.Enabled, vault.Disabled)) {
		k.state = vault.Enabled
	}
}

func (x *system) disable(k *keyModel) {
	want := x.refusal(k, vault.Enabled, vault.Disabled, vault.Archived)
	if x.expect("DisableKeys", x.c.DisableKeys(context.Background(), x.nameOf(k)), want) {
		k.state = vault.Disabled
	}
}

func (x *system) archive(k *keyModel) {
	if x.expect("ArchiveKey", x.c.ArchiveKey(context.Background(), x.nameOf(k)), x.refusal(k, vault.Enabled, vault.Disabled)) {
		k.state = vault.Archived
	}
}

func (x *system) cancelArchive(k *keyModel) {
	if x.expect("CancelKeyArchive", x.c.CancelKeyArchive(context.Background(), x.nameOf(k)), x.refusal(k, vault.Archived)) {
		k.state = vault.Enabled
	}
}

func (x *system) rotate(k *keyModel) {
	want := x.refusal(k, vault.Enabled)
	if k.external {
		want = vault.ErrUnsupported
	}
	_, err := x.c.RotateKey(context.Background(), x.nameOf(k))
	if x.expect("RotateKey", err, want) {
		k.versions++
	}
}

func (x *system) schedule(k *keyModel) {
	days := rapid.IntRange(vault.MinDeletionDays, vault.MaxDeletionDays).Draw(x.T, "days")
	want := x.refusal(k, vault.Disabled, vault.PendingImport)
	_, err := x.c.ScheduleKeyDeletion(context.Background(), x.nameOf(k), days)
	if x.expect("ScheduleKeyDeletion", err, want) {
		k.state, k.date = vault.PendingDeletion, x.time.now().Add(time.Duration(days)*day)
	}
}

func (x *system) cancel(k *keyModel) {
	err := x.c.CancelKeyDeletion(context.Background(), x.nameOf(k))
	if x.expect("CancelKeyDeletion", err, x.refusal(k, vault.PendingDeletion)) {
		k.state = vault.Disabled
		if !k.material {
			k.state = vault.PendingImport
		}
	}
}

func (x *system) importMaterial(k *keyModel) {
	if !k.external || x.refusal(k, vault.Enabled, vault.PendingImport) != nil {
		return // the state table tests the refusals, without the cost of a wrapping key
	}
	// A token that was issued while the time in doubt was ahead is refused after the clock is right again.
	if now := x.time.now(); k.token == nil || !now.Before(k.token.until) || k.token.until.After(now.Add(day)) {
		k.token = x.newToken(k)
	}
	m := vault.ImportMaterial{Token: k.token.token, EncryptedMaterial: k.token.material}
	if life := rapid.SampledFrom([]time.Duration{0, 90 * time.Minute, 3 * day, 20 * day}).Draw(x.T, "life"); life > 0 {
		m.ValidTo = x.time.now().Add(life)
	}
	var want error
	if k.expired {
		want = vault.ErrUnavailable // the expiry is in doubt
	}
	_, err := x.c.ImportKeyMaterial(context.Background(), x.nameOf(k), m)
	if x.expect("ImportKeyMaterial", err, want) {
		k.state, k.material, k.versions, k.validTo = vault.Enabled, true, 1, m.ValidTo
	}
}

func (x *system) newToken(k *keyModel) *wrapped {
	p, err := x.c.ParametersForImport(context.Background(), x.nameOf(k), vault.ImportRequest{Algorithm: vault.WrapRSAESOAEPSHA256})
	if err != nil {
		x.Fatalf("ParametersForImport: %v", err)
	}
	public, err := p.PublicKey.Parse()
	if err != nil {
		x.Fatal(err)
	}
	material, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), k.plain, nil)
	if err != nil {
		x.Fatal(err)
	}
	return &wrapped{token: p.Token, material: material, until: x.time.now().Add(day - time.Minute)}
}

func (x *system) deleteMaterial(k *keyModel) {
	want := x.refusal(k, vault.Enabled, vault.Disabled, vault.Archived)
	if !k.external {
		want = vault.ErrUnsupported
	}
	if x.expect("DeleteImportedKeyMaterial", x.c.DeleteImportedKeyMaterial(context.Background(), x.nameOf(k)), want) {
		k.lose()
	}
}

// settle lets minutes pass until the vault has done what is due, which may need a second
// try, and compares all CMKs.
func (x *system) settle() {
	x.Helper()
	for again := true; again; {
		again = false
		for _, k := range x.keys {
			again = k.settle(&x.time) || again
		}
		for _, d := range x.dataKeys {
			again = d.settle(&x.time) || again
		}
		if again {
			for range 2 {
				x.clock.Advance(2 * time.Minute)
				x.time.pass(2 * time.Minute)
			}
		}
	}
	x.compareAll()
}

func (x *system) advance() {
	d := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 23 * time.Hour, day, 3 * day, 8 * day}).Draw(x.T, "advance")
	x.clock.Advance(d)
	x.time.pass(d)
	x.settle()
}

// jump sets the time of day.
func (x *system) jump() {
	by := rapid.SampledFrom([]time.Duration{0, 0, 0, -day, 2 * time.Hour, 40 * day, 70 * 365 * day}).Draw(x.T, "jump")
	if by == 0 {
		x.time.wall = x.time.truth
	} else {
		x.time.wall = x.time.wall.Add(by)
	}
	if limit := x.time.truth.Add(200 * 365 * day); x.time.wall.After(limit) {
		x.time.wall = limit
	}
	x.clock.Set(x.time.wall)
	x.time.look()
	x.settle()
}

func (x *system) confirmTime() {
	x.expect("ConfirmTime", x.c.ConfirmTime(context.Background()), nil)
	x.time.confirmed, x.time.ahead = x.time.now(), time.Time{}
	x.clock.Advance(0)
	x.settle()
}

func (x *system) setTimeBack() {
	want := error(nil)
	for _, k := range x.keys {
		if k.material && !k.validTo.IsZero() && !k.validTo.After(x.time.confirmed.Add(time.Minute)) && k.validTo.After(x.time.wall) {
			want = vault.ErrUnavailable
		}
	}
	if !x.time.wall.Before(x.time.confirmed) {
		want = vault.ErrInvalid
	}
	if x.expect("SetTimeBack", x.c.SetTimeBack(context.Background(), x.time.wall), want) {
		x.time.confirmed, x.time.ahead = x.time.wall, time.Time{}
		for _, k := range x.keys {
			k.token = nil
		}
	}
	x.settle()
}

// reopen opens the vault again: after a boot of the machine, or after the program was killed,
// of which a copy of the directory shows what is on the disk at that moment.
func (x *system) reopen(boot, crash bool) {
	x.Helper()
	if crash {
		from := x.dir
		x.newDir()
		if err := os.CopyFS(x.dir, os.DirFS(from)); err != nil {
			x.Fatal(err)
		}
		defer os.RemoveAll(from)
	}
	if err := x.vault.Close(); err != nil {
		x.Fatal(err)
	}
	if boot {
		x.clock.Reboot(x.time.wall)
	}
	var err error
	if x.vault, err = vault.Open(context.Background(), x.dir, x.cfg, protector()); err != nil {
		x.Fatalf("Open: %v", fmt.Errorf("crash %v: %w", crash, err))
	}
	x.c = x.vault.As(vault.DefaultOwner)
	x.time.opened()
	x.settle()
}
