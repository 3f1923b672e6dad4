package main

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

func loadClock(t *testing.T, request string) (model, answer) {
	t.Helper()
	m, err := echo{}.load(context.Background(), "clock", &mullama.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.generate([]byte(request))
	if err != nil {
		t.Fatal(err)
	}
	return m, a
}

func TestTheClockSaysWhenAPartWasMade(t *testing.T) {
	before, _ := strconv.ParseInt(readClock(), 10, 64)
	_, a := loadClock(t, `{"prompt":"?","options":{"num_predict":3}}`)
	for range 3 {
		p, err := a.next()
		if err != nil || p.done {
			t.Fatalf("got %+v, %v", p, err)
		}
		made, err := strconv.ParseInt(p.text, 10, 64)
		after, _ := strconv.ParseInt(readClock(), 10, 64)
		if err != nil || made < before || made > after {
			t.Fatalf("%q is not between %d and %d", p.text, before, after)
		}
		before = made
	}
	expectEnd(t, a, `"done_reason":"length"`)
}

func TestACancelledClockStops(t *testing.T) {
	_, a := loadClock(t, `{"prompt":"?","options":{"num_predict":1000000000}}`)
	a.cancel()
	a.cancel()
	expectEnd(t, a, `"done_reason":"cancelled"`)
}

func TestAClockStopsWithItsModel(t *testing.T) {
	m, a := loadClock(t, `{"prompt":"?","options":{"num_predict":1000000000}}`)
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	expectEnd(t, a, `"done_reason":"cancelled"`)
}

// The goroutine of an answer that nobody reads ends when the answer is cancelled.
func TestAClockThatNobodyReadsStops(t *testing.T) {
	_, a := loadClock(t, `{"prompt":"?","options":{"num_predict":1000000000}}`)
	c := a.(*clockAnswer)
	for len(c.parts) < cap(c.parts) {
		time.Sleep(clockInterval)
	}
	a.cancel()
	expectEnd(t, a, `"done_reason":"cancelled"`)
}

// expectEnd reads what is left of an answer.
func expectEnd(t *testing.T, a answer, want string) {
	t.Helper()
	p, err := a.next()
	for err == nil && !p.done {
		p, err = a.next()
	}
	if err != nil || !strings.Contains(string(p.json), want) {
		t.Errorf("the last part is %s, %v; want %s", p.json, err, want)
	}
	if _, err := a.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last part comes %v", err)
	}
}
