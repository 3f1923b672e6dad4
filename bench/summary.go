package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Between these bounds of a ratio, two sides are level: so much differs from run to run.
const (
	levelLow  = 0.97
	levelHigh = 1.03
)

// standing is one comparison of the summary: how many times as good we are as another.
type standing struct {
	what, where, other string
	times              float64
	interval           string // at 95 % confidence, or ""
	unsure             bool   // the interval has 1 in it
}

// bounded adds the interval.
func (s standing) bounded(low, high float64) standing {
	s.interval = fmt.Sprintf("%.2f to %.2f", low, high)
	s.unsure = low <= 1 && 1 <= high
	return s
}

// of is a comparison by the samples of both sides, of which a larger one is better.
func (s standing) of(ours, theirs []float64) standing {
	s.times = median(ours) / median(theirs)
	if low, high, ok := roundBounds(ours, theirs); ok {
		return s.bounded(low, high)
	}
	return s
}

func (s standing) verdict() string {
	switch {
	case s.unsure:
		return "level"
	case s.times >= levelHigh:
		return "ahead"
	case s.times > levelLow:
		return "level"
	}
	return "behind"
}

// summary says where we are ahead, level and behind, and which goals are missed.
func summary(results []*Result) string {
	var b strings.Builder
	all := standings(results)
	if len(all) > 0 {
		counts := map[string]int{}
		for _, s := range all {
			counts[s.verdict()]++
		}
		fmt.Fprintf(&b, "## Where Mullama stands\n\nOf %d comparisons, each in one run, it is "+
			"ahead in %d, level in %d and behind in %d. A number is how many times as fast "+
			"Mullama is; from %.2f to %.2f counts as level, for runs differ by as much. The "+
			"column of 95 %% has bounds of that number, by resampling the rounds of the run, "+
			"where it had three or more; where they have 1 between them, it counts as level, "+
			"too.\n\n", len(all), counts["ahead"], counts["level"], counts["behind"], levelLow,
			levelHigh)
		rivals(all).write(&b)
		b.WriteString("Each of them:\n\n")
		slices.SortStableFunc(all, func(a, b standing) int { return cmp.Compare(b.times, a.times) })
		g := grid{head: []string{"what", "on", "beside", "times", "95 %", ""}}
		for _, s := range all {
			g.add(s.what, s.where, s.other, fmt.Sprintf("%.2f", s.times), s.interval, s.verdict())
		}
		g.write(&b)
	}
	b.WriteString(missedGoals(results))
	return b.String()
}

// rivals has a line for each that Mullama was compared with: how often it is ahead and behind, and
// the comparisons in which it does worst and best.
func rivals(all []standing) *grid {
	g := &grid{head: []string{"beside", "ahead", "level", "behind", "times, least", "middle",
		"most", "least at"}}
	var names []string
	by := map[string][]standing{}
	for _, s := range all {
		if len(by[s.other]) == 0 {
			names = append(names, s.other)
		}
		by[s.other] = append(by[s.other], s)
	}
	middle := func(name string) float64 {
		var times []float64
		for _, s := range by[name] {
			times = append(times, s.times)
		}
		return median(times)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(middle(b), middle(a)) })
	for _, name := range names {
		counts := map[string]int{}
		most := 0.0
		for _, s := range by[name] {
			counts[s.verdict()]++
			most = max(most, s.times)
		}
		worst := slices.MinFunc(by[name], func(a, b standing) int {
			return cmp.Compare(a.times, b.times)
		})
		g.add(name, fmt.Sprint(counts["ahead"]), fmt.Sprint(counts["level"]),
			fmt.Sprint(counts["behind"]), fmt.Sprintf("%.2f", worst.times),
			fmt.Sprintf("%.2f", middle(name)), fmt.Sprintf("%.2f", most),
			worst.what+", "+worst.where)
	}
	return g
}

// standings are all comparisons, in the order of the groups.
func standings(results []*Result) []standing {
	var all []standing
	for _, r := range results {
		switch r.Group {
		case "throughput":
			all = append(all, throughputStandings(r)...)
		case "streams":
			all = append(all, streamsStandings(r)...)
		case "batch":
			all = append(all, batchStandings(r)...)
		case "embedding":
			all = append(all, embeddingStandings(r)...)
		case "maxsim":
			all = append(all, maxsimStandings(r)...)
		case "overhead":
			all = append(all, overheadStandings(r)...)
		case "draft":
			all = append(all, draftStandings(r)...)
		case "offload", "multi-gpu":
			all = append(all, pointStandings(r)...)
		}
	}
	return all
}

