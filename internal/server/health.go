package server

import (
	"fmt"
	"io"
	"net/http"

	"strongroom.example/vault"
)

// The paths of the health endpoint. live reports that the process serves requests, and ready
// that it accepts work: 200 or 503. They need no principal and tell nothing of the vault.
const (
	pathLive  = "/health/live"
	pathReady = "/health/ready"
)

// health serves the health endpoint, and reports whether the request was for it.
func (s *Server) health(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != pathLive && r.URL.Path != pathReady {
		return false
	}
	writeHealth(w, r, s.Ready())
	return true
}

// Ready reports whether the server accepts work: until Shutdown begins.
func (s *Server) Ready() bool { return !s.stopping.Load() }

func writeHealth(w http.ResponseWriter, r *http.Request, ready bool) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.URL.Path == pathReady && !ready:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "stopping\n")
	default:
		io.WriteString(w, "ok\n")
	}
}

// A finding is a matter of the vault's health that needs an operator.
type finding struct{ Title, Text string }

// findings returns what needs an operator.
func findings(h vault.Health) (out []finding) {
	if h.TimeInDoubt {
		out = append(out, finding{"time in doubt", "the time of day is ahead of what the vault expects: set the clock right, or stop the server and confirm it with strongroom doctor --confirm-time"})
	}
	if h.Scrub.Err != nil {
		out = append(out, finding{"scrub", fmt.Sprint(h.Scrub.Err)})
	}
	if h.Backup.Err != nil {
		out = append(out, finding{"backup", fmt.Sprint(h.Backup.Err)})
	}
	return out
}
