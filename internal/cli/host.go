package cli

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// defaultPort is Ollama's, so that existing clients find the daemon.
const defaultPort = "11434"

// host is where a daemon listens and clients find it.
type host struct {
	network string   // "tcp" or "unix"
	address string   // "127.0.0.1:11434", or the path of a socket
	url     *url.URL // for clients
}

// parseHost reads the value of MULLAMA_HOST: nothing, an address with or without a port, a URL with
// http or https, or unix:PATH. A missing part is 127.0.0.1 and port 11434.
func parseHost(text string) (host, error) {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return unixHost(path)
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "http", text
	}
	if scheme != "http" && scheme != "https" {
		return host{}, fmt.Errorf(
			"%q begins with %s://; use http, https or unix",
			text,
			scheme,
		)
	}
	rest, path, _ := strings.Cut(rest, "/")
	name, port, err := splitPort(rest, found, scheme)
	if err != nil {
		return host{}, fmt.Errorf("%q is no address: %w", text, err)
	}
	address := net.JoinHostPort(name, port)
	target := net.JoinHostPort(reachable(name), port)
	u := &url.URL{Scheme: scheme, Host: target, Path: strings.TrimRight("/"+path, "/")}
	return host{network: "tcp", address: address, url: u}, nil
}

func unixHost(path string) (host, error) {
	path = strings.TrimPrefix(path, "//")
	if !filepath.IsAbs(path) {
		return host{}, fmt.Errorf(
			"the socket %q is no absolute path; write unix:/folder/name",
			path,
		)
	}
	return host{network: "unix", address: path, url: &url.URL{Scheme: "unix", Path: path}}, nil
}

// splitPort takes an address apart. A URL without a port has the port of its scheme.
func splitPort(text string, isURL bool, scheme string) (name, port string, err error) {
	port = defaultPort
	if isURL {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	name = strings.Trim(text, "[]")
	if at := strings.LastIndexByte(text, ':'); at >= 0 && !isBareIPv6(text) {
		name, port, err = net.SplitHostPort(text)
		if err != nil {
			return "", "", err
		}
	}
	if name == "" {
		name = "127.0.0.1"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", "", fmt.Errorf("the port is %q; it must be from 0 to 65535", port)
	}
	return name, port, nil
}

func isBareIPv6(text string) bool {
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return err == nil && address.Is6()
}

// reachable is the name under which a client on this machine finds what listens on name.
func reachable(name string) string {
	if address, err := netip.ParseAddr(name); err == nil && address.IsUnspecified() {
		return "127.0.0.1"
	}
	return name
}

// isLocal reports whether nobody outside this machine can reach h.
func (h host) isLocal() bool {
	if h.network == "unix" {
		return true
	}
	name, _, err := net.SplitHostPort(h.address)
	if err != nil {
		return false
	}
	if name == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.IsLoopback()
}

func (h host) String() string {
	if h.network == "unix" {
		return "unix:" + h.address
	}
	return h.address
}
