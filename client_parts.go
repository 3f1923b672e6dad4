package mullama

import "iter"

// What one request to a daemon has at most: more texts are refused there, and so are 20 MB, of
// which a text can take six times its size as JSON.
const (
	requestTexts = 4096
	requestBytes = 3 << 20
)

// parts cuts a list into what one request to a daemon takes. One that is too large alone comes
// alone, and nothing is one part.
func parts[T any](all []T, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		start, bytes := 0, 0
		for i, item := range all {
			n := size(item)
			if i > start && (i-start == requestTexts || bytes+n > requestBytes) {
				if !yield(all[start:i]) {
					return
				}
				start, bytes = i, 0
			}
			bytes += n
		}
		yield(all[start:])
	}
}

// embedParts are requests with texts or tokens alone, as many as it takes.
func embedParts(e *EmbedRequest) iter.Seq[*EmbedRequest] {
	return func(yield func(*EmbedRequest) bool) {
		if len(e.Texts) > 0 || len(e.Tokens) == 0 {
			for texts := range parts(e.Texts, func(s string) int { return len(s) }) {
				if !yield(&EmbedRequest{Texts: texts, EmbedOptions: e.EmbedOptions}) {
					return
				}
			}
		}
		if len(e.Tokens) == 0 {
			return
		}
		const digits = 8 // of a token, with a comma
		for tokens := range parts(e.Tokens, func(t []Token) int { return digits * len(t) }) {
			if !yield(&EmbedRequest{Tokens: tokens, EmbedOptions: e.EmbedOptions}) {
				return
			}
		}
	}
}
