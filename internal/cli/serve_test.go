package cli

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestASecondDaemonIsRefused(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	path := filepath.Join(t.TempDir(), "s")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, address := range []string{first.Addr().String(), "unix:" + path} {
		got := realRun(t, "", "serve", "--host", address, "--models", t.TempDir())
		checkRefusal(t, got, exitFailed, address+" is in use")
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first daemon's socket is gone: %v", err)
	}
	conn.Close()
}

func TestASocketThatADaemonLeftBehindIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "s")
	h := host{network: "unix", address: path}
	for range 2 {
		listener, err := listen(h)
		if err != nil {
			t.Fatal(err)
		}
		listener.(*net.UnixListener).SetUnlinkOnClose(false) // as when it is killed
		listener.Close()
	}
}

func TestASlowHeaderEndsTheConnection(t *testing.T) {
	web := newWebServer(http.NotFoundHandler())
	if web.ReadHeaderTimeout <= 0 || web.IdleTimeout <= 0 {
		t.Errorf("the time for a header is %v, that between requests %v", web.ReadHeaderTimeout,
			web.IdleTimeout)
	}
	web.ReadHeaderTimeout, web.IdleTimeout = 50*time.Millisecond, 100*time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	for name, sent := range map[string]string{
		"nothing": "", "half a header": "GET / HTTP/1.1\r\nHost: lo",
		"one request": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, sent)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer := bufio.NewScanner(conn)
		var text strings.Builder
		for answer.Scan() {
			text.WriteString(answer.Text())
		}
		if err := answer.Err(); err != nil {
			t.Errorf("after %s the connection stays: %v, %q", name, err, text.String())
		}
	}
}

func TestServeRefusesSettingsThatCannotBe(t *testing.T) {
	for _, tt := range []struct{ flags, says string }{
		{"--kv-layout shared", `"shared" is not one of auto, unified, split`},
		{"--kv-layout split --cache-tokens 64", "a split KV cache has --ctx-size for each slot"},
		{"--parallel 9999", "it must be at most"},
		{"--host 0.0.0.0:0", "there are no API keys"},
	} {
		args := append([]string{"serve", "--models", t.TempDir()}, strings.Fields(tt.flags)...)
		checkRefusal(t, run(&fakeEngine{}, "", args...), exitUsage, tt.says)
	}
}
