package maxsim

import (
	"context"
	"slices"

	"github.com/mullama/mullama/internal/llama"
)

// searchGroups scores the documents alone that share groups with the tokens of a query.
func (s *snapshot) searchGroups(ctx context.Context, queries [][]float32, k int,
	o SearchOptions) ([][]Result, error) {
	if o.Candidates == 0 {
		o.Candidates = max(1024, 10*k)
	}
	tops := make([]top, len(queries))
	for i, query := range queries {
		docs, err := s.candidates(query, o)
		if err != nil {
			return nil, err
		}
		q, err := pack(s.index.lib, llama.QueriesParams{Kind: s.index.kind, Dim: s.index.dim,
			Kernel: s.index.options.Kernel}, [][]float32{query})
		if err != nil {
			return nil, err
		}
		best, err := s.score(ctx, q, these(docs), k)
		q.Close()
		if err != nil {
			return nil, err
		}
		tops[i] = best[0]
	}
	return s.results(tops)
}

// candidates returns the documents that are likely to be among the best, in ascending order. A
// token of the query finds the groups that are nearest to it, and each of their documents is taken
// to have a token in the middle of the nearest group that it is in. A document that is in none of
// them has something worse than all of these for that token.
func (s *snapshot) candidates(query []float32, o SearchOptions) ([]uint64, error) {
	c := s.grouped
	probes, err := s.probes(query, min(o.Probe+1, int(c.n)))
	if err != nil {
		return nil, err
	}
	scores := make([]float32, c.docs)
	seen := make([]int32, c.docs) // one more than the last token that met the document
	for token, groups := range probes {
		rest := groups[len(groups)-1].score
		for _, group := range groups[:min(o.Probe, len(groups))] {
			list, err := c.list(int(group.doc))
			if err != nil {
				return nil, err
			}
			for ; len(list) > 0; list = list[4:] {
				doc := le.Uint32(list)
				if uint64(doc) >= c.docs {
					return nil, damaged(c.path, "its lists of documents are damaged")
				}
				if seen[doc] != int32(token)+1 {
					seen[doc] = int32(token) + 1
					scores[doc] += group.score - rest
				}
			}
		}
	}
	best := top{k: o.Candidates}
	for doc, score := range scores {
		if seen[doc] != 0 {
			best.add(hit{uint64(doc), score})
		}
	}
	docs := make([]uint64, 0, len(best.hits)+int(s.docs-c.docs))
	for _, h := range best.hits {
		docs = append(docs, h.doc)
	}
	slices.Sort(docs)
	for doc := c.docs; doc < s.docs; doc++ {
		docs = append(docs, doc)
	}
	return docs, nil
}

// probes returns the n nearest groups of each token of a query, nearest first.
func (s *snapshot) probes(query []float32, n int) ([][]hit, error) {
	middles, err := s.grouped.vectors()
	if err != nil {
		return nil, err
	}
	dim := s.index.dim
	q, err := pack(s.index.lib, llama.QueriesParams{Dim: dim, Kernel: s.index.options.Kernel},
		[][]float32{query})
	if err != nil {
		return nil, err
	}
	defer q.Close()
	dots := make([]float32, len(middles)/dim*q.Lanes())
	if err := q.Dots(middles, dots); err != nil {
		return nil, err
	}
	nearest := make([]top, len(query)/dim)
	for i := range nearest {
		nearest[i].k = n
	}
	for group := range len(middles) / dim {
		row := dots[group*q.Lanes():]
		for i := range nearest {
			nearest[i].add(hit{uint64(group), row[i]})
		}
	}
	all := make([][]hit, len(nearest))
	for i := range nearest {
		all[i] = nearest[i].sorted()
	}
	return all, nil
}
