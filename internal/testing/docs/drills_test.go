package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sessions are the sessions of the command line.
const sessions = root + "/cmd/strongroom/testdata"

// verb matches what stands before a command in a session.
var verb = regexp.MustCompile(`^(! )?(exec|exits [0-9]+) (sh -c )?`)

// plain returns a command without quotation marks, which a session and a shell need in
// different places, and a redirection, for which a session has a line of its own.
func plain(command string) string {
	command, _, _ = strings.Cut(command, " > ")
	command, _, _ = strings.Cut(command, "   #")
	return strings.Join(strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(command)), " ")
}

// TestDrills checks that each command of a fence with the mark "drill NAME" is a command of
// the session drill_NAME.txtar, in the same order, and that each line of a text fence after
// it is output which the session checks for. The sessions themselves run in cmd/strongroom.
func TestDrills(t *testing.T) {
	named := make(map[string]bool)
	for _, d := range documents(t) {
		drill, rest, checks := "", []string(nil), []string(nil)
		for _, f := range d.Fences {
			switch {
			case f.Marked("drill") && len(f.Marks) == 2:
				if f.Marks[1] != drill {
					drill = f.Marks[1]
					rest, checks = session(t, drill)
					named[drill] = true
				}
				rest = follow(t, f, rest)
			case f.Language == "text" && drill != "" && !shown(f.Text, checks):
				t.Errorf("%s:%d: the drill %s does not check for this output", f.File, f.Line, drill)
			}
		}
	}
	all, err := filepath.Glob(sessions + "/*/drill_*.txtar")
	if err != nil || len(all) == 0 || len(all) != len(named) {
		t.Errorf("%d drills, of which documents name %d: %v", len(all), len(named), err)
	}
}

// session returns the commands of a drill, and the patterns that it checks output for.
func session(t *testing.T, drill string) (commands, checks []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(sessions, "*", "drill_"+drill+".txtar"))
	if err != nil || len(found) != 1 {
		t.Fatalf("drill %s: %v, %v", drill, found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch first, pattern, _ := strings.Cut(line, " "); {
		case first == "stdout" || first == "stderr":
			checks = append(checks, strings.Trim(pattern, "'"))
		default:
			commands = append(commands, plain(verb.ReplaceAllString(line, "")))
		}
	}
	return commands, checks
}

// follow returns the commands of a session after those of a fence.
func follow(t *testing.T, f Fence, session []string) []string {
	t.Helper()
	for command := range strings.Lines(strings.ReplaceAll(f.Text, "\\\n", " ")) {
		at := -1
		for i, have := range session {
			if have == plain(command) {
				at = i
				break
			}
		}
		if at < 0 {
			t.Errorf("%s:%d: the drill does not run this, in this order: %s", f.File, f.Line, command)
			continue
		}
		session = session[at+1:]
	}
	return session
}

// shown reports whether a pattern matches one of the lines.
func shown(text string, patterns []string) bool {
	for _, p := range patterns {
		if regexp.MustCompile(p).MatchString(strings.Join(strings.Fields(text), " ")) {
			return true
		}
	}
	return false
}
