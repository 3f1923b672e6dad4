package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Terminals that know bracketed paste put these around pasted text when asked to.
const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// The line editor knows single lines only. A line end and a tab inside pasted text, or inside a
// message that is recalled, stand in the line as these symbols.
const (
	newlineSymbol = "␤"
	tabSymbol     = "␉"
)

var (
	toSymbols = strings.NewReplacer(
		"\r\n",
		newlineSymbol,
		"\n",
		newlineSymbol,
		"\r",
		newlineSymbol,
		"\t",
		tabSymbol,
	)
	fromSymbols = strings.NewReplacer(newlineSymbol, "\n", tabSymbol, "\t")
)

// pasteFilter turns what a terminal sends into what a line editor understands: pasted text arrives
// as part of one line, and its control characters do nothing.
type pasteFilter struct {
	pasting bool
	held    []byte // the beginning of a mark, or of a line end, that the next read may complete
}

// filter returns what the editor gets for the bytes of one read. full says that the read filled its
// buffer, so a key may be cut in two.
func (f *pasteFilter) filter(read []byte, full bool) []byte {
	var out []byte
	in := append(f.held, read...)
	f.held = nil
	for len(in) > 0 {
		mark := pasteStart
		if f.pasting {
			mark = pasteEnd
		}
		text, rest, found := bytes.Cut(in, []byte(mark))
		if !found {
			text, f.held = f.splitHeld(in, mark, full)
		}
		out = append(out, f.translate(text)...)
		in = rest
		if found {
			f.pasting = !f.pasting
		}
	}
	return out
}

// splitHeld splits off the end of in what may become more than it seems with the next read. Outside
// a paste an Escape, or an Escape and a bracket, is more likely a key that was pressed.
func (f *pasteFilter) splitHeld(in []byte, mark string, full bool) (text, held []byte) {
	if f.pasting && in[len(in)-1] == '\r' {
		return in[:len(in)-1], []byte("\r")
	}
	for n := min(len(mark)-1, len(in)); n > 0; n-- {
		if !bytes.HasSuffix(in, []byte(mark[:n])) {
			continue
		}
		if f.pasting || full || n > 2 {
			return in[:len(in)-n], bytes.Clone(in[len(in)-n:])
		}
		break
	}
	return in, nil
}

// translate makes pasted text one line; typed text it leaves alone. It goes by bytes, because a
// read may end within a character.
func (f *pasteFilter) translate(text []byte) []byte {
	if !f.pasting {
		return text
	}
	line := []byte(toSymbols.Replace(string(text)))
	return slices.DeleteFunc(line, func(b byte) bool { return b < ' ' || b == 0x7f })
}

// copyTo copies from terminal to editor until either fails.
func (f *pasteFilter) copyTo(editor io.WriteCloser, terminal io.Reader) {
	defer editor.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := terminal.Read(buffer)
		if _, writeErr := editor.Write(f.filter(buffer[:n], n == len(buffer))); writeErr != nil {
			return
		}
		if err != nil {
			return
		}
	}
}
