package llama_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// Where logits stay on the device, only lists of them are looked at. That must lead to the tokens
// that the whole rows lead to, for any samplers, while sequences come and go. The device is the CPU
// here; its operations are those of GPUs.
func TestDeviceLogitsLeadToTheSameTokens(t *testing.T) {
	for _, unified := range []bool{true, false} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("unified %v, seed %d", unified, seed), func(t *testing.T) {
				p := smallContext(t)
				p.Sequences, p.UnifiedSequences, p.Threads = 5, unified, 2
				p.Ctx, p.Batch, p.UBatch = 5*256, 256, 64
				compareContexts(t, smol(t), p, rand.New(rand.NewPCG(seed, 1)), 40)
			})
		}
	}
}

// speaker is a sequence that generates in two contexts at once.
type speaker struct {
	samplers [2]*llama.Sampler
	next     []llama.Token // to be decoded: a prompt, or the last token
	position int32
	left     int // tokens until it ends
	logprobs int
}

// compareContexts runs the same random conversations in a context whose logits stay on the device
// and in one whose logits do not.
func compareContexts(t *testing.T, m *llama.Model, p llama.ContextParams, rng *rand.Rand,
	steps int) {
	t.Helper()
	var contexts [2]*llama.Context
	for i := range contexts {
		p.DeviceLogits = i
		contexts[i] = newContext(t, m, p)
		if contexts[i].Limits().DeviceLogits != (i == 1) {
			t.Fatalf("context %d has DeviceLogits %v", i, i == 0)
		}
	}
	speakers := make([]*speaker, p.Sequences)
	for step := range steps {
		for seq := range speakers {
			if speakers[seq] == nil && rng.IntN(3) == 0 {
				speakers[seq] = newSpeaker(t, m, rng)
			}
		}
		results, active := stepBoth(t, contexts, speakers)
		for row, seq := range active {
			if !reflect.DeepEqual(results[0].Rows[row], results[1].Rows[row]) {
				t.Fatalf("step %d, sequence %d: %+v with whole rows, %+v with lists", step, seq,
					results[0].Rows[row], results[1].Rows[row])
			}
			s := speakers[seq]
			s.next = []llama.Token{results[0].Rows[row].Token}
			if s.left--; s.left == 0 {
				speakers[seq] = nil
				for _, c := range contexts {
					c.Remove(int32(seq), 0, -1)
				}
			}
		}
	}
}

func newSpeaker(t *testing.T, m *llama.Model, rng *rand.Rand) *speaker {
	p := randomSampling(t, rng, m)
	if rng.IntN(2) == 0 { // what most requests ask for
		p = library(t).DefaultSamplerParams()
		p.Seed = rng.Uint32() >> 1
		p.RepeatPenalty = oneOf[float32](rng, 1, 1.1, 1.5)
	}
	s := &speaker{left: 1 + rng.IntN(30), logprobs: oneOf(rng, -1, -1, -1, 0, 3)}
	for i := range s.samplers {
		s.samplers[i] = newSampler(t, m, p)
	}
	for range 1 + rng.IntN(100) {
		s.next = append(s.next, llama.Token(rng.IntN(m.Info().Vocab)))
	}
	return s
}

// stepBoth runs a step of all speakers in both contexts and returns whose rows those of the results
// are.
func stepBoth(t *testing.T, contexts [2]*llama.Context, speakers []*speaker) (
	results [2]llama.StepResult, active []int) {
	t.Helper()
	for i, c := range contexts {
		c.Begin()
		active = active[:0]
		room := c.Limits().Batch
		for seq, s := range speakers {
			if s == nil || len(s.next) > room {
				continue
			}
			room -= len(s.next)
			last := 0
			for n, token := range s.next {
				last = c.Add(token, s.position+int32(n), int32(seq))
			}
			c.Sample(last, s.samplers[i], s.logprobs)
			active = append(active, seq)
		}
		if len(active) == 0 {
			return results, nil
		}
		result, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		result.Rows = slices.Clone(result.Rows)
		results[i] = result
	}
	for _, seq := range active {
		speakers[seq].position += int32(len(speakers[seq].next))
	}
	return results, active
}

func TestDeviceLogitsRefuseTwoRowsOfASequence(t *testing.T) {
	m := smol(t)
	p := smallContext(t)
	p.DeviceLogits = 1
	p.Sequences = 2
	c := newContext(t, m, p)
	s := newSampler(t, m, greedy(t))
	c.Begin()
	for i := range int32(2) {
		c.Sample(c.Add(70, i, 0), s, -1)
	}
	_, err := c.Step()
	wantError(t, err, llama.ErrInvalid)
	generate(t, c, s, 0, []llama.Token{70}, 2)
}

// A vocabulary that is small leaves nothing to gain.
func TestDeviceLogitsNeedALargeVocabulary(t *testing.T) {
	p := smallContext(t)
	p.DeviceLogits = 1
	if c := newContext(t, tiny(t), p); c.Limits().DeviceLogits {
		t.Error("a tiny vocabulary's logits stay on the device")
	}
}
