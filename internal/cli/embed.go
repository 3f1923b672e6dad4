package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// embedOptions is what the flags of embed say.
type embedOptions struct {
	embed  mullama.EmbedOptions
	load   loadFlags
	format string
	field  string
	output string
}

const embedLong = `Print the embeddings of texts: those given after the model, or the lines of
stdin.

With --field, each line of stdin is a JSON object, and the text is the field of that name.

Formats: jsonl, an object for each text with its index, embedding and tokens, or with an error;
json, a list of lists; npy, NumPy's, and parquet, with the columns index, embedding, tokens and
error, both of which go to the file that --output names.`

const embedExample = `  mullama embed model.gguf "Why is the sky blue?"
  mullama embed model.gguf --task document < passages.txt > passages.jsonl
  mullama embed model.gguf --format npy --output rows.npy < lines.txt`

// embedCommand builds `mullama embed`.
func (a *app) embedCommand() *cobra.Command {
	o := &embedOptions{format: "jsonl"}
	cmd := &cobra.Command{
		Use:     "embed MODEL [TEXT...]",
		Short:   "Print the embeddings of texts",
		Long:    embedLong,
		Example: embedExample,
		Args:    fileAnd("a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.embed(cmd.Context(), o, args[0], args[1:])
		},
	}
	addGroup(cmd, "Embedding", func(set *pflag.FlagSet) {
		set.Var(oneOf(&o.embed.Pooling, "mean", "cls", "last", "none"), "pooling",
			"how tokens become one embedding: mean, cls, last or none (default: the model's)")
		set.Var(countFlag(&o.embed.Dimensions), "dimensions",
			"numbers to keep of each (default: all)")
		set.BoolVar(&o.embed.Raw, "raw", false, "leave the length of embeddings as it is computed")
		set.BoolVar(&o.embed.Truncate, "truncate", false, "cut texts that are too long")
		set.Var(oneOf(&o.embed.Task, "query", "document"), "task",
			"what the texts are for: query or document; known models get their words for it")
		set.Var(countFlag(&o.embed.Length), "length",
			"most tokens of texts with a task, for late interaction (default: the model's)")
		set.StringVar(&o.embed.Prefix, "prefix", "", "`TEXT` before each text")
	})
	addGroup(cmd, "Input and output", func(set *pflag.FlagSet) {
		set.StringVar(&o.field, "field", "", "read JSON lines and take the text from this `NAME`")
		set.Var(oneOf(&o.format, "jsonl", "json", "npy", "parquet"), "format",
			"jsonl, json, npy or parquet")
		set.StringVarP(&o.output, "output", "o", "", "write to this `FILE` instead of stdout")
	})
	addGroup(cmd, "Loading", o.load.define)
	return cmd
}

func (a *app) embed(ctx context.Context, o *embedOptions, name string, args []string) error {
	if err := o.resolve(args); err != nil {
		return err
	}
	if len(args) == 0 && a.stdinIsTerminal {
		return usage("embed needs texts").withHint("give them after the model or through stdin")
	}
	return a.withModel(ctx, name, o.load.options, func(model Model, _ time.Duration) error {
		out, done, err := a.embedOutput(o)
		if err != nil {
			return err
		}
		texts, failed, err := a.embedInto(ctx, model, o, args, out)
		err = errors.Join(err, done(err == nil))
		if err == nil && failed > 0 {
			return &failure{code: exitFailed,
				message: fmt.Sprintf("%d of %d texts have no embedding", failed, texts)}
		}
		return err
	})
}

func (o *embedOptions) resolve(args []string) error {
	table := o.format == "npy" || o.format == "parquet"
	switch {
	case table && o.output == "":
		return usage("--format %s writes a file; name it with --output", o.format)
	case table && o.embed.Pooling == "none":
		return usage("--format %s has one row for each text; it does not go with --pooling none",
			o.format)
	case o.field != "" && len(args) > 0:
		return usage("--field is for JSON lines of stdin; there are texts as arguments too")
	}
	return o.load.resolve()
}

