package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// showOptions is what the flags of show say.
type showOptions struct {
	json, verbose                           bool
	template, license, parameters, metadata bool
	modelfile, system, plan                 bool
}

// showCommand builds `mullama show`.
func (a *app) showCommand() *cobra.Command {
	o := &showOptions{}
	cmd := &cobra.Command{
		Use:   "show MODEL",
		Short: "Describe a model",
		Long: "Describe a model: a GGUF file, of which only the header is read, or by its\n" +
			"name one of the daemon's store. A file needs neither the daemon nor, but for\n" +
			"--plan, the native library.\n\n" +
			"The flags that name a part print that part and nothing else.",
		Args: onlyFile("a model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.show(cmd.Context(), o, args[0])
		},
	}
	addGroup(cmd, "Parts", func(set *pflag.FlagSet) {
		set.BoolVar(&o.template, "template", false, "the chat template")
		set.BoolVar(&o.license, "license", false, "the licence")
		set.BoolVar(
			&o.parameters,
			"parameters",
			false,
			"the sampling parameters the file recommends",
		)
		set.BoolVar(&o.metadata, "metadata", false, "every key and value of the header")
		set.BoolVar(&o.modelfile, "modelfile", false, "the Modelfile, of a model in the store")
		set.BoolVar(&o.system, "system", false, "the system message, of a model in the store")
		set.BoolVar(&o.plan, "plan", false,
			"the devices on which it would be loaded now, and the memory it would take there")
	})
	addGroup(cmd, "Output", func(set *pflag.FlagSet) {
		set.BoolVarP(&o.verbose, "verbose", "v", false, "add the metadata, with long texts in full")
		set.BoolVar(&o.json, "json", false, "print JSON")
	})
	return cmd
}

// show prints what o asks for about a model.
func (a *app) show(ctx context.Context, o *showOptions, name string) error {
	err := exclusive(
		flagUse{"--template", o.template}, flagUse{"--license", o.license},
		flagUse{"--parameters", o.parameters}, flagUse{"--metadata", o.metadata},
		flagUse{"--modelfile", o.modelfile}, flagUse{"--system", o.system},
		flagUse{"--plan", o.plan}, flagUse{"--json", o.json && !o.plan},
	)
	if err != nil {
		return err
	}
	if o.plan {
		return a.showPlan(ctx, o, name)
	}
	if !isFile(name) {
		return a.showStored(ctx, o, name)
	}
	if o.modelfile || o.system {
		return usage("a file has no Modelfile and no system message").
			withHint("name a model of the store")
	}
	info, err := a.inspect(name)
	if err != nil {
		return err
	}
	return a.showInfo(o, info)
}

// showStored prints what the daemon knows of a model of its store.
func (a *app) showStored(ctx context.Context, o *showOptions, name string) error {
	client, err := a.daemon(ctx)
	if err != nil {
		return err
	}
	shown, err := client.Show(ctx, &api.ShowRequest{Model: name, Verbose: o.verbose})
	if err != nil {
		return daemonError(err)
	}
	switch {
	case o.json:
		return a.printJSON(shown)
	case o.modelfile:
		return a.printPart(shown.Modelfile, "the daemon knows no Modelfile of this model")
	case o.system:
		return a.printPart(shown.System, "this model has no system message")
	case o.parameters && shown.Parameters != "":
		return a.printPart(shown.Parameters, "")
	}
	info := mullama.DaemonInfo(shown)
	if o.template || o.license || o.parameters || o.metadata {
		return a.showInfo(o, info)
	}
	d := description{info: info, size: shown.Details.ParameterSize, requires: shown.Requires,
		parameters: parameterRows(shown.Parameters), system: shown.System}
	d.print(a.stdout, o.verbose)
	return nil
}

// parameterRows are the lines of parameters in the form of Modelfiles.
func parameterRows(text string) [][2]string {
	var rows [][2]string
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		rows = append(rows, [2]string{name, strings.TrimSpace(value)})
	}
	return rows
}

// showInfo prints what o asks for of info.
func (a *app) showInfo(o *showOptions, info *mullama.Info) error {
	switch {
	case o.json:
		shown := *info
		if !o.verbose {
			shown.Metadata = nil
		}
		return a.printJSON(shown)
	case o.template:
		return a.printPart(info.Template, "this model has no chat template")
	case o.license:
		return a.printPart(info.License, "the file does not say its licence")
	case o.parameters:
		return a.printPart(recommended(info), "the file recommends no sampling parameters")
	case o.metadata:
		printMetadata(a.stdout, info.Metadata, "", o.verbose)
		return nil
	}
	printInfo(a.stdout, info, o.verbose)
	return nil
}

