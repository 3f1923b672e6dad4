package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// runOptions is what the flags of run say.
type runOptions struct {
	settings *settings
	load     loadFlags
	shape    shapeFlags
	ollama   ollamaFlags
	thinking thinking
	system   string
	raw      bool
	special  bool
	json     bool
	verbose  bool
	insecure bool
	logprobs int // -1: not asked for
}

const runLong = `Answer a prompt with a model: a GGUF file, or the name of one in the store.

A file is run by this program, a model of the store by the daemon, which is started if none runs.
A model that is not in the store is pulled.

The prompt is the arguments after the model. When stdin is not a terminal it is read too and follows
them after an empty line. Without a prompt, on a terminal, a chat starts; /? inside it lists its
commands. One line end at the end of stdin does not count as part of the prompt.

The prompt is put into the model's own chat template. With --raw, or when the model has no chat
template, it is continued as it stands.

What a model thinks is printed before its answer. What no flag says about sampling is, for a model
of the store, as its Modelfile has it.`

const runExample = `  mullama run model.gguf "What is the capital of France?"
  mullama run model.gguf "Summarise this:" < notes.txt
  mullama run model.gguf --json-schema person.json --temperature 0 "Invent a person."`

// runCommand builds `mullama run`.
func (a *app) runCommand() *cobra.Command {
	o := &runOptions{settings: defaultSettings(), logprobs: -1}
	cmd := &cobra.Command{
		Use:     "run MODEL [PROMPT...]",
		Short:   "Answer a prompt, or chat",
		Long:    runLong,
		Example: runExample,
		Args:    fileAnd("a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd.Context(), o, args[0], args[1:])
		},
	}
	addGroup(cmd, "Answer", func(set *pflag.FlagSet) {
		set.StringVar(&o.system, "system", "", "system message `TEXT`")
		set.BoolVar(
			&o.raw,
			"raw",
			false,
			"continue the prompt as it stands, without the chat template",
		)
		set.BoolVar(&o.special, "special", false,
			"with --raw: text such as <|im_end|> in the prompt is the control token of that name")
		o.shape.define(set)
		o.thinking.define(set)
	})
	addGroup(cmd, "Output", func(set *pflag.FlagSet) {
		set.BoolVar(&o.verbose, "verbose", false, "print timings to stderr")
		set.BoolVar(
			&o.json,
			"json",
			false,
			"print one JSON object per chunk and a last one with timings",
		)
		set.Var(logprobsFlag(&o.logprobs), "logprobs",
			"add log probabilities with this many alternatives each (with --json)")
	})
	addGroup(cmd, "Sampling", func(set *pflag.FlagSet) { defineParameters(set, o.settings) })
	addGroup(cmd, "Loading", o.load.defineAll)
	o.ollama.define(cmd)
	defineInsecure(cmd, &o.insecure)
	return cmd
}

// fileAnd returns a check for commands whose first argument names a file.
func fileAnd(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "" {
			return usage("%s needs %s", cmd.Name(), what).withHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// onlyFile returns a check for commands that take one file and nothing else.
func onlyFile(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := fileAnd(what)(cmd, args); err != nil {
			return err
		}
		if len(args) > 1 {
			return usage(
				"%s takes one file, not %d",
				cmd.Name(),
				len(args),
			).withHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// run answers one prompt or starts a chat.
func (a *app) run(ctx context.Context, o *runOptions, path string, args []string) error {
	if err := o.resolve(); err != nil {
		return err
	}
	prompt, chatting, err := a.prompt(args)
	if err != nil {
		return err
	}
	if chatting && o.json {
		return usage("--json needs a prompt").withHint("give it after the model or through stdin")
	}
	found := false
	answer := func(model Model, loading time.Duration) error {
		found = true
		if o.verbose {
			a.notePlan(model)
		}
		if embedsOnly(model) && !chatting {
			return a.printEmbedding(ctx, model, prompt, o.ollama.embedding())
		}
		talk, err := a.newTalk(model, o)
		if err != nil {
			return err
		}
		if chatting {
			return a.chat(ctx, talk)
		}
		return a.answerOnce(ctx, talk, prompt, loading)
	}
	if strings.HasPrefix(path, hubPrefix) {
		if path, err = a.hubModel(ctx, path, o.insecure); err != nil {
			return err
		}
	}
	err = a.withModel(ctx, path, o.load.options, answer)
	if !found && !isFile(path) && errors.Is(err, mullama.ErrNotFound) {
		if path, err = a.pull(ctx, path, &transferFlags{insecure: o.insecure}); err != nil {
			return err
		}
		err = a.withModel(ctx, path, o.load.options, answer)
	}
	if err != nil {
		return err
	}
	return a.keep(ctx, path, o.ollama.keepAlive)
}

// resolve checks the flags against each other and reads the files they name.
func (o *runOptions) resolve() error {
	if err := o.settings.validate(); err != nil {
		return err
	}
	if err := o.load.resolve(); err != nil {
		return err
	}
	if o.raw && o.system != "" {
		return usage("--raw and --system contradict each other: a raw prompt has no system message")
	}
	if o.raw && o.thinking.on != nil && *o.thinking.on {
		return usage("--raw and --think contradict each other: a raw prompt has no place to say it")
	}
	if o.special && !o.raw {
		return usage("--special needs --raw: the chat template alone decides on control tokens")
	}
	if o.logprobs >= 0 && !o.json {
		return usage("--logprobs is printed as JSON only; add --json")
	}
	if err := validText("the system message", o.system); err != nil {
		return err
	}
	return o.shape.resolve()
}

// prompt puts the prompt together from the arguments and stdin. Without either it reports that a
// chat is wanted.
func (a *app) prompt(args []string) (prompt string, chatting bool, err error) {
	prompt = strings.Join(args, " ")
	if a.stdinIsTerminal {
		if len(args) == 0 && a.stdoutIsTerminal {
			return "", true, nil
		}
	} else {
		piped, err := io.ReadAll(a.stdin)
		if err != nil {
			return "", false, &failure{code: exitFailed, message: "read stdin: " + err.Error()}
		}
		prompt = joinPrompt(prompt, trimLineEnd(string(piped)))
	}
	if strings.TrimSpace(prompt) == "" {
		return "", false, usage("the prompt is empty").
			withHint("give it after the model or through stdin; without one, a terminal gets a " +
				"chat")
	}
	return prompt, false, validText("the prompt", prompt)
}

// joinPrompt puts an empty line between what was given as arguments and what came through stdin.
func joinPrompt(argument, piped string) string {
	if argument == "" || piped == "" {
		return argument + piped
	}
	return argument + "\n\n" + piped
}

// trimLineEnd takes one line end off the end of text.
func trimLineEnd(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// answerOnce prints the answer to one prompt.
func (a *app) answerOnce(
	ctx context.Context,
	talk *talk,
	prompt string,
	loading time.Duration,
) error {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	var printer answerPrinter = &textPrinter{app: a, hideThoughts: talk.thinking.hidden}
	if talk.json {
		printer = &jsonPrinter{app: a, logprobs: talk.topLogprobs >= 0, loading: loading}
	}
	last, err := talk.answer(ctx, prompt, printer)
	if err != nil {
		return err
	}
	if talk.verbose {
		a.printTimings(last.Stats, loading)
	}
	if last.FinishReason == mullama.FinishCancelled || ctx.Err() != nil {
		return context.Canceled
	}
	return nil
}
