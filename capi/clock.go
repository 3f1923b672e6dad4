package main

import (
	"io"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The model "clock" of the echo says what time it is, so that a program can measure how long parts
// take to arrive: each is the reading of the system's monotonic clock, in nanoseconds, when it was
// made. As in an engine, somebody else makes it while the reader waits.
const (
	clockInterval = time.Millisecond
	clockParts    = 100 // if the request does not say how many
)

type clockAnswer struct {
	parts chan part
	stop  chan struct{}
	once  sync.Once // closes stop

	last part // that parts does not have; set before parts is closed
	over bool // next has returned it
}

// newClockAnswer starts to answer. It goes on until the last part is made, or until it is cancelled
// or its model closed.
func newClockAnswer(m echoModel, options map[string]any) *clockAnswer {
	count := clockParts
	if n, ok := options["num_predict"].(float64); ok && n > 0 {
		count = int(n)
	}
	a := &clockAnswer{parts: make(chan part, clockParts), stop: make(chan struct{})}
	go a.run(m, count)
	return a
}

func (a *clockAnswer) run(m echoModel, count int) {
	defer close(a.parts)
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	said, reason := 0, "length"
	for ; said < count; said++ {
		<-tick.C
		if m.closed.Load() || !a.tell(part{text: readClock()}) {
			reason = "cancelled"
			break
		}
	}
	a.last = lastPart(reason, 0, said)
}

// tell reports whether the answer goes on.
func (a *clockAnswer) tell(p part) bool {
	select {
	case <-a.stop:
		return false
	default:
	}
	select {
	case <-a.stop:
		return false
	case a.parts <- p:
		return true
	}
}

func readClock() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "0" // there is no system without this clock
	}
	return strconv.FormatInt(now.Nano(), 10)
}

func (a *clockAnswer) next() (part, error) {
	p, more := <-a.parts
	if more {
		return p, nil
	}
	if a.over {
		return part{}, io.EOF
	}
	a.over = true
	return a.last, nil
}

func (a *clockAnswer) cancel() { a.once.Do(func() { close(a.stop) }) }
