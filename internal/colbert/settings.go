// Package colbert knows how a model for late interaction reads texts: from the files that it is
// published with, and as keys of a GGUF file.
//
// A query has a marker behind its first token, and is filled up to a length with a token whose
// vectors count as all others do, but which the others may not pay attention to. A document has
// another marker, and the vectors of some of its tokens, such as those of punctuation, are left
// out. What is longer than the lengths is cut.
package colbert

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/mullama/mullama/internal/gguf"
)

// None stands for a token that there is not.
const None = -1

// Settings are how a model reads texts.
type Settings struct {
	QueryMarker, DocumentMarker int // behind the first token; or None
	QueryLength, DocumentLength int // most tokens, with markers and those at the ends
	Expansion                   int // what fills queries up; or None
	AttendToExpansion           bool
	Skip                        []int // tokens of documents whose vectors are left out, ascending
}

// The keys of a GGUF file. One that has the first is a model for late interaction.
const (
	keyQueryLength    = "mullama.late_interaction.query_length"
	keyDocumentLength = "mullama.late_interaction.document_length"
	keyQueryMarker    = "mullama.late_interaction.query_marker_token_id"
	keyDocumentMarker = "mullama.late_interaction.document_marker_token_id"
	keyExpansion      = "mullama.late_interaction.expansion_token_id"
	keyAttend         = "mullama.late_interaction.attend_to_expansion"
	keySkip           = "mullama.late_interaction.skipped_token_ids"
)

// Store sets the keys of a file.
func (s *Settings) Store(w *gguf.Writer) {
	w.Set(keyQueryLength, uint32(s.QueryLength))
	w.Set(keyDocumentLength, uint32(s.DocumentLength))
	for _, key := range []struct {
		name  string
		token int
	}{{keyQueryMarker, s.QueryMarker}, {keyDocumentMarker, s.DocumentMarker},
		{keyExpansion, s.Expansion}} {
		if key.token != None {
			w.Set(key.name, uint32(key.token))
		}
	}
	w.Set(keyAttend, s.AttendToExpansion)
	if len(s.Skip) > 0 {
		skip := make([]uint32, len(s.Skip))
		for i, token := range s.Skip {
			skip[i] = uint32(token)
		}
		w.Set(keySkip, skip)
	}
}

// Keys are those of a GGUF file, as [gguf.File] has them.
type Keys interface {
	Int(key string) (int64, bool)
	Bool(key string) (value, ok bool)
	Ints(key string) ([]int64, error)
}

// Declared reads what a file with a vocabulary of so many tokens declares. It returns nil for a
// model that is none for late interaction.
func Declared(f Keys, vocab int) (*Settings, error) {
	if _, ok := f.Int(keyQueryLength); !ok {
		return nil, nil
	}
	number := func(key string) int {
		n, ok := f.Int(key)
		if !ok {
			return None
		}
		return int(min(n, math.MaxInt32))
	}
	s := &Settings{
		QueryMarker: number(keyQueryMarker), DocumentMarker: number(keyDocumentMarker),
		QueryLength: number(keyQueryLength), DocumentLength: number(keyDocumentLength),
		Expansion: number(keyExpansion),
	}
	s.AttendToExpansion, _ = f.Bool(keyAttend)
	skip, err := f.Ints(keySkip)
	if err != nil {
		return nil, err
	}
	for _, token := range skip {
		s.Skip = append(s.Skip, int(min(token, math.MaxInt32)))
	}
	slices.Sort(s.Skip)
	if err := s.check(vocab); err != nil {
		return nil, fmt.Errorf("%w: %w", gguf.ErrMalformed, err)
	}
	return s, nil
}

// least is how many tokens a length has at least: the two at the ends, the marker, and one of text.
const least = 4

func (s *Settings) check(vocab int) error {
	for _, length := range []struct {
		of     string
		tokens int
	}{{"query", s.QueryLength}, {"document", s.DocumentLength}} {
		if length.tokens < least || length.tokens > 1<<20 {
			return fmt.Errorf("the %s length is %d tokens; it must be from %d to %d", length.of,
				length.tokens, least, 1<<20)
		}
	}
	for _, token := range append([]int{s.QueryMarker, s.DocumentMarker, s.Expansion}, s.Skip...) {
		if token < None || token >= vocab {
			return fmt.Errorf("token %d for late interaction is not in the vocabulary, which "+
				"has %d", token, vocab)
		}
	}
	if slices.Contains(s.Skip, None) {
		return errors.New("a token to be left out is negative")
	}
	return nil
}
