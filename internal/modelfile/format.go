package modelfile

import (
	"fmt"
	"strings"
)

// Format writes a Modelfile that [Parse] reads as the same commands. The text of a command that
// cannot be written, because one of its lines ends with the quotation marks that would end it, is
// an error.
func (f *File) Format() (string, error) {
	var b strings.Builder
	for i := range f.Commands {
		line, err := f.Commands[i].Format()
		if err != nil {
			return "", err
		}
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

// Format writes one command, without a line end.
func (c *Command) Format() (string, error) {
	value, ok := quoted(c.Value)
	if !ok {
		return "", fmt.Errorf("the text of %s has a line that ends with \"\"\", which no "+
			"Modelfile can say", c.Name)
	}
	if c.Key != "" {
		return c.Name + " " + c.Key + " " + value, nil
	}
	return c.Name + " " + value, nil
}

// quoted returns the simplest way to write a value that is read as that value.
func quoted(value string) (string, bool) {
	for _, quote := range []string{"", `"`, `"""`} {
		written := quote + value + quote
		if quote == `"` && strings.ContainsAny(value, "\"\r\n") {
			continue // legal at times, but hard to read
		}
		p := &parser{text: written}
		if p.ended() {
			continue
		}
		if read, ok := p.value(); ok && read == value && p.pos == len(written) {
			return written, true
		}
	}
	return "", false
}
