package mullama

// class is what kind of character a byte is, as llama.cpp's expressions see it.
type class byte

const (
	noClass class = iota // no character, or one that is left to llama.cpp
	letter
	digit
	space
	sign // everything else that is printed
)

var classes = func() (classes [256]class) {
	for b := byte('!'); b <= '~'; b++ {
		classes[b] = sign
	}
	for b := byte('0'); b <= '9'; b++ {
		classes[b] = digit
	}
	for b := byte('a'); b <= 'z'; b++ {
		classes[b], classes[b-'a'+'A'] = letter, letter
	}
	for _, b := range []byte(" \t\r\n") {
		classes[b] = space
	}
	return classes
}()

// noDigits are the classes for text in which a digit is an end.
var noDigits = func() [256]class {
	c := classes
	for b := byte('0'); b <= '9'; b++ {
		c[b] = noClass
	}
	return c
}()

// words is a walk through a text of ASCII, from word to word.
type words struct {
	text    string
	pos     int         // where the walk is
	classes *[256]class // of bytes; those of noClass are as if the text ended there
}

// at is the class of the byte that is so far ahead.
func (w *words) at(ahead int) class {
	if w.pos+ahead >= len(w.text) {
		return noClass
	}
	return w.classes[w.text[w.pos+ahead]]
}

// byteAt is the byte that is so far ahead; 0 after the end.
func (w *words) byteAt(ahead int) byte {
	if w.pos+ahead >= len(w.text) {
		return 0
	}
	return w.text[w.pos+ahead]
}

// pass goes on while characters are of a class.
func (w *words) pass(c class) {
	for w.at(0) == c {
		w.pos++
	}
}

// contraction is the length of 's, 't, 'm, 'd, 're, 've or 'll that begins here, or 0.
func (w *words) contraction(anyCase bool) int {
	if w.byteAt(0) != '\'' {
		return 0
	}
	a, b := w.byteAt(1), w.byteAt(2)
	if anyCase {
		a, b = lower(a), lower(b)
	}
	switch {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return len("'s")
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return len("'re")
	}
	return 0
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// spaces passes over white space: up to the last of several before another character, which belongs
// to that. With lines it ends after the last line end, if there is one.
func (w *words) spaces(lines bool) {
	n, end := 0, 0
	for w.at(n) == space {
		if b := w.byteAt(n); b == '\r' || b == '\n' {
			end = n + 1
		}
		n++
	}
	switch {
	case lines && end > 0:
		w.pos += end
	case n > 1 && w.at(n) != noClass:
		w.pos += n - 1
	default:
		w.pos += n
	}
}

// nextGPT2 is for words of GPT-2's expression, as llama.cpp has it:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+.
func nextGPT2(w words) int {
	if n := w.contraction(false); n > 0 {
		return w.pos + n
	}
	next, skip := w.at(0), 0
	if w.text[w.pos] == ' ' {
		next, skip = w.at(1), 1
	}
	switch next {
	case letter, digit, sign:
		w.pos += skip
		w.pass(next)
	default:
		w.spaces(false)
	}
	return w.pos
}

// nextOrDigit takes each digit as a word, and what is between them as texts for GPT-2's expression.
func nextOrDigit(w words) int {
	if classes[w.text[w.pos]] == digit {
		return w.pos + 1
	}
	w.classes = &noDigits
	return nextGPT2(w)
}

// nextLlama3 is for words of Llama 3's expression, as llama.cpp has it:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+.
func nextLlama3(w words) int { return w.modern(3) }

// nextQwen2 does so for Qwen 2's, which has each digit alone.
func nextQwen2(w words) int { return w.modern(1) }

// modern is the end of the next word of Llama 3's expression, with so many digits in a number.
func (w words) modern(digits int) int {
	here, b := w.at(0), w.byteAt(0)
	if n := w.contraction(true); n > 0 {
		return w.pos + n
	}
	if b != '\r' && b != '\n' && here != digit && (here == letter || w.at(1) == letter) {
		w.pos++
		w.pass(letter)
		return w.pos
	}
	if here == digit {
		for n := 0; n < digits && w.at(0) == digit; n++ {
			w.pos++
		}
		return w.pos
	}
	next, skip := here, 0
	if b == ' ' {
		next, skip = w.at(1), 1
	}
	if next == sign {
		w.pos += skip
		w.pass(sign)
		for w.byteAt(0) == '\r' || w.byteAt(0) == '\n' {
			w.pos++
		}
		return w.pos
	}
	w.spaces(true)
	return w.pos
}
