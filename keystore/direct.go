package keystore

// direct serves the caller's job in his own goroutine, if nobody else is there and
// nobody was in the last group. It spares a caller alone the way to the committer
// and back, a tenth of his commit. Whoever comes after his group is the committer's:
// he has his answer, and owes the others nothing.
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
