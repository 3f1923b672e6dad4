package cli

import (
	"strings"
	"testing"
)

func TestHostsAreReadInAllTheirForms(t *testing.T) {
	for text, want := range map[string]struct {
		address, url string
		local        bool
	}{
		"":                         {"127.0.0.1:11434", "http://127.0.0.1:11434", true},
		"localhost":                {"localhost:11434", "http://localhost:11434", true},
		":8080":                    {"127.0.0.1:8080", "http://127.0.0.1:8080", true},
		"0.0.0.0":                  {"0.0.0.0:11434", "http://127.0.0.1:11434", false},
		"0.0.0.0:8080":             {"0.0.0.0:8080", "http://127.0.0.1:8080", false},
		"::1":                      {"[::1]:11434", "http://[::1]:11434", true},
		"[::1]:80":                 {"[::1]:80", "http://[::1]:80", true},
		"[::]":                     {"[::]:11434", "http://127.0.0.1:11434", false},
		"192.168.1.2":              {"192.168.1.2:11434", "http://192.168.1.2:11434", false},
		"http://example.com":       {"example.com:80", "http://example.com:80", false},
		"https://example.com/llm/": {"example.com:443", "https://example.com:443/llm", false},
		"'127.0.0.1:1'":            {"127.0.0.1:1", "http://127.0.0.1:1", true},
		"unix:/run/mullama.sock":   {"/run/mullama.sock", "unix:///run/mullama.sock", true},
		"unix:///run/mullama.sock": {"/run/mullama.sock", "unix:///run/mullama.sock", true},
	} {
		h, err := parseHost(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if h.address != want.address || h.url.String() != want.url || h.isLocal() != want.local {
			t.Errorf("%q is %q, %q, local %v; want %+v", text, h.address, h.url, h.isLocal(), want)
		}
	}
}

func TestWrongHostsAreNamed(t *testing.T) {
	for text, says := range map[string]string{
		"ftp://x":       "use http, https or unix",
		"x:99999":       "0 to 65535",
		"x:port":        "0 to 65535",
		"unix:relative": "absolute path",
		"a:b:c":         "no address",
	} {
		if _, err := parseHost(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one that says %q", text, err, says)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, text := range []string{"", "[::1]:80", "https://a/b", "unix:/x", "a:b:c", "%zz:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHost(text)
		if err == nil && (h.address == "" || h.url == nil) {
			t.Errorf("%q gave %+v", text, h)
		}
	})
}
