package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// chartsOf returns the charts of a result: none for groups that tables show well enough.
func chartsOf(r *Result) []chart {
	var all []chart
	switch r.Group {
	case "overhead":
		all = overheadCharts(r)
	case "offload":
		all = offloadCharts(r)
	case "batch":
		all = batchCharts(r)
	case "streams":
		all = streamsCharts(r)
	case "streaming":
		all = streamingCharts(r)
	case "load":
		all = loadCharts(r)
	case "maxsim":
		all = maxsimCharts(r)
	}
	return slices.DeleteFunc(all, func(c chart) bool {
		c.lines = slices.DeleteFunc(c.lines, func(s series) bool { return len(s.xs) == 0 })
		return len(c.lines) == 0
	})
}

// rowMap has the rows of a result by their names.
func rowMap(r *Result) map[string]Row {
	rows := map[string]Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	return rows
}

func overheadCharts(r *Result) []chart {
	rows := rowMap(r)
	c := chart{name: r.name, title: "What a call costs: " + r.Model.File,
		y: "microseconds, log scale", logY: true}
	lines := []series{{name: "a call that does nothing, p50"},
		{name: "tokens of a short text, p50"}, {name: "tokens of a short text, p99"}}
	for _, side := range overheadSides {
		at := float64(len(c.names))
		for i, quantity := range []string{"noop_p50", "tokenize_p50", "tokenize_p99"} {
			if row, ok := rows[side+"_"+quantity]; ok {
				lines[i].add(at, row.Value)
			}
		}
		name := sideNames[side]
		switch side {
		case "floor":
			name = "native engine"
		case "http":
			name = "HTTP"
		}
		c.names = append(c.names, name)
	}
	c.lines = lines
	return []chart{c}
}

func offloadCharts(r *Result) []chart {
	rows := rowMap(r)
	ours, alone := series{name: "Mullama"}, series{name: "llama.cpp alone", dashed: true}
	last := 0.0
	for _, name := range casesOf(r.Points) {
		var n float64
		if _, err := fmt.Sscanf(name, "layers %f", &n); err != nil {
			n = last + 1 // all
		}
		row, ok := rows[slug(name)+"_tg"]
		if !ok {
			continue
		}
		ours.add(n, row.Value)
		if row.Baseline != nil {
			alone.add(n, *row.Baseline)
		}
		last = n
	}
	if len(ours.xs) < 2 {
		return nil
	}
	return []chart{{name: r.name, title: "Generation by layers on the GPU: " + r.Model.File,
		x: "layers on the GPU; the last point has all", y: "tokens/s",
		lines: []series{ours, alone}}}
}

// batchCase is what the name of a case of the group batch says.
type batchCase struct {
	prompts, slots, threads int // slots 0: one by one
	row                     Row // tokens/s
	seconds                 float64
}

func batchCases(r *Result) []batchCase {
	rows := rowMap(r)
	var all []batchCase
	for _, name := range casesOf(r.Points) {
		var c batchCase
		if _, err := fmt.Sscanf(strings.ReplaceAll(name, "one by one", "0 slots"),
			"prompts %d, %d slots, %d threads", &c.prompts, &c.slots, &c.threads); err != nil {
			continue
		}
		c.row, c.seconds = rows[slug(name)+"_tokens_s"], rows[slug(name)+"_seconds"].Value
		all = append(all, c)
	}
	return all
}

// batchCharts are speeds by slots beside llama.cpp alone, and how much faster more threads are.
func batchCharts(r *Result) []chart {
	cases := batchCases(r)
	if len(cases) == 0 {
		return nil
	}
	threads := slices.MaxFunc(cases, func(a, b batchCase) int {
		return cmp.Compare(a.threads, b.threads)
	}).threads
	prompts := representative(cases)
	ours, alone := series{name: "Mullama"}, series{name: "llama.cpp alone", dashed: true}
	single, eight := series{name: "one by one"}, series{name: "8 at once"}
	ideal := series{name: "ideal", dashed: true}
	first := map[int]float64{}
	for _, c := range cases {
		if c.prompts != prompts {
			continue
		}
		if c.threads == threads && c.slots > 0 {
			ours.add(float64(c.slots), c.row.Value)
			alone.add(float64(c.slots), *c.row.Baseline)
		}
		if c.slots != 0 && c.slots != batchSlots {
			continue
		}
		if c.threads == 1 {
			first[c.slots] = c.row.Value
		}
		line := &single
		if c.slots > 0 {
			line = &eight
		} else {
			ideal.add(float64(c.threads), float64(c.threads))
		}
		if base := first[c.slots]; base > 0 {
			line.add(float64(c.threads), c.row.Value/base)
		}
	}
	var charts []chart
	if len(ours.xs) > 1 {
		charts = append(charts, chart{name: r.name, lines: []series{ours, alone}, logX: true,
			title: fmt.Sprintf("%d prompts by slots: %s", prompts, r.Model.File),
			x:     "slots", y: "generated, tokens/s"})
	}
	if len(ideal.xs) < 2 {
		return charts
	}
	return append(charts, chart{name: r.name + "-threads", lines: []series{single, eight, ideal},
		title: fmt.Sprintf("%d prompts by threads: %s", prompts, r.Model.File), logX: true,
		x: "threads", y: "times as fast as with one"})
}

