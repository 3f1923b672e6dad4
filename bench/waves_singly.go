package bench

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// runSingly has one side after the other load the model, compute the waves of a round, and leave.
// The daemon is the first, as its answers say what the others are to be asked; after the first
// round the order is drawn.
func (m *waves) runSingly(ctx context.Context) ([]Wave, error) {
	names := []string{"ours", "baseline"}
	if m.o.inProcess {
		names = append(names, "library")
	}
	names = slices.AppendSeq(names, maps.Keys(m.o.peers))
	slices.Sort(names[2:])
	var all []Wave
	for round := 1; round <= m.o.Rounds; round++ {
		whole := len(all)
		for _, name := range names {
			some, err := m.singleTurn(ctx, name, round)
			if timeIsUp(ctx) && whole > 0 {
				return all[:whole], nil
			}
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		m.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	return all, nil
}

// singleTurn starts one side, has it compute the waves of a round, and stops it.
func (m *waves) singleTurn(ctx context.Context, name string, round int) (all []Wave, err error) {
	s := &waves{o: m.o, only: name, special: m.special, random: m.random, say: m.say}
	s.o.inProcess = name == "library"
	s.o.peers = maps.Clone(m.o.peers)
	maps.DeleteFunc(s.o.peers, func(peer, _ string) bool { return peer != name })
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	m.special = s.special
	if name == "baseline" {
		m.engine = s.engine
	}
	for _, width := range s.o.widths {
		for _, side := range s.sides() {
			w, err := s.wave(ctx, side, round, width)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
	}
	return all, nil
}
