package keystore

// direct serves the job in the caller's own goroutine if no other job is queued and the
// last group had at most one job. It reports whether it did so. This saves a lone caller
// the two goroutine switches to the committer and back, about a tenth of the time of its
// commit. A job that direct dequeues but does not commit is handed to the committer, so
// that the caller can return.
func (s *Store) direct(j *job) bool {
	if len(s.queue) > 0 || !s.lead.TryLock() {
		return false
	}
	defer s.lead.Unlock()
	if s.gather.released > 1 || len(s.next) > 0 || s.closed.Load() {
		return false
	}
	if next := s.serve(j); next != nil {
		s.next <- next
	}
	return true
}
