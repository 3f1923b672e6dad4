package mullama

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/store"
)

// drafts adds the draft model, in place of one that the other model has.
func (b *builder) drafts() error {
	if len(b.o.Drafts) == 0 {
		return nil
	}
	if n := len(b.o.Drafts); n > 1 {
		return invalid(b.op, fmt.Sprintf("there are %d draft models; a model has one", n))
	}
	model, err := b.draft.Path(b.layers[b.modelLayer()].Digest)
	if err != nil {
		return err
	}
	b.remove(store.TypeDraft)
	for _, name := range slices.Sorted(maps.Keys(b.o.Drafts)) {
		path, err := b.s.BlobPath(b.o.Drafts[name])
		if err != nil {
			return invalid(b.op, err.Error())
		}
		if strings.HasSuffix(strings.ToLower(name), ".safetensors") {
			return unsupported(b.op, name+" is in safetensors; a draft model has to be in GGUF")
		}
		info, _, err := inspect(path)
		if err != nil {
			return b.withoutPath(name, path, err)
		}
		if why, err := notDraft(model, path); err != nil || why != "" {
			return cmp.Or(err, invalid(b.op, fmt.Sprintf("draft %s: %s", name, why)))
		}
		b.config.Draft = &store.DraftConfig{ModelFormat: "gguf", Architecture: info.Architecture}
		if err := b.addFile(b.o.Drafts[name], store.TypeDraft, info.SizeBytes); err != nil {
			return err
		}
	}
	return nil
}

// Of the first tokens, the control tokens, models of one family may have others. llama.cpp lets
// vocabularies differ as much, and in so many tokens at the end.
const (
	draftFirstToken  = 5
	draftMoreTokens  = 128
	vocabularyTokens = "tokenizer.ggml.tokens"
)

// notDraft says why the model in one file cannot draft for the one in another: "" if it can.
func notDraft(model, draft string) (string, error) {
	var files [2]*gguf.File
	var tokens [2][]string
	for i, path := range []string{model, draft} {
		f, err := gguf.Open(path)
		if err != nil {
			return "", wrap("read "+path, withoutPath(err, path))
		}
		files[i] = f
		tokens[i], _ = f.Strings(vocabularyTokens) // none: refused below
	}
	if reason := notImportable(files[1]); reason != "" {
		return reason, nil
	}
	ours, theirs := len(tokens[0]), len(tokens[1])
	if theirs == 0 {
		return fmt.Sprintf("it is of architecture %s and has no vocabulary; only whole models can "+
			"draft", files[1].Architecture()), nil
	}
	const kind = "tokenizer.ggml.model"
	if a, b := files[0].String(kind), files[1].String(kind); a != b {
		return fmt.Sprintf("its vocabulary is of the kind %q, and that of the model %q", b, a), nil
	}
	if ours-theirs > draftMoreTokens || theirs-ours > draftMoreTokens {
		return fmt.Sprintf("its vocabulary has %d tokens, and that of the model %d", theirs,
			ours), nil
	}
	for i := draftFirstToken; i < min(ours, theirs); i++ {
		if tokens[0][i] != tokens[1][i] {
			return fmt.Sprintf("its token %d is %q, and that of the model %q", i, tokens[1][i],
				tokens[0][i]), nil
		}
	}
	return "", nil
}
