package store

import (
	"fmt"
	"path/filepath"
	"strings"
)

// What a name means that leaves parts out.
const (
	DefaultHost      = "registry.ollama.ai"
	DefaultNamespace = "library"
	DefaultTag       = "latest"
)

// Name is the full name of a model. Its parts are checked by [ParseName].
type Name struct {
	Host, Namespace, Model, Tag string
	// Scheme is "http" or whatever else stood before "://". It is no part of the model's place in
	// the store.
	Scheme string
}

// ParseName reads [[host/]namespace/]model[:tag], with an optional scheme before the host, and puts
// in the parts that are left out. "hf.co/user/repo:Q4_K_M" is a name like any other.
func ParseName(text string) (Name, error) {
	n := Name{Host: DefaultHost, Namespace: DefaultNamespace, Tag: DefaultTag}
	rest := text
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, n.Tag = rest[:colon], rest[colon+1:]
	}
	cut := func(into *string) bool { // the last part; the first one is what is left
		slash := strings.LastIndexByte(rest, '/')
		*into, rest = rest[slash+1:], rest[:max(slash, 0)]
		return slash >= 0
	}
	if cut(&n.Model) && cut(&n.Namespace) {
		n.Host = rest
		if scheme, host, ok := strings.Cut(rest, "://"); ok {
			n.Scheme, n.Host = scheme, host
		}
	}
	if reason := n.problem(); reason != "" {
		return Name{}, &storeError{kind: ErrName,
			message: fmt.Sprintf("name %q is invalid: %s", shortened(text), reason)}
	}
	return n, nil
}

// shortened is a text that anybody may have sent, for a message.
func shortened(text string) string {
	const enough = 100
	if runes := []rune(text[:min(len(text), 4*enough)]); len(runes) > enough {
		return string(runes[:enough]) + "…"
	}
	return text
}

// parts lists what makes up the place in the store.
func (n Name) parts() [4]string { return [4]string{n.Host, n.Namespace, n.Model, n.Tag} }

// problem says what is wrong with a name, or "".
func (n Name) problem() string {
	kinds := [...]string{"host", "namespace", "model", "tag"}
	longest := [...]int{350, 80, 80, 80}
	further := [...]string{"-.:", "-", "-.", "-."} // besides letters, digits and underscores
	for i, part := range n.parts() {
		switch {
		case part == "":
			return "its " + kinds[i] + " is empty"
		case len(part) > longest[i]:
			return fmt.Sprintf("its %s is longer than %d bytes", kinds[i], longest[i])
		case !isWord(part[0]):
			return "its " + kinds[i] + " must begin with a letter, a digit or an underscore"
		}
		for j := range len(part) {
			if !isWord(part[j]) && strings.IndexByte(further[i], part[j]) < 0 {
				return fmt.Sprintf("its %s may have letters, digits, and any of %s_", kinds[i],
					further[i])
			}
		}
	}
	return ""
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// String is the name in full: "registry.ollama.ai/library/smollm2:latest".
func (n Name) String() string {
	return n.Host + "/" + n.Namespace + "/" + n.Model + ":" + n.Tag
}

// Short is the name without a default host and namespace, and always with the tag, as Ollama lists
// it: "smollm2:latest".
func (n Name) Short() string {
	short := n.Model + ":" + n.Tag
	switch {
	case !strings.EqualFold(n.Host, DefaultHost):
		return n.Host + "/" + n.Namespace + "/" + short
	case !strings.EqualFold(n.Namespace, DefaultNamespace):
		return n.Namespace + "/" + short
	}
	return short
}

// Same reports whether two names are the same model, in whatever case.
func (n Name) Same(o Name) bool {
	for i, part := range n.parts() {
		if !strings.EqualFold(part, o.parts()[i]) {
			return false
		}
	}
	return true
}

// file is the place of the manifest under the manifests folder.
func (n Name) file() string {
	return filepath.Join(n.Host, n.Namespace, n.Model, n.Tag)
}
