package server

import (
	"math"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mullama/mullama"
)

// The parts of an answer are written by appending to a buffer: encoding/json looks at the type of
// every value it meets, and at thousands of tokens per second that is what a server spends its
// time on.

// buffers hold the bytes of one part of an answer while it is made.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

type buffer struct{ b []byte }

func getBuffer() *buffer {
	buf := buffers.Get().(*buffer)
	buf.b = buf.b[:0]
	return buf
}

// put gives a buffer back, unless one long answer made it so large that it is better forgotten.
func (b *buffer) put() {
	const large = 1 << 20
	if cap(b.b) <= large {
		buffers.Put(b)
	}
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD; U+2028 and
// U+2029, which end a line in JavaScript, are escaped.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if plain(c) {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscaped(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[start:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// plain reports whether an ASCII character stands for itself in a JSON string.
func plain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' && c != 0x7f }

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

// appendFloat appends a number in the shortest form that reads as the same float32. JSON has no
// infinities; OpenAI writes -9999 for a token that cannot come.
func appendFloat(dst []byte, f float32) []byte {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = -9999
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 32)
}

// appendTime appends a time as Ollama does, in UTC with as many digits as it has.
func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// appendByteValues appends bytes as an array of numbers.
func appendByteValues(dst, bytes []byte) []byte {
	dst = append(dst, '[')
	for i, b := range bytes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(b), 10)
	}
	return append(dst, ']')
}

// appendLogprobs appends the array that both Ollama and OpenAI use. The bytes are those of the
// token itself, which the text of it cannot show when it ends within a character.
func appendLogprobs(dst []byte, list []mullama.TokenLogprob) []byte {
	return appendLogprobsOf(dst, list, false)
}

// appendLogprobsOf is appendLogprobs, with the ids of tokens if they are wanted.
func appendLogprobsOf(dst []byte, list []mullama.TokenLogprob, ids bool) []byte {
	dst = append(dst, '[')
	for i, l := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTokenLogprob(appendID(dst, l.Token, ids), l.Bytes, l.Logprob)
		dst = append(dst, `,"top_logprobs":[`...)
		for j, top := range l.Top {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendTokenLogprob(appendID(dst, top.Token, ids), top.Bytes, top.Logprob)
			dst = append(dst, '}')
		}
		dst = append(dst, ']', '}')
	}
	return append(dst, ']')
}

// appendID opens an object, with the id of a token if it is wanted.
func appendID(dst []byte, token mullama.Token, wanted bool) []byte {
	dst = append(dst, '{')
	if wanted {
		dst = append(appendInt(append(dst, `"id":`...), int(token)), ',')
	}
	return dst
}

// appendTokenLogprob goes on with an object, and leaves it open.
func appendTokenLogprob(dst, bytes []byte, logprob float32) []byte {
	dst = append(dst, `"token":`...)
	dst = appendString(dst, bytes)
	dst = append(dst, `,"logprob":`...)
	dst = appendFloat(dst, logprob)
	dst = append(dst, `,"bytes":`...)
	return appendByteValues(dst, bytes)
}

// appendTokens appends token ids as an array.
func appendTokens(dst []byte, tokens []mullama.Token) []byte {
	dst = append(dst, '[')
	for i, t := range tokens {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(t), 10)
	}
	return append(dst, ']')
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
