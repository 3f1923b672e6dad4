package engine

import "unicode/utf8"

// replacement is U+FFFD in UTF-8.
const replacement = "\uFFFD"

// assembler turns bytes that come in any pieces into valid UTF-8. A sequence that is not complete
// yet waits for its rest. Bytes that cannot become valid are replaced as the WHATWG Encoding
// Standard does it: one U+FFFD for each longest prefix of a valid sequence, or else for each byte.
type assembler struct {
	tail     [utf8.UTFMax]byte // the start of a sequence, incomplete and valid so far
	n        int               // bytes in tail
	consumed int               // bytes written so far, that is all but the tail
}

// write appends to dst the text that p completes.
func (a *assembler) write(dst, p []byte) []byte {
	for a.n > 0 && len(p) > 0 {
		dst, p = a.join(dst, p)
	}
	if utf8.Valid(p) { // nearly always
		a.consumed += len(p)
		return append(dst, p...)
	}
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		switch {
		case r != utf8.RuneError || size > 1:
			dst = append(dst, p[:size]...)
		case !utf8.FullRune(p):
			a.n = copy(a.tail[:], p)
			return dst
		default:
			size = validPrefix(p)
			dst = append(dst, replacement...)
		}
		a.consumed += size
		p = p[size:]
	}
	return dst
}

// join moves one byte of p to the tail and writes the tail when it is decided. A byte that does not
// continue the tail stays in p.
func (a *assembler) join(dst, p []byte) (rest, next []byte) {
	a.tail[a.n] = p[0]
	whole := a.tail[:a.n+1]
	if !utf8.FullRune(whole) {
		a.n++
		return dst, p[1:]
	}
	if utf8.Valid(whole) {
		a.consumed += len(whole)
		a.n = 0
		return append(dst, whole...), p[1:]
	}
	return a.flush(dst), p
}

// flush writes U+FFFD for a sequence that will not be completed.
func (a *assembler) flush(dst []byte) []byte {
	if a.n == 0 {
		return dst
	}
	a.consumed += a.n
	a.n = 0
	return append(dst, replacement...)
}

// validPrefix is the length of the longest valid prefix of a sequence at the start of p, which is
// not valid; 1 if there is none.
func validPrefix(p []byte) int {
	n := 1
	for n < len(p) && !utf8.FullRune(p[:n]) {
		n++
	}
	if n > 1 {
		n-- // p[:n] is decided, so its last byte does not belong to it
	}
	return n
}
