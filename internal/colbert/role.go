package colbert

import (
	"fmt"
	"slices"
)

// Role is how texts of one kind are read.
type Role struct {
	marker, length, fill int
	attend               bool
	skip                 []int
}

// Role returns how texts for a task, "query" or "document", are read. A length other than 0 stands
// in for the declared one, and no text is longer than longest.
func (s *Settings) Role(task string, length, longest int) (*Role, error) {
	r := &Role{marker: s.QueryMarker, length: s.QueryLength, fill: s.Expansion,
		attend: s.AttendToExpansion}
	if task == "document" {
		r = &Role{marker: s.DocumentMarker, length: s.DocumentLength, fill: None, skip: s.Skip}
	}
	if length != 0 {
		r.length = length
	}
	r.length = min(r.length, longest)
	if r.length < least {
		return nil, fmt.Errorf("a %s has %d tokens at most; at least %d are needed", task,
			r.length, least)
	}
	return r, nil
}

// Room is how many tokens of a text, with those at its ends, there are at most.
func (r *Role) Room() int {
	if r.marker == None {
		return r.length
	}
	return r.length - 1
}

// Complete adds the marker to the tokens of a text, and what fills it up. To so many tokens at the
// end none pays attention.
func (r *Role) Complete(tokens []int32) (all []int32, unseen int) {
	first := min(1, len(tokens))
	all = append(make([]int32, 0, r.length), tokens[:first]...)
	if r.marker != None {
		all = append(all, int32(r.marker))
	}
	all = append(all, tokens[first:]...)
	if r.fill == None {
		return all, 0
	}
	text := len(all)
	for len(all) < r.length {
		all = append(all, int32(r.fill))
	}
	if r.attend {
		return all, 0
	}
	return all, len(all) - text
}

// Skips reports whether the vector of a token is left out.
func (r *Role) Skips(token int32) bool {
	_, found := slices.BinarySearch(r.skip, int(token))
	return found
}
