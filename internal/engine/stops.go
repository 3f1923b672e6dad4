package engine

// stops finds the first stop string in bytes that come in any pieces. The one that is complete
// first wins, and of those complete at the same byte the longest. So the result depends on the
// bytes alone, and generation ends as soon as any stop string is there.
//
// Each stop string is matched as Knuth, Morris and Pratt do it: there are few, and each costs about
// one comparison per byte.
type stops []stop

type stop struct {
	text    string
	borders []int // borders[n]: the longest proper prefix of text[:n] that also ends it
	matched int   // bytes of text that the input ends with
}

func newStops(texts []string) stops {
	var all stops
	for _, text := range texts {
		if text != "" {
			all = append(all, stop{text: text, borders: borders(text)})
		}
	}
	return all
}

func borders(text string) []int {
	table := make([]int, len(text)+1)
	n := 0
	for i := 1; i < len(text); i++ {
		for n > 0 && text[i] != text[n] {
			n = table[n]
		}
		if text[i] == text[n] {
			n++
		}
		table[i+1] = n
	}
	return table
}

// scan reads p. It returns the stop string that is complete within p and the number of bytes of p
// up to its end, or "" and len(p).
func (all stops) scan(p []byte) (found string, end int) {
	if len(all) == 0 {
		return "", len(p)
	}
	for i, b := range p {
		for j := range all {
			if s := &all[j]; s.next(b) && len(s.text) > len(found) {
				found = s.text
			}
		}
		if found != "" {
			return found, i + 1
		}
	}
	return "", len(p)
}

// next reports whether b completes the stop string.
func (s *stop) next(b byte) bool {
	n := s.matched
	for n > 0 && (n == len(s.text) || b != s.text[n]) {
		n = s.borders[n]
	}
	if b == s.text[n] {
		n++
	}
	s.matched = n
	return n == len(s.text)
}

// held is how many of the last bytes may be the start of a stop string.
func (all stops) held() int {
	most := 0
	for i := range all {
		most = max(most, all[i].matched)
	}
	return most
}
