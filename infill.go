package mullama

// FillInMiddle returns the prompt that has the model write what stands between prefix and suffix.
// Special tokens in the two are text. Errors: ErrUnsupported where the vocabulary has no tokens for
// this, and over a daemon;
// ErrClosed.
func (m *Model) FillInMiddle(prefix, suffix string) ([]Token, error) {
	const op = "fill in the middle"
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if m.remote != nil {
		return nil, unsupported(op, "a daemon does not tell these tokens")
	}
	info := m.shared.weights.Info()
	if info.FIMPrefix < 0 || info.FIMSuffix < 0 || info.FIMMiddle < 0 {
		return nil, unsupported(op, "the model's vocabulary has no tokens for it")
	}
	before, err := m.shared.weights.Tokenize(prefix, false, false)
	if err != nil {
		return nil, wrap(op, err)
	}
	after, err := m.shared.weights.Tokenize(suffix, false, false)
	if err != nil {
		return nil, wrap(op, err)
	}
	var prompt []Token
	if info.AddBOS && info.BOS >= 0 {
		prompt = append(prompt, info.BOS)
	}
	prompt = append(append(prompt, info.FIMPrefix), before...)
	prompt = append(append(prompt, info.FIMSuffix), after...)
	return append(prompt, info.FIMMiddle), nil
}
