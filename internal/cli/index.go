package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// indexOptions is what the flags of the index commands say.
type indexOptions struct {
	load      loadFlags
	vectors   string
	id, field string
	top       int
	probe     int
	groups    int
	device    string
	json      bool
}

const indexLong = `Keep the token vectors of documents in a file, and find documents by late
interaction, as ColBERT does.`

const indexExample = `  mullama index create docs.index colbert.gguf
  mullama index add docs.index colbert.gguf < documents.jsonl
  mullama index search docs.index colbert.gguf "What is a llama?"`

// indexCommand builds `mullama index` and its commands.
func (a *app) indexCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "index", Short: "Keep documents in a file and find them by late interaction",
		Long: indexLong, Example: indexExample, Args: noUnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.indexCreateCommand(), a.indexAddCommand(), a.indexSearchCommand(),
		a.indexTrainCommand(), a.indexInfoCommand(), a.indexVerifyCommand())
	return cmd
}

func (a *app) indexCreateCommand() *cobra.Command {
	o := &indexOptions{vectors: mullama.VectorsF16.String()}
	cmd := &cobra.Command{
		Use: "create FILE MODEL", Short: "Make an empty index for the vectors of a model",
		Args: exactly(2, "the file of the index and a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.indexCreate(cmd.Context(), o, args[0], args[1])
		},
	}
	cmd.Flags().Var(oneOf(&o.vectors, "f32", "f16", "int8"), "vectors",
		"how numbers are kept: f32, f16 or int8")
	defineJSON(cmd, &o.json, "print what is in the new index as JSON")
	addGroup(cmd, "Loading", o.load.define)
	return cmd
}

