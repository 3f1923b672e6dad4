package bench

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// fakeOther has fakeQuantize write another model than ours.
const fakeOther = "MULLAMA_BENCH_FAKE_OTHER"

// fakeSide makes the test binary act as one side of a benchmark: its value is the name of the side.
const fakeSide = "MULLAMA_BENCH_FAKE_SIDE"

func TestMain(m *testing.M) {
	if side := os.Getenv(fakeSide); side != "" {
		os.Exit(actAs(side, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// actAs prints what a side prints for the words of work.words.
func actAs(side string, words []string) int {
	switch {
	case side == "real":
		return realSide(words)
	case side == "broken":
		fmt.Fprintln(os.Stderr, "first line")
		fmt.Fprintln(os.Stderr, "the model has no weights")
		return 1
	case side == "silent":
		return 0
	case side == "llama-quantize":
		return fakeQuantize(words)
	case side == "waves":
		return fakeWaves()
	case words[0] == "throughput":
		fmt.Printf(`{"program":%q,"engine":"llama.cpp 1","threads":2,"context":4096,"load_s":0.5}`,
			side)
		for rep := 1; rep <= 3; rep++ {
			fmt.Printf("\n"+`{"rep":%d,"prompt_tokens":512,"prompt_s":0.5,"text_tokens":16,`+
				`"generated":128,"generate_s":1.28,"sum":"00000000000000ff"}`, rep)
		}
		fmt.Println()
	case words[0] == "cold":
		fmt.Println(" young")
	case words[0] == "rss":
		fmt.Println(`{"rss_kb":1000,"peak_kb":1100,"anonymous_kb":600,"file_kb":400}`)
	}
	return 0
}

// fakeWaves computes waves of 11 tokens that take 1 + 2 seconds, and fails for 300 streams.
func fakeWaves() int {
	fmt.Println(`{"program":"fake","engine":"llama.cpp 1","threads":2,"context":320,"load_s":0.5}`)
	for {
		var streams, sample int
		if _, err := fmt.Scan(&streams, &sample); err != nil {
			return 0
		}
		if streams == 300 {
			fmt.Fprintln(os.Stderr, "300 are too many")
			return 1
		}
		fmt.Printf(`{"streams":%d,"generated":11,"prompt_s":1,"generate_s":2}`+"\n", streams)
	}
}

// testRootCommand is the program around the bench command.
func testRootCommand() *cobra.Command {
	root := &cobra.Command{Use: "mullama", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(testBenchCommand())
	return root
}

// testBenchCommand has folders in which there is nothing.
func testBenchCommand() *cobra.Command {
	nowhere := func() string { return os.DevNull }
	return Command(Folders{Cache: nowhere, Models: nowhere})
}

// fakeQuantize is llama-quantize.
func fakeQuantize(words []string) int {
	rt, err := mullama.Open(mullama.Options{})
	if err == nil {
		err = rt.Quantize(context.Background(), words[0], words[1],
			&mullama.QuantizeOptions{Type: words[2], Pure: os.Getenv(fakeOther) != ""})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// realSide does the work that a side is asked for, as the program would.
func realSide(words []string) int {
	root := testRootCommand()
	root.SetArgs(words)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fakeProgram returns a side played by the test binary.
func fakeProgram(t *testing.T, side string) program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector sleeps for a second at a program's end unless told not to.
	return program{"env", fakeSide + "=" + side, "GORACE=atexit_sleep_ms=0", self}
}

func testWork() work {
	return work{model: "m.gguf", Config: Config{
		Threads: 2, Context: 4096, Slots: 1, PromptTokens: 512, GenerateTokens: 128,
		Reps: 3, ColdStarts: 2, Rounds: 2, MaxForeign: 0.05, Seed: 1, Text: "Once",
	}}
}