// representative is the number of prompts that a chart shows: the seed's 100, or the most.
func representative(cases []batchCase) int {
	most := 0
	for _, c := range cases {
		if c.prompts == 100 {
			return 100
		}
		most = max(most, c.prompts)
	}
	return most
}

// streamsCharts are tokens per second and the first token's time by requests at once.
func streamsCharts(r *Result) []chart {
	widths := widthsOf(r.Waves)
	if len(widths) < 2 {
		return nil
	}
	speed := chart{name: r.name, title: "Requests at once: " + r.Model.File, logX: true,
		x: "requests at once", y: "tokens/s"}
	first := chart{name: r.name + "-first-token", title: "First token: " + r.Model.File,
		logX: true, logY: true, x: "requests at once", y: "p50, ms, log scale"}
	for _, s := range sideTitles {
		speeds, times := series{name: s.name, dashed: isAlone(s.side)}, series{name: s.name}
		for _, width := range widths {
			waves := wavesOf(width, r.Waves)[s.side]
			if len(waves) == 0 {
				continue
			}
			speeds.add(float64(width), median(waveSpeeds(waves)))
			var ms []float64
			for _, w := range waves {
				if w.Load != nil {
					ms = append(ms, w.Load.FirstToken.P50)
				}
			}
			if len(ms) > 0 {
				times.add(float64(width), median(ms))
			}
		}
		if len(speeds.xs) > 0 {
			speed.lines = append(speed.lines, speeds)
		}
		if len(times.xs) > 0 {
			first.lines = append(first.lines, times)
		}
	}
	return []chart{speed, first}
}

// streamingCharts are the distributions of the gaps between tokens.
func streamingCharts(r *Result) []chart {
	c := chart{name: r.name, title: "Gaps between tokens: " + r.Model.File,
		x: "share of the gaps, %", y: "ms, log scale", logY: true}
	for _, way := range streamingWays {
		s := series{name: way.title}
		for percent := range 101 {
			if v := percentile(r.Calls, way.name, "gap", percent); len(v) > 0 && median(v) > 0 {
				s.add(float64(percent), median(v)/1e3)
			}
		}
		if len(s.xs) > 0 {
			c.lines = append(c.lines, s)
		}
	}
	return []chart{c}
}

// loadCharts are the distributions of the times of a daemon under load.
func loadCharts(r *Result) []chart {
	c := chart{name: r.name, title: "Times under load: " + r.Model.File,
		x: "share of the times, %", y: "ms, log scale", logY: true}
	rows := rowMap(r)
	for _, q := range []struct{ row, title string }{
		{"ttft", "first token"}, {"gap", "gap between tokens"}, {"answer", "whole answer"},
	} {
		s := series{name: q.title}
		sorted := slices.Sorted(slices.Values(rows[q.row].Samples))
		for percent := range 101 {
			if v := quantile(sorted, float64(percent)/100); v > 0 {
				s.add(float64(percent), v)
			}
		}
		if len(s.xs) > 0 {
			c.lines = append(c.lines, s)
		}
	}
	return []chart{c}
}

// maxsimCharts are the times of searches beside the machine's limits, with the most threads.
func maxsimCharts(r *Result) []chart {
	rows := rowMap(r)
	c := chart{name: r.name, title: "Late interaction, and the limit of the machine (dashed)",
		x: "documents", y: "ms for a search, log scale", logX: true, logY: true}
	lines := map[string]*series{}
	var order []string
	for _, name := range casesOf(r.Points) {
		kind, rest, _ := strings.Cut(name, ", ")
		var docs, threads float64
		_, err := fmt.Sscanf(rest, "%f documents, %f threads", &docs, &threads)
		if err != nil || int(threads) != r.Config.Threads {
			continue
		}
		for _, quantity := range []string{"search_ms", "limit_ms"} {
			row, ok := rows[slug(name)+"_"+quantity]
			if !ok {
				continue
			}
			title := strings.TrimSuffix(kind, " f32")
			if quantity == "limit_ms" {
				title = "limit for " + title
			}
			if lines[title] == nil {
				lines[title] = &series{name: title, dashed: quantity == "limit_ms",
					paired: quantity == "limit_ms"}
				order = append(order, title)
			}
			lines[title].add(docs, row.Value)
		}
	}
	for _, title := range order {
		c.lines = append(c.lines, *lines[title])
	}
	if len(c.lines) == 0 || len(c.lines[0].xs) < 2 {
		return nil
	}
	return []chart{c}
}
