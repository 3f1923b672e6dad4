package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// defaultOrigins are Ollama's: pages of this machine at any port, and apps that show pages of
// their own.
var defaultOrigins = []string{
	"http://localhost", "https://localhost", "http://localhost:*", "https://localhost:*",
	"http://127.0.0.1", "https://127.0.0.1", "http://127.0.0.1:*", "https://127.0.0.1:*",
	"http://0.0.0.0", "https://0.0.0.0", "http://0.0.0.0:*", "https://0.0.0.0:*",
	"app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*",
}

// guard decides who may use the server.
type guard struct {
	keys    [][sha256.Size]byte
	origins []string
	local   bool
	host    string // of this machine
}

func newGuard(config *Config) *guard {
	g := &guard{local: config.Local}
	g.origins = append(append(g.origins, defaultOrigins...), config.Origins...)
	for _, key := range config.Keys {
		g.keys = append(g.keys, sha256.Sum256([]byte(key)))
	}
	if host, err := os.Hostname(); err == nil {
		g.host = strings.ToLower(host)
	}
	return g
}

// open lists what needs no key: it tells only that a server is here.
func open(path string) bool {
	switch path {
	case "/", "/health", "/v1/health", "/api/version", tryPath:
		return true
	}
	return false
}

// check returns why a request is refused, or nil. It sets the headers that tell a browser what it
// may do. done means that the request was a question of a browser, and is answered.
func (g *guard) check(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	if g.local && !overUnix(r) && !g.ownHost(r.Host) {
		return false, refuse(http.StatusForbidden, "the host %s is not this machine", show(r.Host))
	}
	if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
		w.Header().Add("Vary", "Origin")
		if !g.allowed(origin) {
			return false, refuse(http.StatusForbidden,
				"the origin %s may not use this server; allow it in the server's settings",
				show(origin))
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if preflight(w, r) {
			return true, nil
		}
	}
	if hidden(r) && !open(r.URL.Path) {
		return false, refuse(http.StatusForbidden, "a page of another site may not use this server")
	}
	if len(g.keys) > 0 && !open(r.URL.Path) && !g.hasKey(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return false, refuse(http.StatusUnauthorized,
			"the request has no valid API key; send one as Authorization: Bearer")
	}
	return false, nil
}

// hidden reports whether a browser asks for a page of another site without saying for which, as it
// does for pictures. Such a page sees no answer, but it could have a model loaded.
func hidden(r *http.Request) bool {
	return r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// preflight answers when a browser asks what another origin's page may send.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, HEAD, OPTIONS")
	header.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
	}
	header.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// hasKey compares hashes, all of them, so that the time tells nothing.
func (g *guard) hasKey(r *http.Request) bool {
	given := r.Header.Get("X-Api-Key")
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok &&
		strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(rest)
	}
	for _, protocol := range websocketProtocols(r) {
		if key, ok := strings.CutPrefix(protocol, keyProtocol); ok {
			given = key
		}
	}
	hash := sha256.Sum256([]byte(given))
	found := 0
	for i := range g.keys {
		found |= subtle.ConstantTimeCompare(g.keys[i][:], hash[:])
	}
	return found == 1
}

// websocketProtocols lists the subprotocols that a client offers. A key that is not letters, digits
// and such is escaped there as in a URL.
func websocketProtocols(r *http.Request) []string {
	var all []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for _, protocol := range strings.Split(line, ",") {
			if plain, err := url.PathUnescape(strings.TrimSpace(protocol)); err == nil {
				all = append(all, plain)
			}
		}
	}
	return all
}

func (g *guard) allowed(origin string) bool {
	for _, pattern := range g.origins {
		if matches(pattern, origin) {
			return true
		}
	}
	return false
}

// matches compares a text with a pattern in which * stands for any text; at the place of a port it
// stands for digits, or http://localhost:*, without being meant to, would let in
// http://localhost:@evil.example.
func matches(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return strings.EqualFold(pattern, text)
	}
	if len(text) < len(before)+len(after) || !strings.EqualFold(text[:len(before)], before) ||
		!strings.EqualFold(text[len(text)-len(after):], after) {
		return false
	}
	middle := text[len(before) : len(text)-len(after)]
	if strings.HasSuffix(before, ":") && strings.Contains(before, "://") {
		return middle != "" && strings.Trim(middle, "0123456789") == ""
	}
	return true
}

func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

func overUnix(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// ownHost reports whether a Host header names this machine or a private address. A page of another
// site that has its name point here cannot send such a header.
func (g *guard) ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsUnspecified() ||
			addr.IsLinkLocalUnicast()
	}
	if host == "" || host == "localhost" || host == g.host {
		return true
	}
	for _, suffix := range []string{".localhost", ".local", ".internal"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
