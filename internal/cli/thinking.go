package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
)

// thinking says whether a model thinks before it answers, how much, and whether that is shown.
type thinking struct {
	on     *bool  // nil: as the model has it
	level  string // of effort; "": none is chosen
	hidden bool
}

// thinkLevels are the levels of effort that Ollama knows.
var thinkLevels = []string{"low", "medium", "high", "max"}

func (o *thinking) define(set *pflag.FlagSet) {
	set.VarPF(&value{
		kind: "true|false|LEVEL", get: func() string { return "" }, set: o.choose,
	}, "think", "", "whether a model that can think does before it answers, and how much: "+
		strings.Join(thinkLevels, ", ")).NoOptDefVal = "true"
	set.BoolVar(&o.hidden, "hidethinking", false, "do not print what the model thinks")
}

// choose takes true, false or a level.
func (o *thinking) choose(text string) error {
	on := true
	text = strings.ToLower(text)
	switch {
	case slices.Contains(thinkLevels, text):
		o.on, o.level = &on, text
	case text == "true" || text == "false":
		on = text == "true"
		o.on, o.level = &on, ""
	default:
		return fmt.Errorf("use true, false or one of %s", strings.Join(thinkLevels, ", "))
	}
	return nil
}

// check refuses to have a model think that cannot.
func (o *thinking) check(model *mullama.Info, raw bool) error {
	switch {
	case o.on == nil || !*o.on:
		return nil
	case raw || !slices.Contains(model.Capabilities, "thinking"):
		return &failure{code: exitNotUsable, message: fmt.Sprintf("%q does not support thinking",
			orNone(model.Name, "the model"))}
	}
	return nil
}

// apply sets the options of an answer. A grammar allows nothing but the answer, so there is no
// thought before it.
func (o *thinking) apply(opts *mullama.ChatOptions, model *mullama.Info) {
	if !slices.Contains(model.Capabilities, "thinking") {
		return
	}
	opts.Thinking, opts.ThoughtsApart = o.on, true
	if opts.Grammar+opts.JSONSchema != "" {
		off := false
		opts.Thinking = &off
	}
	if o.level != "" {
		opts.TemplateValues = map[string]any{"reasoning_effort": o.level}
	}
}

// setThinking is /set think and /set nothink.
func (c *chatting) setThinking(what, level string) error {
	next := c.talk.thinking
	if what == "nothink" {
		level = "false"
	}
	if err := next.choose(orNone(level, "true")); err != nil {
		return usage("/set think: %s", err)
	}
	if err := next.check(c.talk.model.Info(), c.talk.raw); err != nil {
		return err
	}
	c.talk.thinking = next
	state := map[bool]string{true: orNone(next.level, "on"), false: "off"}
	c.say("Thinking is %s.", state[*next.on])
	return nil
}
