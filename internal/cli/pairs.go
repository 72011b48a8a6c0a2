package cli

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// pairs returns names and values in the order of the names.
func pairs(m map[string]string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		texts = append(texts, name+"="+m[name])
	}
	return strings.Join(texts, " ")
}

// parsePairs parses name=value arguments.
func parsePairs(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	m := make(map[string]string)
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if _, twice := m[name]; !ok || name == "" || twice {
			return nil, usage("%q is not a name=value of its own", arg)
		}
		m[name] = value
	}
	return m, nil
}

// parseTime parses a time: RFC 3339, a date in UTC, or a duration such as 36h before now or,
// with later, after it.
func parseTime(text string, later bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, usage("%q is no time: use 2026-12-31T12:00:00Z, 2026-12-31 or a duration such as 36h", text)
	}
	if later {
		return time.Now().Add(d), nil
	}
	return time.Now().Add(-d), nil
}
