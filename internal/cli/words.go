package cli

import (
	"errors"
	"strconv"
	"strings"
)

// split reads the values of a /set parameter line. A list may have several, separated by spaces;
// each may be quoted, with \n and the like inside double quotes. Anything else is one value.
func (p *parameter) split(text string) ([]string, error) {
	if !p.list {
		if text == "" {
			return nil, nil
		}
		return []string{text}, nil
	}
	return splitWords(text)
}

// splitWords splits text at spaces outside quotes.
func splitWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		word, rest, err := nextWord(text)
		if err != nil {
			return nil, err
		}
		words, text = append(words, word), rest
	}
	return words, nil
}

// nextWord takes the first word off text, which does not start with a space.
func nextWord(text string) (word, rest string, err error) {
	if text[0] != '"' {
		end := strings.IndexAny(text, " \t")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", errors.New("a quote does not end, or has an unknown escape in it")
	}
	word, err = strconv.Unquote(quoted)
	return word, text[len(quoted):], err
}
