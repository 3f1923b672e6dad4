package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// archive are results to look things up in. A committed result's file is named after its group,
// model and machine, as in streams-qwen2.5-7b-h200.json.
type archive []*Result

// notThere is the cell of what no file tells.
const notThere = "not measured"

// find returns the results of a group whose name contains a word, those with shorter names first:
// what is measured in the usual way has no more to its name.
func (a archive) find(group, word string) archive {
	var found archive
	for _, r := range a {
		if r.Group == group && strings.Contains(r.name, word) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b *Result) int {
		return cmp.Compare(len(a.name), len(b.name))
	})
	return found
}

// on keeps the results of machines with GPUs, or without.
func (a archive) on(gpu bool) archive {
	return slices.DeleteFunc(slices.Clone(a), func(r *Result) bool {
		return (len(r.Machine.GPUs) > 0) != gpu
	})
}

// row returns the first row of a name that any of the results has.
func (a archive) row(name string) *Row {
	for _, r := range a {
		for i := range r.Rows {
			if r.Rows[i].Name == name {
				return &r.Rows[i]
			}
		}
	}
	return nil
}

// value is a row's median; nil without the row.
func (a archive) value(name string) *float64 {
	if row := a.row(name); row != nil {
		return &row.Value
	}
	return nil
}

// decode is the speed of one request of a side after its first token.
func (a archive) decode(side string) *float64 {
	for _, r := range a {
		if v := middle(waveDecodes(wavesOf(1, r.Waves)[side])); v != nil {
			return v
		}
	}
	return nil
}

// text is a number as a cell.
func text(v *float64) string {
	if v == nil {
		return notThere
	}
	return number(*v)
}

// combined applies a function to numbers that may be missing.
func combined(a, b *float64, f func(a, b float64) float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	return new(f(*a, *b))
}

// where names the machine of a result in a few words.
func where(r *Result) string {
	m := r.Machine
	if len(m.GPUs) > 1 {
		return fmt.Sprintf("%d × %s", len(m.GPUs), m.GPUs[0].Description)
	}
	if len(m.GPUs) == 1 {
		return m.GPUs[0].Description
	}
	return fmt.Sprintf("%d cores%s", m.Cores, processor(m.CPU))
}

// processor is a processor's maker and family, after a comma; "" where they are not known.
func processor(model string) string {
	model = strings.NewReplacer("(R)", "", "(TM)", "", "(tm)", "").Replace(model)
	var words []string
	for _, word := range strings.Fields(model) {
		if word == "Processor" || word == "CPU" || word == "@" || strings.HasSuffix(word, "-Core") {
			break
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return ""
	}
	return ", " + strings.Join(words, " ")
}

// places names the machines of results, in their order: of those that have any of the rows, if
// some are given.
func (a archive) places(rows ...string) string {
	var all []string
	for _, r := range a {
		has := func(name string) bool { return archive{r}.row(name) != nil }
		if len(rows) > 0 && !slices.ContainsFunc(rows, has) {
			continue
		}
		if place := where(r); !slices.Contains(all, place) {
			all = append(all, place)
		}
	}
	if len(all) == 0 {
		return "a machine"
	}
	return strings.Join(all, "; ")
}

// grid is a table.
type grid struct {
	title string
	head  []string
	rows  [][]string
	note  string
	exact bool   // its models have random weights in the shapes of those they are named after
	with  string // the sub-command that measures it
	fill  string // what measures the cells that are not, where with does not say it
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// write writes the table as Markdown. Columns after the first are numbers.
func (g *grid) write(b *strings.Builder) {
	if g.title != "" {
		fmt.Fprintf(b, "### %s\n\n", g.title)
	}
	fmt.Fprintf(b, "| %s |\n|---|%s\n", strings.Join(g.head, " | "),
		strings.Repeat("--:|", len(g.head)-1))
	for _, row := range g.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	note := g.note
	if g.exact {
		note = "Synthetic weights, exact shapes. " + note
	}
	if g.with != "" {
		command := "mullama bench " + g.with
		if !strings.HasPrefix(g.with, "maxsim") { // which has no model
			command += " --model FILE"
		}
		missing := slices.ContainsFunc(g.rows, func(cells []string) bool {
			return slices.Contains(cells, notThere)
		})
		switch {
		case !missing:
			note += fmt.Sprintf(" `%s` measures it anew.", command)
		case g.fill == "":
			note += fmt.Sprintf(" `%s` measures it anew, and what is not measured.", command)
		default:
			note += fmt.Sprintf(" `%s` measures it anew. What is not measured: %s", command, g.fill)
		}
	}
	if note != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(note))
	}
	b.WriteByte('\n')
}