func (a *app) indexAddCommand() *cobra.Command {
	o := &indexOptions{}
	cmd := &cobra.Command{
		Use: "add FILE MODEL", Short: "Add documents to an index",
		Long: `Add documents to an index: the lines of stdin, which are JSON objects with an id and
a text. An id that the index has is refused. Documents are added by the hundreds; those before an
error stay.`,
		Example: `  mullama index add docs.index colbert.gguf < documents.jsonl
  mullama index add docs.index colbert.gguf --id url --field body < pages.jsonl`,
		Args: exactly(2, "the file of an index and a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.indexAdd(cmd.Context(), o, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&o.id, "id", "id", "take the ids from this `NAME`")
	cmd.Flags().StringVar(&o.field, "field", "text", "take the texts from this `NAME`")
	defineJSON(cmd, &o.json, "print JSON")
	addGroup(cmd, "Loading", o.load.define)
	return cmd
}

func (a *app) indexSearchCommand() *cobra.Command {
	o := &indexOptions{top: 10}
	cmd := &cobra.Command{
		Use: "search FILE MODEL QUERY", Short: "Print the best documents for a query",
		Args: exactly(3, "the file of an index, a model and a query"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.indexSearch(cmd.Context(), o, args[0], args[1], args[2])
		},
	}
	cmd.Flags().Var(countFlag(&o.top), "top", "print only so many")
	cmd.Flags().Var(indexFlag(&o.probe), "probe",
		"groups to look at for each token of the query, in an index with groups; 0: everything")
	cmd.Flags().StringVar(&o.device, "index-device", "",
		"search on the device with this `NAME`, of those that doctor prints (default: on the CPU)")
	defineJSON(cmd, &o.json, "print one JSON object per document")
	addGroup(cmd, "Loading", o.load.define)
	return cmd
}

func (a *app) indexTrainCommand() *cobra.Command {
	o := &indexOptions{}
	cmd := &cobra.Command{
		Use: "train FILE", Short: "Group the tokens of an index for searches with --probe",
		Args: exactly(1, "the file of an index"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withIndex(args[0], mullama.IndexOptions{}, func(x *mullama.Index) error {
				ctx, stop := a.interruptible(cmd.Context())
				defer stop()
				if err := x.Train(ctx, o.groups); err != nil || !o.json {
					return err
				}
				return a.inspectIndex(o, args[0])
			})
		},
	}
	cmd.Flags().Var(indexFlag(&o.groups), "groups", "how many groups; 0: by the number of tokens")
	defineJSON(cmd, &o.json, "print what is in the index as JSON")
	return cmd
}

func (a *app) indexInfoCommand() *cobra.Command {
	o := &indexOptions{}
	cmd := &cobra.Command{
		Use: "info FILE", Short: "Print what is in an index",
		Args: exactly(1, "the file of an index"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inspectIndex(o, args[0])
		},
	}
	defineJSON(cmd, &o.json, "print JSON")
	return cmd
}

func (a *app) inspectIndex(o *indexOptions, path string) error {
	info, err := mullama.InspectIndex(path)
	if err != nil {
		return err
	}
	return a.printIndexInfo(o, &info)
}

func (a *app) indexVerifyCommand() *cobra.Command {
	o := &indexOptions{}
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Compare all of an index with its checksums",
		Args: exactly(1, "the file of an index"),
		RunE: func(_ *cobra.Command, args []string) error {
			return withIndex(args[0], mullama.IndexOptions{}, func(x *mullama.Index) error {
				if err := x.Verify(); err != nil {
					return err
				}
				if o.json {
					return a.printJSON(struct {
						File string `json:"file"`
						OK   bool   `json:"ok"`
					}{args[0], true})
				}
				fmt.Fprintf(a.stdout, "%s is whole\n", args[0])
				return nil
			})
		},
	}
	defineJSON(cmd, &o.json, "print JSON")
	return cmd
}

// withIndex opens an index that is there.
func withIndex(path string, o mullama.IndexOptions, use func(*mullama.Index) error) error {
	x, err := mullama.OpenIndex(path, o)
	if err != nil {
		return err
	}
	return errors.Join(use(x), x.Close())
}

// withIndexAndModel opens both. The index comes first, as loading takes longer.
func (a *app) withIndexAndModel(ctx context.Context, o *indexOptions, path, name string,
	use func(context.Context, *mullama.Index, Model) error,
) error {
	if err := o.load.resolve(); err != nil {
		return err
	}
	on := mullama.IndexOptions{Device: o.device}
	return withIndex(path, on, func(x *mullama.Index) error {
		return a.withModel(ctx, name, o.load.options, func(m Model, _ time.Duration) error {
			ctx, stop := a.interruptible(ctx)
			defer stop()
			of := mullama.IndexOptions{Model: mullama.ModelLabel(m.Info())}
			return withIndex(path, of, func(*mullama.Index) error { return use(ctx, x, m) })
		})
	})
}

func (a *app) indexCreate(ctx context.Context, o *indexOptions, path, name string) error {
	if err := o.load.resolve(); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return (&failure{code: exitFailed, message: path + " is there already"}).
			withHint("remove it, or choose another name")
	}
	vectors, err := mullama.ParseVectorKind(o.vectors)
	if err != nil {
		return err
	}
	return a.withModel(ctx, name, o.load.options, func(m Model, _ time.Duration) error {
		rows, err := tokenRows(ctx, m, "query", "a")
		if err != nil {
			return err
		}
		x, err := mullama.OpenIndex(path, mullama.IndexOptions{Dim: len(rows[0]),
			Vectors: vectors, Model: mullama.ModelLabel(m.Info())})
		if err != nil {
			return err
		}
		if err := x.Close(); err != nil || !o.json {
			return err
		}
		return a.inspectIndex(o, path)
	})
}

// tokenRows embeds a text, token by token.
func tokenRows(ctx context.Context, m Model, task, text string) ([][]float32, error) {
	options := &mullama.EmbedOptions{Pooling: "none", Task: task}
	for e, err := range m.EmbedStream(ctx, slices.Values([]string{text}), options) {
		return e.Rows, errors.Join(err, e.Err)
	}
	return nil, nil
}

// addDocuments is how many documents are added together: each call waits for the disk.
const addDocuments = 256

