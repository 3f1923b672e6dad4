package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// connection is one kept-alive connection, without what an HTTP client does for its user.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

func (d *served) dial() (*connection, error) {
	network := "tcp"
	if filepath.IsAbs(d.address) {
		network = "unix"
	}
	c, err := net.Dial(network, d.address)
	if err != nil {
		return nil, err
	}
	return &connection{c, bufio.NewReader(c)}, nil
}

// message is an HTTP request as bytes.
func message(method, path string, body any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", method, path, len(data), data)
	return b.Bytes(), nil
}

// roundTrip sends a message and reads the whole answer.
func (c *connection) roundTrip(message []byte) ([]byte, error) {
	if _, err := c.Write(message); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// tokenize times the round trip of a short text.
func (m *reactions) tokenize(_ context.Context, round int) error {
	text, err := message("POST", "/tokenize",
		map[string]string{"model": servedName, "content": tokenizeText})
	if err != nil {
		return err
	}
	for _, side := range []struct {
		name string
		at   *served
	}{{"tokenize", m.tcp}, {"tokenize_unix", m.unix}} {
		c, err := side.at.dial()
		if err != nil {
			return err
		}
		var times []float64
		for i := range tokenizeReps + tokenizeReps/10 { // the first ones warm up
			start := time.Now()
			if _, err := c.roundTrip(text); err != nil {
				return errors.Join(err, c.Close())
			}
			if i >= tokenizeReps/10 {
				times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
			}
		}
		m.roundTrips(round, side.name, side.name, 1, times)
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// tokenizeAlone has the C program make tokens of the same text.
func (m *reactions) tokenizeAlone(ctx context.Context, round int) error {
	times, err := m.alone(ctx, "tokenize", tokenizeText, fmt.Sprintf("reps=%d", tokenizeReps))
	if err != nil {
		return err
	}
	m.roundTrips(round, aloneName, "tokenize*", 1e6, times)
	return nil
}

// roundTrips adds the samples of a round, times scale in microseconds, and keeps how the times
// lie. The row of a baseline ends with a star.
func (m *reactions) roundTrips(round int, side, row string, scale float64, times []float64) {
	slices.Sort(times)
	name, star := strings.CutSuffix(row, "*")
	for _, percent := range []int{50, 99} {
		key := fmt.Sprintf("%s_p%d", name, percent)
		if star {
			key += "*"
		}
		m.add(key, scale*quantile(times, float64(percent)/100))
	}
	c := Calls{Round: round + 1, Side: side, Call: "tokenize", Count: len(times)}
	for percent := range 101 {
		c.Quantiles = append(c.Quantiles, 1e3*scale*quantile(times, float64(percent)/100))
	}
	m.calls = append(m.calls, c)
}

// idle measures the memory of connections that have been used and wait.
func (m *reactions) idle(context.Context, int) (err error) {
	before, err := residentMemory(m.tcp.cmd.Process.Pid)
	if err != nil {
		return err
	}
	version, err := message("GET", "/api/version", nil)
	if err != nil {
		return err
	}
	var open []*connection
	defer func() {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
	}()
	for range idleConnections {
		c, err := m.tcp.dial()
		if err != nil {
			return err
		}
		open = append(open, c)
		if _, err := c.roundTrip(version); err != nil {
			return err
		}
	}
	after, err := residentMemory(m.tcp.cmd.Process.Pid)
	m.add("idle_connections_mb", after-before)
	return err
}

// cancel measures how long the slot of a client that goes away stays busy. What it may take, a
// ubatch, is taken from a prompt of that length.
func (m *reactions) cancel(ctx context.Context, round int) error {
	const ubatch = 512
	for rep := range m.o.Reps {
		seed := 1000*round + 10*rep
		run, err := answered(ctx, m.work(ubatch, 4, seed))
		if err != nil {
			return err
		}
		whole := 1e3 * (run.Answers[0].Times[0] - run.Answers[0].Start)
		for _, kind := range []struct {
			name   string
			prompt int
			after  time.Duration
		}{{"cancel_generating", 16, 400 * time.Millisecond},
			{"cancel_prompt", longPrompt, 700 * time.Millisecond}} {
			took, err := m.cancelled(ctx, kind.prompt, seed+1, kind.after)
			if err != nil {
				return err
			}
			m.add(kind.name, 1e3*took.Seconds())
			m.add(kind.name+"*", whole)
		}
	}
	return nil
}

// cancelled sends a request, leaves after a while, and waits until no slot is busy.
func (m *reactions) cancelled(
	ctx context.Context, prompt, seed int, after time.Duration,
) (time.Duration, error) {
	watch, err := m.tcp.dial()
	if err != nil {
		return 0, err
	}
	defer func() { _ = watch.Close() }()
	if err := watch.idle(ctx); err != nil {
		return 0, err
	}
	ctx, leave := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = answered(ctx, m.work(prompt, 2000, seed)) // it is cancelled
	}()
	time.Sleep(after)
	busy, err := watch.busy()
	if err == nil && !busy {
		err = errors.New("the request was not computed when it was to be cancelled")
	}
	start := time.Now()
	leave()
	for err == nil && busy {
		time.Sleep(200 * time.Microsecond)
		busy, err = watch.busy()
	}
	took := time.Since(start)
	<-done
	return took, err
}

// idle waits until no slot computes: one that has sent its last token may have more to do.
func (c *connection) idle(ctx context.Context) error {
	const limit = 30 * time.Second
	for end := time.Now().Add(limit); ctx.Err() == nil; {
		busy, err := c.busy()
		if err != nil || !busy {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("a slot is still busy %s after the last answer", limit)
		}
		time.Sleep(time.Millisecond)
	}
	return ctx.Err()
}

// busy reports whether any slot computes.
func (c *connection) busy() (bool, error) {
	ask, err := message("GET", "/slots", nil)
	if err != nil {
		return false, err
	}
	body, err := c.roundTrip(ask)
	if err != nil {
		return false, err
	}
	var slots []struct {
		Busy bool `json:"is_processing"`
	}
	if err := json.Unmarshal(body, &slots); err != nil {
		return false, err
	}
	for _, s := range slots {
		if s.Busy {
			return true, nil
		}
	}
	return false, nil
}
