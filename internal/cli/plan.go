package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// showPlan prints where a model would be loaded now: a file by this program, a model of the store
// by the daemon.
func (a *app) showPlan(ctx context.Context, o *showOptions, name string) error {
	plan, err := a.planOf(ctx, name)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(plan)
	}
	printPlan(a.stdout, plan, "")
	return nil
}

func (a *app) planOf(ctx context.Context, name string) (*mullama.Plan, error) {
	if isFile(name) {
		engine, err := a.openEngine()
		if err != nil {
			return nil, err
		}
		defer engine.Close()
		return engine.Plan(name, &mullama.LoadOptions{Slots: 1})
	}
	client, err := a.daemon(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := client.Show(ctx, &api.ShowRequest{Model: name, Plan: true})
	if err != nil {
		return nil, daemonError(err)
	}
	if shown.Plan == nil {
		return nil, usage("this daemon does not tell where it would load a model").
			withHint("it is of another version, or not Mullama's")
	}
	return shown.Plan, nil
}

// printPlan prints where a model is, with its lines indented.
func printPlan(w io.Writer, p *mullama.Plan, indent string) {
	rows := table(w)
	fmt.Fprintf(rows, "%sDEVICE\tWEIGHTS\tCACHE\tBUFFERS\tFREE\tOF\n", indent)
	for _, d := range p.Devices {
		fmt.Fprintf(rows, "%s%s\t%s\t%s\t%s\t%s\t%s\n", indent, oneLine(d.Name), memory(d.Weights),
			memory(d.Cache), memory(d.Compute), memory(d.Free), memory(d.Total))
	}
	rows.end()
	rows = table(w)
	for _, row := range planRows(p) {
		fmt.Fprintf(rows, "%s%s\t%s\n", indent, row[0], oneLine(row[1]))
	}
	rows.end()
	for _, note := range p.Notes {
		fmt.Fprintf(w, "%snote: %s\n", indent, oneLine(note))
	}
}

func planRows(p *mullama.Plan) [][2]string {
	rows := [][2]string{
		{"layers on GPUs", fmt.Sprintf("%d of %d", p.GPULayers, p.Layers)},
	}
	if p.CPUExperts > 0 {
		rows = append(rows, [2]string{"experts in RAM", fmt.Sprintf("of %d layers", p.CPUExperts)})
	}
	return append(rows, [][2]string{
		{"context", fmt.Sprintf("%d tokens, %d requests at once", p.ContextSize, p.Slots)},
		{"KV cache", fmt.Sprintf("%d cells, keys %s, values %s", p.CacheTokens, p.KVTypeK,
			p.KVTypeV)},
		{"prompt tokens at once", positive(p.UBatchSize)},
		{"split mode", p.SplitMode},
		{"flash attention", p.FlashAttn},
	}...)
}

// memory writes a number of bytes, or a dash where there are none.
func memory(n uint64) string { return orNone(shortBytes(int64(n)), "-") }

// notePlan says on stderr where a model is.
func (a *app) notePlan(model Model) {
	if plan := model.Plan(); plan != nil {
		a.note(plan.String())
	}
}
