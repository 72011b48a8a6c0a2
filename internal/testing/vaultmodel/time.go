package vaultmodel

import "time"

// leap is how far the time of day may be ahead before it is in doubt, and how long the doubt
// lasts.
const leap = 24 * time.Hour

// timeModel is the reference for the vault's time: which time it has confirmed, and by which
// it refuses expired material.
type timeModel struct {
	wall      time.Time // the machine's time of day
	truth     time.Time // the time of day of a right clock
	confirmed time.Time
	ahead     time.Time     // the time in doubt; zero if there is no doubt
	left      time.Duration // until the doubt ends by itself
}

func (m timeModel) String() string {
	text := "wall " + m.wall.Format(time.RFC3339) + ", confirmed " + m.confirmed.Format(time.RFC3339)
	if !m.ahead.IsZero() {
		text += ", in doubt " + m.ahead.Format(time.RFC3339)
	}
	return text
}

// now returns the time by which material is refused.
func (m *timeModel) now() time.Time {
	if !m.ahead.IsZero() {
		return m.ahead
	}
	return m.confirmed
}

// pass lets d pass.
func (m *timeModel) pass(d time.Duration) {
	m.wall, m.truth = m.wall.Add(d), m.truth.Add(d)
	m.confirmed = m.confirmed.Add(d)
	if !m.ahead.IsZero() {
		m.ahead, m.left = m.ahead.Add(d), m.left-d
	}
	m.look()
}

// opened forgets the doubt, as a vault does that is opened again.
func (m *timeModel) opened() {
	m.ahead = time.Time{}
	m.look()
}

func (m *timeModel) look() {
	doubt := !m.ahead.IsZero()
	switch {
	case !m.wall.After(m.confirmed.Add(leap)), doubt && m.left <= 0:
		m.ahead = time.Time{}
		if m.wall.After(m.confirmed) {
			m.confirmed = m.wall
		}
	case !doubt:
		m.ahead, m.left = m.wall, leap
	case m.wall.After(m.ahead):
		m.ahead = m.wall
	}
}
