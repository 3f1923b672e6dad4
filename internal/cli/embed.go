package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	from   int  // the line of stdin to begin with
	skip   bool // go on after what cannot be embedded
}

const embedLong = `Print the embeddings of texts: those given after the model, or the lines of
stdin.

With --field, each line of stdin is a JSON object, and the text is the field of that name. A line
that has none ends the work: what was embedded before it is written, and --from-line goes on there.
With --skip-bad it has an error instead, and the lines that have one are named at the end.

Formats: jsonl, an object for each text with its index, embedding and tokens, or with an error;
json, a list of lists; npy, NumPy's, and parquet, with the columns index, embedding, tokens and
error, both of which go to the file that --output names. A text that cannot be embedded ends json
and npy, which have no place for an error; with --skip-bad it is null, or a row of NaN.`

const embedExample = `  mullama embed model.gguf "Why is the sky blue?"
  mullama embed model.gguf --task document < passages.txt > passages.jsonl
  mullama embed model.gguf --format npy --output rows.npy < lines.txt
  mullama embed model.gguf --field text --skip-bad < articles.jsonl > rows.jsonl`

// embedCommand builds `mullama embed`.
func (a *app) embedCommand() *cobra.Command {
	o := &embedOptions{format: "jsonl", from: 1}
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
		set.BoolVar(&o.skip, "skip-bad", false,
			"go on after a line without a text and a text that cannot be embedded")
		set.Var(countFlag(&o.from), "from-line", "begin with this line of stdin")
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
		return a.embedTexts(ctx, model, o, args)
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
	case o.from != 1 && len(args) > 0:
		return usage("--from-line is for lines of stdin; there are texts as arguments too")
	}
	return o.load.resolve()
}

// embedOutput opens what the embeddings are written to. done ends it: a file takes the place of one
// that was there only when it is whole. A part of it is kept beside that, under the name that done
// returns, if it has something.
func (a *app) embedOutput(
	o *embedOptions,
) (w embedWriter, done func(whole, some bool) (part string, err error), err error) {
	if o.output == "" {
		out := bufio.NewWriter(a.stdout)
		return newEmbedWriter(o, out, nil), func(bool, bool) (string, error) {
			return "", out.Flush()
		}, nil
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
	return newEmbedWriter(o, out, file), func(whole, some bool) (string, error) {
		err := errors.Join(out.Flush(), file.Close())
		switch {
		case inPlace:
			return "", err
		case whole && err == nil:
			return "", os.Rename(file.Name(), path)
		case some && err == nil:
			return path + partSuffix, os.Rename(file.Name(), path+partSuffix)
		}
		return "", errors.Join(err, os.Remove(file.Name()))
	}, nil
}

// partSuffix ends the name of a file that has a part of the embeddings.
const partSuffix = ".part"

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

// printEmbedding prints the embedding of one text as a JSON list, as Ollama's run does.
func (a *app) printEmbedding(
	ctx context.Context, model Model, text string, options *mullama.EmbedOptions,
) error {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	out := &listWriter{w: a.stdout, alone: true}
	texts := slices.Values([]string{text})
	for e, err := range model.EmbedStream(ctx, texts, options) {
		if err != nil {
			return err
		}
		if err := out.write(0, &e); err != nil {
			return err
		}
	}
	return out.end()
}

// embedsOnly reports whether a model makes embeddings and no text.
func embedsOnly(model Model) bool {
	can := model.Info().Capabilities
	return slices.Contains(can, "embedding") && !slices.Contains(can, "completion")
}

// embedWriter writes embeddings in a format.
type embedWriter interface {
	write(index int, e *mullama.Embedding) error
	end() error
}

// newEmbedWriter returns a writer to out. For npy, file is what out writes to.
func newEmbedWriter(o *embedOptions, out io.Writer, file io.WriterAt) embedWriter {
	switch o.format {
	case "npy":
		return &arrayWriter{w: out, file: file, skip: o.skip}
	case "json":
		return &listWriter{w: out, skip: o.skip}
	case "parquet":
		return newTableWriter(out)
	}
	return &lineWriter{w: out}
}