// printPart prints text alone. When the file has no such part, only stderr says so.
func (a *app) printPart(text, none string) error {
	if text == "" {
		a.note(none)
		return nil
	}
	if a.stdoutIsTerminal {
		text = printable(text)
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// description is what is printed of a model. All but info is of models of the store.
type description struct {
	info           *mullama.Info
	size, requires string
	parameters     [][2]string
	system         string
}

// printInfo prints a description of a file.
func printInfo(w io.Writer, info *mullama.Info, verbose bool) {
	d := description{info: info, size: shortCount(info.Parameters),
		parameters: recommendedRows(info)}
	d.print(w, verbose)
}

// print prints a description in sections, with the names that Ollama gives them.
func (d *description) print(w io.Writer, verbose bool) {
	fmt.Fprintln(w, "Model")
	printRows(w, d.rows())
	if len(d.info.Capabilities) > 0 {
		fmt.Fprintln(w, "\nCapabilities")
		for _, capability := range d.info.Capabilities {
			fmt.Fprintf(w, "  %s\n", printable(capability))
		}
	}
	if late := d.info.LateInteraction; late != nil {
		fmt.Fprintln(w, "\nLate interaction")
		printRows(w, lateRows(d.info.Dimensions(), late))
	}
	if len(d.parameters) > 0 {
		fmt.Fprintln(w, "\nParameters")
		printRows(w, d.parameters)
	}
	if d.info.Template != "" {
		fmt.Fprintln(w, "\nChat template")
		fmt.Fprintf(w, "  %d characters\n", len([]rune(d.info.Template)))
	}
	if d.system != "" {
		fmt.Fprintln(w, "\nSystem")
		printLines(w, d.system, "--system")
	}
	if d.info.License != "" {
		fmt.Fprintln(w, "\nLicense")
		printLines(w, d.info.License, "--license")
	}
	if verbose {
		fmt.Fprintln(w, "\nMetadata")
		printMetadata(w, d.info.Metadata, "  ", true)
	}
}

// printRows prints names and values in two columns, indented.
func printRows(w io.Writer, rows [][2]string) {
	columns := table(w)
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(columns, "  %s\t%s\n", row[0], oneLine(row[1]))
		}
	}
	columns.end()
}

// rows are those of the first section. Values that nobody tells are empty.
func (d *description) rows() [][2]string {
	info := d.info
	return [][2]string{
		{"name", info.Name},
		{"architecture", info.Architecture},
		{"parameters", d.size},
		{"quantization", info.Quantization},
		{"file size", shortBytes(info.SizeBytes)},
		{"context length", positive(info.ContextLength)},
		{"embedding length", positive(info.EmbeddingLength)},
		{"layers", positive(info.Layers)},
		{"attention heads", heads(info)},
		{"vocabulary", positive(info.Vocab)},
		{"requires", d.requires},
	}
}

// lateRows are those of a model for late interaction.
func lateRows(dimensions int, late *mullama.LateInteraction) [][2]string {
	token := func(id int) string {
		if id < 0 {
			return "none"
		}
		return fmt.Sprintf("token %d", id)
	}
	expansion := "none"
	if late.Expansion >= 0 {
		expansion = token(late.Expansion) + ", which the others do not look at"
		if late.AttendToExpansion {
			expansion = token(late.Expansion) + ", which the others look at"
		}
	}
	return [][2]string{
		{"numbers of a vector", positive(dimensions)},
		{"query length", positive(late.QueryLength)},
		{"query marker", token(late.QueryMarker)},
		{"query expansion", expansion},
		{"document length", positive(late.DocumentLength)},
		{"document marker", token(late.DocumentMarker)},
		{"tokens left out", positive(len(late.Skip))},
	}
}

// heads writes the number of attention heads, with that of the key/value heads when it differs.
func heads(info *mullama.Info) string {
	if info.KVHeads > 0 && info.KVHeads != info.Heads {
		return fmt.Sprintf("%d, %d for keys and values", info.Heads, info.KVHeads)
	}
	return positive(info.Heads)
}

// printLines prints the first lines of a text, which may be pages. A flag prints all.
func printLines(w io.Writer, text, flag string) {
	const most = 3
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	for _, line := range lines[:min(len(lines), most)] {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(printable(line)))
	}
	if len(lines) > most {
		fmt.Fprintf(w, "  ... %d more lines, printed by %s\n", len(lines)-most, flag)
	}
}
