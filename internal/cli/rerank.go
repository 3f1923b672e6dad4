package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// rerankOptions is what the flags of rerank and score say.
type rerankOptions struct {
	score       bool // by late interaction
	load        loadFlags
	query       string
	field       string
	top         int
	raw         bool
	json        bool
	instruction string
	// Most tokens, for late interaction.
	queryLength, documentLength int
}

const rerankLong = `Print documents by how well they answer a query, the best first, each after its
score: those given after the model, or the lines of stdin.

A model with a head that ranks scores them. Any other that chats is asked about each document, and
the score is the probability of its yes beside that of its no.`

// rerankCommand builds `mullama rerank`.
func (a *app) rerankCommand() *cobra.Command {
	o := &rerankOptions{}
	cmd := &cobra.Command{
		Use:   "rerank MODEL --query TEXT [DOCUMENT...]",
		Short: "Print documents by how well they answer a query",
		Long:  rerankLong,
		Example: `  mullama rerank model.gguf --query "What is a llama?" "A camelid." "A car."
  mullama rerank model.gguf --query "What is a llama?" --top 3 < passages.txt`,
	}
	return a.ranking(cmd, o, func(set *pflag.FlagSet) {
		set.BoolVar(&o.raw, "raw", false, "leave scores as the head computes them")
		set.StringVar(&o.instruction, "instruction", "",
			"what a model that is asked is told, a `TEXT`")
	})
}

// ranking gives cmd what rerank and score have in common, and the flags that are its own.
func (a *app) ranking(cmd *cobra.Command, o *rerankOptions, own func(*pflag.FlagSet),
) *cobra.Command {
	cmd.Args = fileAnd("a model")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.rerank(cmd.Context(), o, args[0], args[1:])
	}
	addGroup(cmd, "Ranking", func(set *pflag.FlagSet) {
		set.StringVar(&o.query, "query", "", "the query, a `TEXT`")
		set.Var(countFlag(&o.top), "top", "print only so many (default: all)")
		own(set)
		set.StringVar(&o.field, "field", "", "read JSON lines and take the text from this `NAME`")
		set.BoolVar(&o.json, "json", false, "print one JSON object per document")
	})
	addGroup(cmd, "Loading", o.load.define)
	return cmd
}

const scoreLong = `Print documents by late interaction with a query, as ColBERT does, the best
first, each after its score: those given after the model, or the lines of stdin.

The score is the sum, over the tokens of the query, of the largest cosine with a token of the
document. Use a model that was trained for it; texts are read as it declares.`

// scoreCommand builds `mullama score`.
func (a *app) scoreCommand() *cobra.Command {
	o := &rerankOptions{score: true}
	cmd := &cobra.Command{
		Use:   "score MODEL --query TEXT [DOCUMENT...]",
		Short: "Print documents by late interaction with a query",
		Long:  scoreLong,
		Example: `  mullama score colbert.gguf --query "What is a llama?" "A camelid." "A car."
  mullama score colbert.gguf --query "What is a llama?" --top 3 < passages.txt`,
	}
	return a.ranking(cmd, o, func(set *pflag.FlagSet) {
		set.Var(countFlag(&o.queryLength), "query-length",
			"most tokens of the query, for a model that declares them (default: the model's)")
		set.Var(countFlag(&o.documentLength), "document-length",
			"most tokens of a document, for a model that declares them (default: the model's)")
	})
}

// rank asks the model in the way of the command.
func (o *rerankOptions) rank(ctx context.Context, model Model, documents []string,
) (*mullama.RerankResult, error) {
	if o.score {
		return model.Score(ctx, &mullama.ScoreRequest{
			Query: o.query, Documents: documents,
			QueryLength: o.queryLength, DocumentLength: o.documentLength,
		})
	}
	return model.Rerank(ctx, &mullama.RerankRequest{
		Query: o.query, Documents: documents, Raw: o.raw, Instruction: o.instruction,
	})
}

// name is that of the command.
func (o *rerankOptions) name() string {
	if o.score {
		return "score"
	}
	return "rerank"
}

// rankedLine is a document as a line of JSON.
type rankedLine struct {
	Index    int     `json:"index"`
	Score    float64 `json:"score"`
	Document string  `json:"document"`
}

func (a *app) rerank(ctx context.Context, o *rerankOptions, name string, args []string) error {
	if o.query == "" {
		return usage("%s needs a query", o.name()).withHint("give it with --query")
	}
	if err := o.load.resolve(); err != nil {
		return err
	}
	o.load.options.Slots = mullama.DefaultSlots
	documents, err := a.documents(o, args)
	if err != nil {
		return err
	}
	return a.withModel(ctx, name, o.load.options, func(model Model, _ time.Duration) error {
		ctx, stop := a.interruptible(ctx)
		defer stop()
		result, err := o.rank(ctx, model, documents)
		if err != nil {
			return err
		}
		if err := result.Err(); err != nil {
			return err
		}
		best := result.Best()
		if o.top > 0 {
			best = best[:min(len(best), o.top)]
		}
		for _, i := range best {
			score := result.Scores[i].Score
			if !o.json {
				fmt.Fprintf(a.stdout, "%.4f  %s\n", score, documents[i])
				continue
			}
			line := rankedLine{Index: i, Score: score, Document: documents[i]}
			if err := writeJSONLine(a.stdout, line); err != nil {
				return err
			}
		}
		return nil
	})
}

// documents are the arguments, or the lines of stdin.
func (a *app) documents(o *rerankOptions, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	if a.stdinIsTerminal {
		return nil, usage("%s needs documents", o.name()).
			withHint("give them after the model or through stdin")
	}
	var documents []string
	var err error
	bar := a.newProgressBar("reading")
	defer bar.finish()
	for text := range a.lineTexts(o.field, bar, &err) {
		if text != "" {
			documents = append(documents, text)
		}
	}
	if err == nil && len(documents) == 0 {
		err = usage("stdin has no documents")
	}
	return documents, err
}
