package llama_test

import (
	"fmt"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// TestDraftedRows checks a step of drafts against tokens that were sampled one by one: a sampler
// with a memory and with draws picks the same ones, and none after a draft that is wrong.
func TestDraftedRows(t *testing.T) {
	m := tiny(t)
	p := smallContext(t)
	p.Sequences = 2
	random := greedy(t)
	random.Temperature, random.Seed = 1, 5
	random.RepeatPenalty, random.RepeatLastN = 1.2, 32
	for name, params := range map[string]llama.SamplerParams{
		"greedy": greedy(t), "random": random,
	} {
		for wrong := range 5 {
			t.Run(fmt.Sprintf("%s/%d", name, wrong), func(t *testing.T) {
				c := newContext(t, m, p)
				prompt := tokenize(t, m, "one or two of them")
				alone, drafting := newSampler(t, m, params), newSampler(t, m, params)
				other := newSampler(t, m, params)
				want := generate(t, c, alone, 0, prompt, 6)
				c.Remove(0, 0, -1)

				prefill(t, c, drafting, 0, 0, prompt)
				c.Begin()
				c.Sample(c.Add(prompt[0], 0, 1), other, -1) // another sequence in the same step
				at := int32(len(prompt))
				for i, token := range want[:5] {
					if i == wrong && i > 0 {
						token++
					}
					c.Sample(c.Add(token, at+int32(i), 0), drafting, 2)
				}
				result, err := c.Step()
				if err != nil {
					t.Fatal(err)
				}
				for i, row := range result.Rows[1:] {
					skipped := wrong > 0 && i >= wrong
					if row.Skipped != skipped || row.Err != nil ||
						!skipped && (row.Token != want[i+1] || len(row.Top) != 2) {
						t.Errorf("row %d: %+v, want token %d, or none: %v", i, row, want[i+1],
							skipped)
					}
				}
			})
		}
	}
}

func TestADeviceKeepsOneRowOfASequence(t *testing.T) {
	m := smol(t)
	p := smallContext(t)
	p.DeviceLogits, p.Sequences = 1, 2
	c := newContext(t, m, p)
	if l := c.Limits(); !l.DeviceLogits || l.Rows != 0 {
		t.Errorf("limits %+v", l)
	}
	s := newSampler(t, m, greedy(t))
	c.Begin()
	c.Sample(c.Add(70, 0, 0), s, -1)
	c.Sample(c.Add(71, 1, 0), s, -1)
	_, err := c.Step()
	wantError(t, err, llama.ErrInvalid, "more than one row of a sequence")
}
