package mullama

// EngineStats describe what a model is doing, as of the last border between steps. Counts are since
// it was loaded.
type EngineStats struct {
	Slots, Active, Waiting int
	CellsUsed, Cells       int // of the KV cache, by running requests, and in all
	CellsIdle              int // hold prefixes of finished requests
	Steps                  int // of generating, and batches of embeddings
	DecodedTokens          int // of prompts and answers, that went through the model
	SampledTokens          int
	CachedTokens           int // of prompts, that needed no compute

	Drafted, DraftsAccepted int  // tokens that a draft model guessed, and those it guessed right
	DraftsPaused            bool // guessing was found to make it slower
}

// EngineStats returns what the model is doing; nothing for a vocabulary alone, and for a model of a
// daemon, of which [Client.Running] tells.
func (m *Model) EngineStats() EngineStats {
	all := EngineStats{}
	if m.shared.engine != nil {
		s := m.shared.engine.Stats()
		all = EngineStats{
			Slots: s.Slots, Active: s.Active, Waiting: s.Waiting, CellsUsed: s.CellsUsed,
			Cells: s.Cells, Steps: s.Steps, DecodedTokens: s.DecodedTokens,
			SampledTokens: s.SampledTokens, CachedTokens: s.CachedTokens, CellsIdle: s.CellsIdle,
			Drafted: s.Drafted, DraftsAccepted: s.DraftsAccepted, DraftsPaused: s.DraftsPaused,
		}
	}
	if m.shared.embedders != nil {
		batches, tokens := m.shared.embedders.counts()
		all.Steps += batches
		all.DecodedTokens += tokens
	}
	return all
}
