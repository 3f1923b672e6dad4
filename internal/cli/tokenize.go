package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// tokenizeOptions is what the flags of tokenize say.
type tokenizeOptions struct{ ids, count, special, json bool }

const tokenizeLong = `Print the tokens of a text as the model in FILE sees it, one per line: id and
piece.

The text is the arguments after FILE, or stdin, which is taken to the byte.`

// tokenizeCommand builds `mullama tokenize`.
func (a *app) tokenizeCommand() *cobra.Command {
	o := &tokenizeOptions{}
	cmd := &cobra.Command{
		Use:   "tokenize FILE [TEXT...]",
		Short: "Print the tokens of a text",
		Long:  tokenizeLong,
		Args:  fileAnd("a model file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.tokenize(cmd.Context(), o, args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.special, "special", false,
		"add the special tokens a prompt begins with, and read special tokens in the text")
	flags.BoolVar(&o.ids, "ids", false, "print the ids alone, on one line")
	flags.BoolVar(&o.count, "count", false, "print the number of tokens alone")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// tokenLine is a token as JSON. Bytes are its own, which need not be valid UTF-8.
type tokenLine struct {
	ID    mullama.Token `json:"id"`
	Piece string        `json:"piece"`
	Bytes []int         `json:"bytes"`
}

// tokenize prints the tokens of a text.
func (a *app) tokenize(ctx context.Context, o *tokenizeOptions, path string, args []string) error {
	err := exclusive(
		flagUse{"--ids", o.ids},
		flagUse{"--count", o.count},
		flagUse{"--json", o.json},
	)
	if err != nil {
		return err
	}
	text, err := a.argumentsOrStdin("tokenize", "a text", args)
	if err != nil {
		return err
	}
	return a.withModel(ctx, path, textOnly(), func(model Model, _ time.Duration) error {
		opts := mullama.TokenizeOptions{AddSpecial: o.special, ParseSpecial: o.special}
		tokens, err := model.Tokenize(text, opts)
		if err != nil {
			return err
		}
		return a.printTokens(o, model, tokens)
	})
}

// textOnly is how a model is loaded when nothing is computed with it.
func textOnly() mullama.LoadOptions {
	return mullama.LoadOptions{VocabOnly: true}
}

// argumentsOrStdin returns the arguments joined by spaces, or else all of stdin.
func (a *app) argumentsOrStdin(command, what string, args []string) (string, error) {
	if len(args) > 0 {
		return strings.Join(args, " "), nil
	}
	if a.stdinIsTerminal {
		return "", usage(
			"%s needs %s",
			command,
			what,
		).withHint("give it after FILE or through stdin")
	}
	piped, err := io.ReadAll(a.stdin)
	if err != nil {
		return "", &failure{code: exitFailed, message: "read stdin: " + err.Error()}
	}
	return string(piped), nil
}

// printTokens prints tokens in the form o asks for.
func (a *app) printTokens(o *tokenizeOptions, model Model, tokens []mullama.Token) error {
	switch {
	case o.count:
		fmt.Fprintln(a.stdout, len(tokens))
		return nil
	case o.ids:
		fmt.Fprintln(a.stdout, joinTokens(tokens))
		return nil
	}
	var text bytes.Buffer
	lines := make([]tokenLine, len(tokens))
	for i, token := range tokens {
		piece, err := model.Detokenize([]mullama.Token{token})
		if err != nil {
			return err
		}
		lines[i] = tokenLine{ID: token, Piece: string(piece), Bytes: byteNumbers(piece)}
		fmt.Fprintf(&text, "%7d  %s\n", token, strconv.Quote(string(piece)))
	}
	if o.json {
		return a.printJSON(map[string]any{"count": len(lines), "tokens": lines})
	}
	_, err := a.stdout.Write(text.Bytes())
	return err
}

// joinTokens writes token ids with spaces between them.
func joinTokens(tokens []mullama.Token) string {
	ids := make([]string, len(tokens))
	for i, token := range tokens {
		ids[i] = strconv.Itoa(int(token))
	}
	return strings.Join(ids, " ")
}

// detokenizeCommand builds `mullama detokenize`.
func (a *app) detokenizeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "detokenize FILE [ID...]",
		Short: "Print the text of tokens",
		Long: "Print the text of the tokens with these ids, to the byte. Without ids they are\n" +
			"read from stdin, separated by white space or commas.",
		Args: fileAnd("a model file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.detokenize(cmd.Context(), asJSON, args[0], args[1:])
		},
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// detokenize prints the text of tokens.
func (a *app) detokenize(ctx context.Context, asJSON bool, path string, args []string) error {
	list, err := a.argumentsOrStdin("detokenize", "token ids", args)
	if err != nil {
		return err
	}
	tokens, err := parseTokens(list)
	if err != nil {
		return err
	}
	return a.withModel(ctx, path, textOnly(), func(model Model, _ time.Duration) error {
		if err := inVocabulary(tokens, model.Info().Vocab); err != nil {
			return err
		}
		text, err := model.Detokenize(tokens)
		if err != nil {
			return err
		}
		if asJSON {
			return a.printJSON(map[string]any{"text": string(text), "bytes": byteNumbers(text)})
		}
		if a.stdoutIsTerminal {
			text = []byte(printable(string(text)) + "\n")
		}
		_, err = a.stdout.Write(text)
		return err
	})
}

// parseTokens reads token ids separated by white space or commas.
func parseTokens(list string) ([]mullama.Token, error) {
	fields := strings.FieldsFunc(
		list,
		func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) },
	)
	tokens := make([]mullama.Token, len(fields))
	for i, field := range fields {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil || id < 0 {
			return nil, usage("%q is not a token id", field)
		}
		tokens[i] = mullama.Token(id)
	}
	return tokens, nil
}

// inVocabulary reports the first token that a vocabulary of size tokens does not have.
func inVocabulary(tokens []mullama.Token, size int) error {
	for _, token := range tokens {
		if size > 0 && int(token) >= size {
			return usage("token %d is not in the vocabulary, which ends at %d", token, size-1)
		}
	}
	return nil
}
