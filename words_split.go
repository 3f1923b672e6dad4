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

// words walks through a text and cuts it.
type words struct {
	text       string
	begin, pos int // of the word at hand, and where the walk is
	word       func(string) bool
}

// at is the class of the byte that is so far ahead.
func (w *words) at(ahead int) class {
	if w.pos+ahead >= len(w.text) {
		return noClass
	}
	return classes[w.text[w.pos+ahead]]
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

// cut ends the word at hand.
func (w *words) cut() bool {
	word := w.text[w.begin:w.pos]
	w.begin = w.pos
	return word == "" || w.word(word)
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
	case n > 1 && w.pos+n < len(w.text):
		w.pos += n - 1
	default:
		w.pos += n
	}
}

// splitGPT2 is llama.cpp's split for GPT-2's expression:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+.
func splitGPT2(text string, word func(string) bool) bool {
	w := words{text: text, word: word}
	for w.pos < len(text) {
		next, skip := w.at(0), 0
		if text[w.pos] == ' ' {
			next, skip = w.at(1), 1
		}
		n := w.contraction(false)
		switch {
		case n > 0:
			w.pos += n
		case next == letter || next == digit || next == sign:
			w.pos += skip
			w.pass(next)
		default:
			w.spaces(false)
		}
		if !w.cut() {
			return false
		}
	}
	return true
}

// splitDigits takes each digit as a word, and splits what is between them as GPT-2 does.
func splitDigits(text string, word func(string) bool) bool {
	for begin := 0; begin < len(text); {
		end := begin
		for end < len(text) && classes[text[end]] != digit {
			end++
		}
		if !splitGPT2(text[begin:end], word) {
			return false
		}
		if end < len(text) {
			if !word(text[end : end+1]) {
				return false
			}
			end++
		}
		begin = end
	}
	return true
}

// splitLlama3 is llama.cpp's split for Llama 3's expression:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+.
func splitLlama3(text string, word func(string) bool) bool { return splitModern(text, 3, word) }

// splitQwen2 is that for Qwen 2's, which has each digit alone.
func splitQwen2(text string, word func(string) bool) bool { return splitModern(text, 1, word) }

func splitModern(text string, digits int, word func(string) bool) bool {
	w := words{text: text, word: word}
	for w.pos < len(text) {
		w.modern(digits)
		if !w.cut() {
			return false
		}
	}
	return true
}

// modern passes over the next word of Llama 3's expression, with so many digits in a number.
func (w *words) modern(digits int) {
	here, b := w.at(0), w.byteAt(0)
	if n := w.contraction(true); n > 0 {
		w.pos += n
		return
	}
	if b != '\r' && b != '\n' && here != digit && (here == letter || w.at(1) == letter) {
		w.pos++
		w.pass(letter)
		return
	}
	if here == digit {
		for n := 0; n < digits && w.at(0) == digit; n++ {
			w.pos++
		}
		return
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
		return
	}
	w.spaces(true)
}