func throughputStandings(r *Result) []standing {
	var all []standing
	for _, row := range r.Rows {
		what, times := "", 0.0
		if row.Ratio != nil {
			times = *row.Ratio
		}
		low, high := row.RatioLow, row.RatioHigh
		switch {
		case strings.HasPrefix(row.Name, "tg"):
			what = "generation"
		case strings.HasPrefix(row.Name, "pp"):
			what = "prompts"
		case row.Name == "cold_first_token_s":
			what, times = "first token of a fresh process", 1/times
			low, high = inverse(high), inverse(low)
		}
		if what == "" || row.Ratio == nil {
			continue
		}
		s := standing{what: what + ", " + r.Model.File, where: where(r), other: "llama.cpp alone",
			times: times}
		if low != nil && high != nil {
			s = s.bounded(*low, *high)
		}
		all = append(all, s)
	}
	return all
}

func inverse(v *float64) *float64 {
	if v == nil {
		return nil
	}
	return new(1 / *v)
}

// withWorst adds to some comparisons of a run those of the others in which each rival does best, so
// that choosing hides none.
func withWorst(chosen, others []standing) []standing {
	slices.SortStableFunc(others, func(a, b standing) int { return cmp.Compare(a.times, b.times) })
	seen := map[string]bool{}
	for _, s := range others {
		if !seen[s.other] {
			chosen = append(chosen, s)
		}
		seen[s.other] = true
	}
	return chosen
}

// streamsStandings are the daemon beside llama.cpp alone and the servers, with the fewest and the
// most requests at once, and with as many in between as are worst for it.
func streamsStandings(r *Result) []standing {
	var all, others []standing
	widths := widthsOf(r.Waves)
	for i, width := range widths {
		of := wavesOf(width, r.Waves)
		ours := waveSpeeds(of["ours"])
		for _, s := range sideTitles {
			theirs := waveSpeeds(of[s.side])
			if s.side == "ours" || s.side == "library" || len(ours) == 0 || len(theirs) == 0 ||
				s.side == "baseline" && len(of["unsampled"]) > 0 {
				continue
			}
			what := fmt.Sprintf("%d requests at once over HTTP, %s", width, r.Model.File)
			if width == 1 {
				what = "a request over HTTP, " + r.Model.File
			}
			if word := lastWord(r.name); word != "" {
				what += ", " + word
			}
			s := standing{what: what, where: where(r), other: s.name}.of(ours, theirs)
			if i == 0 || i == len(widths)-1 {
				all = append(all, s)
			} else {
				others = append(others, s)
			}
		}
	}
	return withWorst(all, others)
}

// lastWord is what a result's name says of how it was measured.
func lastWord(name string) string {
	for _, word := range []string{"sampled", "split", "unified"} {
		if strings.HasSuffix(name, "-"+word) {
			return word
		}
	}
	return ""
}

func batchStandings(r *Result) []standing {
	cases := batchCases(r)
	if len(cases) == 0 {
		return nil
	}
	prompts, most := representative(cases), 0
	for _, c := range cases {
		most = max(most, c.threads)
	}
	var all []standing
	for _, c := range cases {
		if c.prompts != prompts || c.threads != most || c.row.Ratio == nil {
			continue
		}
		what := fmt.Sprintf("%d prompts, %d slots, %s", prompts, c.slots, r.Model.File)
		if c.slots == 0 {
			what = fmt.Sprintf("%d prompts, one by one, %s", prompts, r.Model.File)
		}
		if most != r.Machine.Cores {
			what += fmt.Sprintf(", threads: %d", most)
		}
		all = append(all, standing{what: what, where: where(r), other: "llama.cpp alone"}.of(
			c.row.Samples, c.row.BaselineSamples))
	}
	return all
}

