package cli

import (
	"context"
	"strings"

	"github.com/mullama/mullama/api"
)

// hubPrefix begins the names of GGUF files of a hub, which have another name in the store.
const hubPrefix = "hf:"

// hubModel returns the name in the store of a model of a hub, which is pulled if it is not there.
func (a *app) hubModel(ctx context.Context, name string, insecure bool) (string, error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return "", err
	}
	all, err := client.List(ctx)
	if err != nil {
		return "", daemonError(err)
	}
	if stored, ok := storedHubModel(all.Models, name); ok {
		return stored, nil
	}
	return a.pull(ctx, name, &transferFlags{insecure: insecure})
}

// storedHubModel finds the only model of the store that hf:USER/REPOSITORY[:FILE][@REVISION] can
// mean. Its tag is the end of the file's name, and that of the revision.
func storedHubModel(models []api.ListedModel, name string) (string, bool) {
	rest := strings.TrimPrefix(name, hubPrefix)
	rest, revision, _ := strings.Cut(rest, "@")
	repository, file, _ := strings.Cut(rest, ":")
	file = strings.TrimSuffix(strings.ToLower(file), ".gguf")
	var found []string
	for _, m := range models {
		tag, ok := cutPrefixFold(m.Name, "hf.co/"+repository+":")
		if ok && revision != "" && revision != "main" {
			tag, ok = strings.CutSuffix(tag, "-"+revision)
		}
		if ok && (file == "" || strings.HasSuffix(file, strings.ToLower(tag))) {
			found = append(found, m.Name)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// cutPrefixFold is [strings.CutPrefix] in any case.
func cutPrefixFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}
