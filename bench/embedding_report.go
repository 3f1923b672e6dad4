package bench

import (
	"fmt"
	"slices"
	"strings"
)

// embeddingTitles are how the table names the sides, in its order.
var embeddingTitles = []struct{ side, title string }{
	{aloneName, "llama.cpp alone"}, {libraryName, "Mullama in process"},
	{daemonName, "Mullama over HTTP"}, {"llama-server", "llama-server"}, {"ollama", "Ollama"},
	{"onnxruntime-f32", "ONNX Runtime, f32"}, {"onnxruntime-int8", "ONNX Runtime, int8"},
	{"fastembed-f32", "FastEmbed, f32"}, {"fastembed-int8", "FastEmbed, int8"},
	{"sentence-transformers", "sentence-transformers, f32"},
}

// embeddingTable writes a line for each work, with the texts per second of each side, and what they
// are of llama.cpp alone.
func embeddingTable(b *strings.Builder, r *Result) {
	rows := map[string]Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	cases := casesOf(r.Points)
	head, rule := "| texts per second |", "|---|"
	var sides []string
	for _, t := range embeddingTitles {
		measured := func(name string) bool { return strings.HasPrefix(name, t.side+": ") }
		if slices.ContainsFunc(cases, measured) {
			sides = append(sides, t.side)
			head, rule = head+" "+t.title+" |", rule+"--:|"
		}
	}
	fmt.Fprintf(b, "%s\n%s\n", head, rule)
	for _, c := range cases {
		side, work, _ := strings.Cut(c, ": ")
		if side != aloneName {
			continue
		}
		fmt.Fprintf(b, "| %s |", work)
		for _, side := range sides {
			row, ok := rows[slug(side+": "+work)+"_texts"]
			switch {
			case !ok:
				b.WriteString(" – |")
			case row.Ratio == nil:
				fmt.Fprintf(b, " %s |", number(row.Value))
			default:
				fmt.Fprintf(b, " %s (%.2f) |", number(row.Value), *row.Ratio)
			}
		}
		b.WriteByte('\n')
	}
}
