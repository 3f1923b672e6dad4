package store

// Lock is lock for tests.
func (s *Store) Lock() (unlock func(), err error) { return s.lock() }
