package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/mullama/mullama"
)

// The shape of the group maxsim: a short passage, and a question.
const (
	maxsimDim         = 128
	maxsimTokens      = 128
	maxsimQueryTokens = 32
)

// unitRows returns n rows of random direction and length 1.
func unitRows(r *rand.Rand, n int) [][]float32 {
	rows := make([][]float32, n)
	for i := range rows {
		row, sum := make([]float32, maxsimDim), 0.0
		for k := range row {
			row[k] = float32(r.NormFloat64())
			sum += float64(row[k]) * float64(row[k])
		}
		for k := range row {
			row[k] /= float32(math.Sqrt(sum))
		}
		rows[i] = row
	}
	return rows
}

// fillIndex adds documents. Their rows are taken from a few thousand, in another order for each, as
// the time does not depend on what the numbers are.
func fillIndex(ctx context.Context, x *mullama.Index, docs int, seed uint64) error {
	const batch = 500
	r := rand.New(rand.NewPCG(seed, 1))
	rows := unitRows(r, 4096)
	for first := 0; first < docs; first += batch {
		some := make([]mullama.IndexDocument, min(batch, docs-first))
		for i := range some {
			some[i].ID = fmt.Sprintf("document %d", first+i)
			for range maxsimTokens {
				some[i].Vectors = append(some[i].Vectors, rows[r.IntN(len(rows))])
			}
		}
		if err := x.Add(ctx, some); err != nil {
			return err
		}
	}
	return nil
}
