package modelfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// File is a Modelfile.
type File struct {
	Commands []Command
}

// Command is one command of a Modelfile.
type Command struct {
	Name  string // in capitals: "FROM"
	Key   string // the name of a PARAMETER, the role of a MESSAGE and the like; "" for others
	Value string

	Line, Column int // where it begins, from 1; 0 in a file that was not parsed
}

// Error is what is wrong with a Modelfile, and where.
type Error struct {
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("Modelfile, line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// at is an error about a command.
func (c *Command) at(format string, args ...any) error {
	return &Error{max(c.Line, 1), max(c.Column, 1), fmt.Sprintf(format, args...)}
}

// keyed are the commands with a key, and the keys that there are; nil: any word.
var keyed = map[string][]string{
	"PARAMETER":  nil,
	"MESSAGE":    {"system", "user", "assistant"},
	"THINKING":   {"start", "end", "enabled"},
	"TOOLFORMAT": {"style", "call_start", "call_end", "result_start", "result_end"},
	"CAPABILITY": nil,
}

// plain are the commands with a value alone.
var plain = []string{
	"FROM", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "REQUIRES", "RENDERER", "PARSER", "DRAFT",
	"GPU_LAYERS", "FLASH_ATTENTION", "VISION_PROJECTOR", "MMPROJ", "DIGEST", "AUTHOR",
}

// maxFile bounds what is read: licences and templates are long, but not that long.
const maxFile = 32 << 20

// Parse reads a Modelfile in UTF-8 or, with a byte order mark, UTF-16. What is wrong with it is an
// [*Error].
func Parse(r io.Reader) (*File, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the Modelfile: %w", err)
	}
	if len(b) > maxFile {
		return nil, &Error{1, 1, fmt.Sprintf("it is larger than %d MB", maxFile>>20)}
	}
	text := decode(b)
	p := &parser{text: text}
	if !utf8.ValidString(text) {
		p.pos = len(validPrefix(text))
		return nil, p.fail("this is not text in UTF-8")
	}
	var f File
	for p.next() {
		c, err := p.command()
		if err != nil {
			return nil, err
		}
		f.Commands = append(f.Commands, c)
	}
	return &f, nil
}

// decode takes away a byte order mark, and what it says of the encoding.
func decode(b []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return string(b[3:])
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return string(b)
	}
	var units []uint16
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units))
}

func validPrefix(text string) string {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return text[:i]
		}
	}
	return text
}

// parser reads commands one after another.
type parser struct {
	text string
	pos  int

	// line and column are those of the byte at counted.
	counted, line, column int
}

// position says where the parser is.
func (p *parser) position() (line, column int) {
	if p.line == 0 || p.pos < p.counted {
		p.counted, p.line, p.column = 0, 1, 1
	}
	for _, r := range p.text[p.counted:p.pos] {
		p.column++
		if r == '\n' {
			p.line, p.column = p.line+1, 1
		}
	}
	p.counted = p.pos
	return p.line, p.column
}

func (p *parser) fail(format string, args ...any) error {
	line, column := p.position()
	return &Error{line, column, fmt.Sprintf(format, args...)}
}

// next goes to the next command, over comments and space, if there is one.
func (p *parser) next() bool {
	for p.pos < len(p.text) {
		rest := p.text[p.pos:]
		space := len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
		p.pos += space
		rest = rest[space:]
		if !strings.HasPrefix(rest, "#") {
			return rest != ""
		}
		p.pos += lineEnd(rest)
	}
	return false
}

// lineEnd is the length of the first line of text.
func lineEnd(text string) int {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		return i
	}
	return len(text)
}

// word reads up to the next space.
func (p *parser) word() string {
	rest := p.text[p.pos:]
	end := strings.IndexAny(rest, " \t\r\n")
	if end < 0 {
		end = len(rest)
	}
	p.pos += end
	return rest[:end]
}

// blanks skips the spaces of a line.
func (p *parser) blanks() {
	rest := p.text[p.pos:]
	rest = rest[:lineEnd(rest)]
	p.pos += len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
}

// ended reports whether nothing is left on the line.
func (p *parser) ended() bool {
	rest := p.text[p.pos:]
	return strings.TrimSpace(rest[:lineEnd(rest)]) == ""
}

func (p *parser) command() (Command, error) {
	var c Command
	c.Line, c.Column = p.position()
	start := p.pos
	word := p.word()
	c.Name = strings.ToUpper(word)
	keys, hasKey := keyed[c.Name]
	if !hasKey && !slices.Contains(plain, c.Name) {
		p.pos = start
		return c, p.fail("there is no command %s; a line begins with FROM, PARAMETER, TEMPLATE, "+
			"SYSTEM or another command", shortened(word))
	}
	p.blanks()
	if hasKey {
		if p.ended() {
			return c, p.fail("%s needs a name and a value", c.Name)
		}
		start = p.pos
		word = p.word()
		c.Key = strings.ToLower(word)
		if err := checkKey(c.Name, c.Key, keys); err != "" {
			p.pos = start
			return c, p.fail("%s", err)
		}
		p.blanks()
	}
	if p.ended() {
		if hasKey {
			return c, p.fail("%s %s needs a value", c.Name, c.Key)
		}
		return c, p.fail("%s needs a value", c.Name)
	}
	var ok bool
	if c.Value, ok = p.value(); !ok {
		return c, p.fail("this text begins with a quotation mark, and no later line ends with it")
	}
	return c, nil
}

// checkKey says what is wrong with a key, or "".
func checkKey(name, key string, keys []string) string {
	if keys != nil {
		if slices.Contains(keys, key) {
			return ""
		}
		return fmt.Sprintf("%s is followed by one of %s, not by %s", name,
			strings.Join(keys, ", "), shortened(key))
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Sprintf("%s is no name for a %s; it has letters, digits and _",
				shortened(key), name)
		}
	}
	return ""
}

// value reads a value, of which the parser is at the first character. Where a quoted one does not
// end, it stays there and reports false.
func (p *parser) value() (string, bool) {
	rest := p.text[p.pos:]
	quote := quoteOf(rest)
	for end := 0; ; end++ {
		line := lineEnd(rest[end:])
		whole := strings.TrimRightFunc(rest[end:end+line], unicode.IsSpace)
		end += line
		switch {
		case quote == "":
			p.pos += end
			return strings.TrimSpace(rest[:end]), true
		case whole == "": // the text before it has been looked at
		case strings.HasSuffix(whole, quote):
			if text := strings.TrimSpace(rest[:end]); len(text) >= 2*len(quote) {
				p.pos += end
				return text[len(quote) : len(text)-len(quote)], true
			}
		}
		if end >= len(rest) {
			return "", false
		}
	}
}

// quoteOf is what a value is quoted with.
func quoteOf(value string) string {
	for _, quote := range []string{`"""`, `"`} {
		if strings.HasPrefix(value, quote) {
			return quote
		}
	}
	return ""
}

// shortened is a text of anybody's for a message.
func shortened(text string) string {
	const enough = 40
	if runes := []rune(text); len(runes) > enough {
		text = string(runes[:enough]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
