package cli

import (
	"fmt"
	"slices"
	"strings"
)

// chatCommand is one slash command of a chat.
type chatCommand struct {
	name string
	args string // as shown in the help
	help string
	run  func(c *chatting, rest string) error
}

// chatCommands lists the slash commands in the order of the help. It is a function because the
// help is one of them.
func chatCommands() []chatCommand {
	return []chatCommand{
		{"/set", "parameter NAME VALUE", "change how answers are sampled", (*chatting).set},
		{"/set", "system TEXT", "change the system message", (*chatting).set},
		{"/set", "verbose|quiet", "print timings after each answer, or not", (*chatting).set},
		{"/set", "think [LEVEL]|nothink", "have the model think before it answers, or not",
			(*chatting).set},
		{
			"/show",
			"[info|parameters|system|template]",
			"show the model or the settings",
			(*chatting).show,
		},
		{"/clear", "", "forget what was said", (*chatting).clear},
		{"/bye", "", "leave (also Ctrl-D)", (*chatting).bye},
		{"/?", "", "this help", (*chatting).help},
		{"/help", "", "", (*chatting).help},
		{"/exit", "", "", (*chatting).bye},
		{"/quit", "", "", (*chatting).bye},
	}
}

// command runs a line that starts with a slash.
func (c *chatting) command(line string) error {
	name, rest := cutWord(line)
	for _, command := range chatCommands() {
		if command.name == name {
			return command.run(c, rest)
		}
	}
	return usage("there is no command %s", name).
		withHint("/? lists the commands; \"\"\" around a message sends it as it is")
}

func (c *chatting) bye(string) error { return errLeave }

func (c *chatting) clear(string) error {
	c.talk.messages = nil
	c.say("The chat starts anew.")
	return nil
}

// help lists the commands that have a description.
func (c *chatting) help(string) error {
	rows := table(c.app.stdout)
	for _, command := range chatCommands() {
		if command.help != "" {
			fmt.Fprintf(
				rows,
				"%s\t%s\n",
				strings.TrimSpace(command.name+" "+command.args),
				command.help,
			)
		}
	}
	rows.end()
	c.say("\n%s starts a message of several lines, and ends it.", tripleQuote)
	c.say("Ctrl-C stops an answer. Up and down recall earlier lines, Ctrl-R searches them.")
	return nil
}

// set changes a setting of the chat.
func (c *chatting) set(rest string) error {
	what, rest := cutWord(rest)
	switch what {
	case "parameter":
		return c.setParameter(rest)
	case "system":
		return c.setSystem(rest)
	case "think", "nothink":
		return c.setThinking(what, rest)
	case "verbose", "quiet":
		c.talk.verbose = what == "verbose"
		c.say(
			"Timings are %s.",
			map[bool]string{true: "printed", false: "not printed"}[c.talk.verbose],
		)
		return nil
	}
	return usage("/set wants parameter, system, think, nothink, verbose or quiet").
		withHint("/? lists the commands")
}

// setParameter changes one row of the parameter table.
func (c *chatting) setParameter(rest string) error {
	name, rest := cutWord(rest)
	if name == "" {
		return usage("/set parameter wants a name and a value").withHint("%s", parameterNames())
	}
	p, found := findParameter(name)
	if !found {
		return unknownParameter(name)
	}
	values, err := p.split(rest)
	if err != nil {
		return usage("%s: %s", p.name, err)
	}
	if len(values) == 0 {
		return usage("/set parameter %s wants a value", p.name)
	}
	if err := c.talk.settings.change(p, values); err != nil {
		return usage("%s: %s", p.name, err).withHint("%s", hint(err))
	}
	c.say("%s is %s.", p.name, p.get(c.talk.settings))
	return nil
}

// unknownParameter says what is wrong with a name, and why those of loading do not work here.
func unknownParameter(name string) error {
	switch strings.ReplaceAll(name, "-", "_") {
	case "num_ctx",
		"ctx_size",
		"num_batch",
		"batch_size",
		"num_gpu",
		"gpu_layers",
		"num_thread",
		"threads":
		return usage("%s is chosen when the model is loaded", name).
			withHint("leave and start again; 'mullama run --help' lists the flags")
	}
	return usage("there is no parameter %s", name).withHint("%s", parameterNames())
}

// setSystem changes the system message. What was said before stays.
func (c *chatting) setSystem(text string) error {
	if c.talk.raw {
		return usage("there is no chat template, so a system message has no place to go")
	}
	text = unquote(text)
	if err := validText("the system message", text); err != nil {
		return err
	}
	c.talk.system = text
	c.say("The system message is set.")
	return nil
}

// show prints the model or a setting.
func (c *chatting) show(rest string) error {
	switch what, _ := cutWord(rest); what {
	case "", "info":
		printInfo(c.app.stdout, c.talk.model.Info(), false)
	case "parameters":
		c.showParameters()
	case "system":
		own := printable(c.talk.model.Info().StoredSystem)
		c.say("%s", orNone(c.talk.system, orNone(own, "There is no system message.")))
	case "template":
		c.say("%s", printable(orNone(c.talk.model.Info().Template, "There is no chat template.")))
	default:
		return usage("/show wants info, parameters, system or template, not %s", what)
	}
	return nil
}

// showParameters prints what the model has of its own, and what the user chose above that.
func (c *chatting) showParameters() {
	out := c.app.stdout
	fmt.Fprintln(out, "Model defined parameters")
	if rows := parameterRows(c.talk.model.Info().StoredParameters); len(rows) > 0 {
		printRows(out, rows)
	} else {
		fmt.Fprintln(out, "  none; the defaults are in 'mullama run --help'")
	}
	var chosen [][2]string
	for _, p := range parameters {
		if slices.Contains(c.talk.settings.chosen, p.wireName()) {
			chosen = append(chosen, [2]string{p.name, orNone(p.get(c.talk.settings), "-")})
		}
	}
	if len(chosen) > 0 {
		fmt.Fprintln(out, "\nUser defined parameters")
		printRows(out, chosen)
	}
}

// parameterNames lists the rows of the parameter table.
func parameterNames() string {
	names := make([]string, len(parameters))
	for i, p := range parameters {
		names[i] = p.name
	}
	return "the parameters are " + strings.Join(names, ", ")
}

// orNone returns text, or none when it is empty.
func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

// cutWord splits the first word off text.
func cutWord(text string) (word, rest string) {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, " \t\n"); i >= 0 {
		return text[:i], strings.TrimSpace(text[i:])
	}
	return text, ""
}