func (a *app) indexAdd(ctx context.Context, o *indexOptions, path, name string) error {
	if a.stdinIsTerminal {
		return usage("add needs documents").withHint("give them through stdin, as JSON lines")
	}
	return a.withIndexAndModel(ctx, o, path, name,
		func(ctx context.Context, x *mullama.Index, m Model) error {
			n, err := a.addLines(ctx, o, x, m)
			if err == nil && o.json {
				return a.printJSON(struct {
					File  string `json:"file"`
					Added int    `json:"added"`
				}{path, n})
			}
			if err == nil {
				fmt.Fprintf(a.stdout, "added %d documents to %s\n", n, path)
			} else if n > 0 {
				fmt.Fprintf(a.stderr, "%d documents were added before the error\n", n)
			}
			return err
		})
}

// addLines adds the documents of stdin, and returns how many are in the index now.
func (a *app) addLines(
	ctx context.Context, o *indexOptions, x *mullama.Index, m Model,
) (added int, err error) {
	bar := a.newProgressBar("adding documents")
	defer bar.finish()
	var batch []mullama.IndexDocument
	var texts []string
	add := func() error {
		if err := embedDocuments(ctx, m, batch, texts); err != nil {
			return err
		}
		if err := x.Add(ctx, batch); err != nil {
			return err
		}
		added += len(batch)
		batch, texts = nil, nil
		return nil
	}
	var readErr error
	n := 0
	for line := range a.lineTexts("", bar, &readErr) {
		n++
		id, err := lineText([]byte(line), o.id, n)
		if err != nil {
			return added, err
		}
		text, err := lineText([]byte(line), o.field, n)
		if err != nil {
			return added, err
		}
		batch, texts = append(batch, mullama.IndexDocument{ID: id}), append(texts, text)
		if len(batch) == addDocuments {
			if err := add(); err != nil {
				return added, err
			}
		}
	}
	if readErr != nil {
		return added, readErr
	}
	return added, add()
}

// embedDocuments fills in the vectors of documents.
func embedDocuments(
	ctx context.Context, m Model, docs []mullama.IndexDocument, texts []string,
) error {
	options := &mullama.EmbedOptions{Pooling: "none", Task: "document", Truncate: true}
	i := 0
	for e, err := range m.EmbedStream(ctx, slices.Values(texts), options) {
		if err != nil {
			return err
		}
		if e.Err != nil {
			return fmt.Errorf("document %q: %w", docs[i].ID, e.Err)
		}
		docs[i].Vectors = e.Rows
		i++
	}
	return nil
}

// indexFound is a document that was found, as a line of JSON.
type indexFound struct {
	ID    string  `json:"id"`
	Score float32 `json:"score"`
}

func (a *app) indexSearch(ctx context.Context, o *indexOptions, path, name, query string) error {
	if query == "" {
		return usage("search needs a query, and it is empty")
	}
	return a.withIndexAndModel(ctx, o, path, name,
		func(ctx context.Context, x *mullama.Index, m Model) error {
			rows, err := tokenRows(ctx, m, "query", query)
			if err != nil {
				return err
			}
			found, err := x.Search(ctx, [][][]float32{rows}, o.top,
				mullama.SearchOptions{Probe: o.probe})
			if err != nil {
				return err
			}
			out := bufio.NewWriter(a.stdout)
			for _, r := range found[0] {
				if !o.json {
					fmt.Fprintf(out, "%.4f  %s\n", r.Score, r.ID)
				} else if err := writeJSONLine(out, indexFound(r)); err != nil {
					return err
				}
			}
			return out.Flush()
		})
}

func (a *app) printIndexInfo(o *indexOptions, i *mullama.IndexInfo) error {
	if o.json {
		return a.printJSON(i)
	}
	model := i.Model
	if model == "" {
		model = "not said"
	}
	fmt.Fprintf(a.stdout, "model      %s\nvectors    %s, %d numbers\ndocuments  %d\n"+
		"tokens     %d\nsize       %d bytes\n", model, i.Vectors, i.Dim, i.Documents, i.Tokens,
		i.Bytes)
	if i.Centroids > 0 {
		fmt.Fprintf(a.stdout, "groups     %d, of %d documents\n", i.Centroids, i.Trained)
	}
	return nil
}