// embedOutput opens what the embeddings are written to. done ends it: a file takes the place of one
// that was there only when it is whole.
func (a *app) embedOutput(o *embedOptions) (w embedWriter, done func(whole bool) error, err error) {
	if o.output == "" {
		out := bufio.NewWriter(a.stdout)
		return newEmbedWriter(o.format, out, nil), func(bool) error { return out.Flush() }, nil
	}
	path := o.output
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	file, inPlace, err := createBeside(path)
	if err != nil {
		return nil, nil, &failure{code: exitFailed, message: "write embeddings: " + err.Error()}
	}
	out := bufio.NewWriter(file)
	return newEmbedWriter(o.format, out, file), func(whole bool) error {
		err := errors.Join(out.Flush(), file.Close())
		switch {
		case inPlace:
			return err
		case whole && err == nil:
			return os.Rename(file.Name(), path)
		}
		return errors.Join(err, os.Remove(file.Name()))
	}, nil
}

// createBeside makes a file that is to be renamed to path. What is there and no file, such as a
// device, is written in place.
func createBeside(path string) (file *os.File, inPlace bool, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
		return file, true, err
	}
	file, err = os.CreateTemp(filepath.Dir(path), ".embed-*")
	if err == nil {
		err = file.Chmod(0o644)
	}
	return file, false, err
}

// embedInto embeds all texts and writes the results as they come. failed texts have an error
// where their embedding would be.
func (a *app) embedInto(
	ctx context.Context, model Model, o *embedOptions, args []string, out embedWriter,
) (embedded, failed int, err error) {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	var readErr error
	texts := slices.Values(args)
	bar := a.newProgressBar("embedding")
	defer bar.finish()
	total := len(args)
	if len(args) == 0 {
		texts = a.lineTexts(o.field, bar, &readErr)
	}
	for e, err := range model.EmbedStream(ctx, texts, &o.embed) {
		if err != nil {
			return embedded, failed, err
		}
		if e.Err != nil {
			failed++
		}
		if err := out.write(embedded, &e); err != nil {
			return embedded, failed, err
		}
		if embedded++; total > 0 {
			bar.update(float32(embedded) / float32(total))
		}
	}
	if readErr != nil {
		return embedded, failed, readErr
	}
	return embedded, failed, out.end(embedded)
}

// longestLine is the longest line of stdin.
const longestLine = 64 << 20

// lineTexts yields the lines of stdin, or a field of the objects in them. What is wrong is left in
// *failed.
func (a *app) lineTexts(field string, bar *progressBar, failed *error) iter.Seq[string] {
	size := int64(0)
	if file, ok := a.stdin.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return func(yield func(string) bool) {
		lines := bufio.NewScanner(a.stdin)
		lines.Buffer(nil, longestLine)
		read := int64(0)
		for n := 1; lines.Scan(); n++ {
			read += int64(len(lines.Bytes())) + 1
			if size > 0 {
				bar.update(float32(read) / float32(size))
			}
			text, err := lineText(lines.Bytes(), field, n)
			if err != nil {
				*failed = err
				return
			}
			if !yield(text) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			*failed = &failure{code: exitFailed, message: "read stdin: " + err.Error()}
		}
	}
}

func lineText(line []byte, field string, n int) (string, error) {
	if field == "" {
		return strings.TrimSuffix(string(line), "\r"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return "", usage("line %d of stdin is not a JSON object: %s", n, err)
	}
	var text *string
	if err := json.Unmarshal(object[field], &text); err != nil || text == nil {
		return "", usage("line %d of stdin has no text in the field %q", n, field)
	}
	return *text, nil
}

// printEmbedding prints the embedding of one text as a JSON list, as Ollama's run does.
func (a *app) printEmbedding(
	ctx context.Context, model Model, text string, options *mullama.EmbedOptions,
) error {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	out := newEmbedWriter("json", a.stdout, nil).(*listWriter)
	out.alone = true
	texts := slices.Values([]string{text})
	for e, err := range model.EmbedStream(ctx, texts, options) {
		if err != nil {
			return err
		}
		if err := out.write(0, &e); err != nil {
			return err
		}
	}
	return out.end(1)
}

// embedsOnly reports whether a model makes embeddings and no text.
func embedsOnly(model Model) bool {
	can := model.Info().Capabilities
	return slices.Contains(can, "embedding") && !slices.Contains(can, "completion")
}

// embedWriter writes embeddings in a format.
type embedWriter interface {
	write(index int, e *mullama.Embedding) error
	end(n int) error
}

// newEmbedWriter returns a writer to out. For npy, file is what out writes to.
func newEmbedWriter(format string, out io.Writer, file io.WriterAt) embedWriter {
	switch format {
	case "npy":
		return &arrayWriter{w: out, file: file}
	case "json":
		return &listWriter{w: out}
	case "parquet":
		return newTableWriter(out)
	}
	return &lineWriter{w: out}
}
