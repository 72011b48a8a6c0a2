package server

import "strongroom.example/vault"

// html returns the page as HTML.
func (v statusView) html() []byte {
	p := new(page)
	p.raw(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Strongroom status</title>
<style>
`, statusCSS, `</style>
</head>
<body>
<header>
<h1>Strongroom</h1>
`)
	if v.Ready {
		p.raw(`<strong class="good">ready</strong>`)
	} else {
		p.raw(`<strong class="bad">stopping</strong>`)
	}
	p.element("\n<span", cell{value: v.Made, class: "soft"}, "</span>\n</header>\n")
	v.attention(p)
	p.raw(`<div class="pair">` + "\n")
	v.vault(p)
	v.health(p)
	p.raw("</div>\n")
	v.events(p)
	v.keys(p)
	p.raw(`<div class="pair">` + "\n")
	v.protectors(p)
	v.devices(p)
	p.raw("</div>\n")
	v.audit(p)
	p.raw("</body>\n</html>\n")
	return p.Bytes()
}

func (v statusView) attention(p *page) {
	if len(v.Findings)+len(v.Denied) == 0 {
		return
	}
	p.begin("Needs attention", "warn")
	p.raw("<ul>\n")
	for _, f := range v.Findings {
		p.raw("<li><strong>")
		p.text(f.Title)
		p.raw("</strong>: ")
		p.text(f.Text)
		p.raw("</li>\n")
	}
	for _, text := range v.Denied {
		p.element("<li", cell{value: text}, "</li>\n")
	}
	p.raw("</ul>\n")
	p.end()
}

func (v statusView) vault(p *page) {
	p.begin("Vault", "")
	p.raw("<dl>\n")
	p.term("id", cell{value: v.Vault, code: true})
	p.term("log key", cell{value: v.LogKey, code: true})
	p.term("edition", cell{value: v.Edition})
	p.term("cryptography", cell{value: v.Module})
	p.raw("</dl>\n")
	p.end()
}

func (v statusView) health(p *page) {
	p.begin("Health", "")
	p.raw("<dl>\n")
	p.term("last scrub", cell{value: v.Scrub})
	p.term("next scrub", cell{value: v.ScrubNext})
	p.term("last backup", cell{value: v.Backup})
	p.term("next backup", cell{value: v.BackupNext})
	for _, c := range v.States {
		p.term("keys "+string(c.State), cell{value: c.N})
	}
	p.raw("</dl>\n")
	p.end()
}

func (v statusView) events(p *page) {
	p.begin("Next", "")
	defer p.end()
	if len(v.Events) == 0 {
		p.soft("No key expires, rotates or is destroyed by itself.")
		return
	}
	var rows [][]cell
	for _, e := range v.Events {
		what := cell{value: e.What}
		if e.What == destroyed {
			what.class = "bad"
		}
		rows = append(rows, []cell{{value: e.When}, {value: e.In}, {value: e.Key}, what})
	}
	p.table([]markup{"When", "In", "Key", "What"}, rows)
}

func (v statusView) keys(p *page) {
	p.begin("Keys", "")
	defer p.end()
	if len(v.Keys) == 0 {
		p.soft("No keys.")
		return
	}
	var rows [][]cell
	for _, k := range v.Keys {
		state := cell{value: k.State, class: "warn"}
		switch vault.KeyState(k.State) {
		case vault.Enabled:
			state.class = "good"
		case vault.PendingDeletion, vault.Destroyed:
			state.class = "bad"
		}
		rows = append(rows, []cell{
			{value: k.Alias}, {value: k.ID, code: true}, state, {value: k.Spec}, {value: k.Usage}, {value: k.Version},
			{value: k.Level + " (" + k.Driver + ")"}, {value: k.LastUse}, {value: k.Next},
		})
	}
	p.table([]markup{"Alias", "Id", "State", "Type", "Usage", "Version", "Protection", "Last use", "Next"}, rows)
	if v.MoreKeys > 0 {
		p.soft("%d keys more are not shown.", v.MoreKeys)
	}
}

func (v statusView) protectors(p *page) {
	p.begin("Protectors", "")
	var rows [][]cell
	for _, r := range v.Protectors {
		bound := "no"
		if r.MachineBound {
			bound = "yes"
		}
		rows = append(rows, []cell{{value: r.ID, code: true}, {value: r.Kind}, {value: bound}})
	}
	p.table([]markup{"Id", "Kind", "This machine only"}, rows)
	p.end()
}

func (v statusView) devices(p *page) {
	p.begin("Devices", "")
	var rows [][]cell
	for _, d := range v.Drivers {
		rows = append(rows, []cell{{value: d.Name}, {value: d.Kind}, {value: d.Level}, {value: d.Model}})
	}
	p.table([]markup{"Name", "Kind", "Level", "Model"}, rows)
	p.end()
}

func (v statusView) audit(p *page) {
	p.begin("Audit log, newest first", "")
	p.soft("Without the records of this page itself.")
	var rows [][]cell
	for _, r := range v.Audit {
		result := cell{value: r.Result, class: "bad"}
		switch r.Result {
		case "OK":
			result.class = "good"
		case intent:
			result.class = "soft"
		}
		rows = append(rows, []cell{
			{value: r.Seq}, {value: r.Time}, {value: r.Principal}, {value: r.Operation}, {value: r.Key, code: true}, result, {value: r.Detail},
		})
	}
	p.table([]markup{"Record", "Time", "Principal", "Operation", "Key", "Result", "Detail"}, rows)
	p.end()
}