// embeddingStandings are the daemon beside every other side: texts of 64 tokens, and the work that
// is worst for it.
func embeddingStandings(r *Result) []standing {
	rows := rowMap(r)
	var all, others []standing
	for _, name := range casesOf(r.Points) {
		side, work, _ := strings.Cut(name, ": ")
		ours, ok := rows[slug(daemonName+": "+work)+"_texts"]
		if !ok || side == daemonName || side == libraryName {
			continue
		}
		title := side
		for _, t := range embeddingTitles {
			if t.side == side {
				title = t.title
			}
		}
		s := standing{what: "embeddings over HTTP, " + work + ", " + r.Model.File,
			where: where(r), other: title}.of(ours.Samples, rows[slug(name)+"_texts"].Samples)
		if strings.HasPrefix(work, "64 tokens, ") {
			all = append(all, s)
		} else {
			others = append(others, s)
		}
	}
	return withWorst(all, others)
}

// maxsimStandings are searches beside the others, with the most threads and documents.
func maxsimStandings(r *Result) []standing {
	rows := rowMap(r)
	var all []standing
	for _, name := range casesOf(r.Points) {
		kind, rest, _ := strings.Cut(name, ", ")
		if on := strings.Index(kind, onDevice); on >= 0 {
			all = append(all, deviceStandings(r, rows, name, kind[:on])...)
			continue
		}
		peer, found := strings.CutSuffix(kind, " f32")
		ours, ok := rows[slug("f32, "+rest)+"_search_ms"]
		if !found || !ok || !strings.HasSuffix(rest, fmt.Sprintf(" %d threads", r.Config.Threads)) {
			continue
		}
		all = append(all, standing{what: "search, " + rest, where: where(r), other: peer}.of(
			rows[slug(name)+"_search_ms"].Samples, ours.Samples))
	}
	return all
}

// deviceStandings are searches on a device beside those of a peer there, or none.
func deviceStandings(r *Result, rows map[string]Row, name, who string) []standing {
	peer, found := strings.CutSuffix(who, " f16")
	ours, ok := rows[slug(strings.TrimPrefix(name, peer+" "))+"_search_ms"]
	if !found || !ok {
		return nil
	}
	return []standing{standing{what: "search, " + strings.TrimPrefix(name, peer+" "),
		where: where(r), other: peer}.of(rows[slug(name)+"_search_ms"].Samples, ours.Samples)}
}

// overheadStandings are calls in the library beside the same over HTTP.
func overheadStandings(r *Result) []standing {
	rows := rowMap(r)
	http, ok := rows["http_tokenize_p50"]
	if !ok {
		return nil
	}
	var all []standing
	for _, side := range overheadSides[1:] {
		if row, ok := rows[side+"_tokenize_p50"]; ok && side != "http" {
			all = append(all, standing{what: "a call from " + sideNames[side], where: where(r),
				other: "the same over HTTP"}.of(http.Samples, row.Samples))
		}
	}
	return all
}

// pointStandings are generation and prompts beside llama.cpp alone in the last case, and in the one
// that is worst for us.
func pointStandings(r *Result) []standing {
	cases := casesOf(r.Points)
	rows := rowMap(r)
	var all []standing
	for _, q := range []struct{ key, what string }{{"tg", "generation"}, {"pp", "prompts"}} {
		var last, others []standing
		for i, name := range cases {
			row := rows[slug(name)+"_"+q.key]
			if row.Ratio == nil {
				continue
			}
			s := standing{what: q.what + ", " + name + ", " + r.Model.File, where: where(r),
				other: "llama.cpp alone"}.of(row.Samples, row.BaselineSamples)
			if i == len(cases)-1 {
				last = append(last, s)
			} else {
				others = append(others, s)
			}
		}
		all = append(all, withWorst(last, others)...)
	}
	return all
}

// missedGoals counts the goals, and names those that are missed.
func missedGoals(results []*Result) string {
	goals := 0
	var missed []string
	for _, r := range results {
		var rows []string
		for _, row := range r.Rows {
			if row.Met == nil {
				continue
			}
			goals++
			if !*row.Met {
				rows = append(rows, fmt.Sprintf("`%s` %s (%s)", row.Name, judged(row), row.Goal))
			}
		}
		if len(rows) > 0 {
			missed = append(missed, fmt.Sprintf("- %s, %s, %s: %s.", r.Group, r.Model.File,
				where(r), strings.Join(rows, ", ")))
		}
	}
	if goals == 0 {
		return ""
	}
	if len(missed) == 0 {
		return fmt.Sprintf("All %d goals are met.\n\n", goals)
	}
	return fmt.Sprintf("Of %d goals these are missed:\n\n%s\n\n", goals,
		strings.Join(missed, "\n"))
}
