package main

import (
	"os"
	"path/filepath"
	"testing"
)

func testInputs() engineInputs {
	return engineInputs{
		Pin: "llama-cpp-sys-2 0.1.161 abc", Backends: []string{"cuda", "rpc"},
		Compilers: []string{"cc: gcc 12", "c++: g++ 12"}, CPU: "amd64 Xeon; avx2", Recipe: "r1",
	}
}

func TestEngineKeyIsTheSameForEqualInputs(t *testing.T) {
	in := testInputs()
	in.Backends = []string{"rpc", "cuda"} // the order asked for is no difference
	if got, want := in.key(), testInputs().key(); got != want {
		t.Errorf("key = %s, want %s", got, want)
	}
	if got := len(in.key()); got != keyLength {
		t.Errorf("key has %d characters, want %d", got, keyLength)
	}
}

func TestEngineKeyDependsOnEveryInput(t *testing.T) {
	base := testInputs().key()
	for name, change := range map[string]func(*engineInputs){
		"pin":       func(in *engineInputs) { in.Pin = "llama-cpp-sys-2 0.1.161 abd" },
		"portable":  func(in *engineInputs) { in.Portable = true },
		"backends":  func(in *engineInputs) { in.Backends = []string{"cuda"} },
		"CUDA":      func(in *engineInputs) { in.CUDA = "90a" },
		"compilers": func(in *engineInputs) { in.Compilers[1] = "c++: g++ 13" },
		"flags":     func(in *engineInputs) { in.Flags = []string{"CFLAGS=-g"} },
		"cpu":       func(in *engineInputs) { in.CPU = "amd64 EPYC; avx2" },
		"recipe":    func(in *engineInputs) { in.Recipe = "r2" },
	} {
		t.Run(name, func(t *testing.T) {
			in := testInputs()
			change(&in)
			if in.key() == base {
				t.Errorf("the key did not change")
			}
		})
	}
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func mustFacadeKey(t *testing.T, engineKey string, files map[string]string) string {
	t.Helper()
	key, err := facadeKey(engineKey, writeTree(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFacadeKeyFollowsSourcesAndEngine(t *testing.T) {
	files := func() map[string]string {
		return map[string]string{
			"model.cpp": "int a;", "CMakeLists.txt": "project(x)", "oracle/oracle.c": "int b;",
			"engine/CMakeLists.txt": "engine", "README.md": "words", "Cargo.lock": "lock",
		}
	}
	base := mustFacadeKey(t, "e1", files())
	for _, tt := range []struct {
		name, engine, file, text string
		same                     bool
	}{
		{name: "nothing", engine: "e1", file: "model.cpp", text: "int a;", same: true},
		{name: "another engine", engine: "e2", file: "model.cpp", text: "int a;"},
		{name: "source", engine: "e1", file: "model.cpp", text: "int c;"},
		{name: "oracle", engine: "e1", file: "oracle/oracle.c", text: "int c;"},
		{name: "recipe", engine: "e1", file: "CMakeLists.txt", text: "project(y)"},
		{name: "new file", engine: "e1", file: "new.h", text: ""},
		{name: "engine", engine: "e1", file: "engine/CMakeLists.txt", text: "x", same: true},
		{name: "documentation", engine: "e1", file: "README.md", text: "more", same: true},
		{name: "lock file", engine: "e1", file: "Cargo.lock", text: "other", same: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := files()
			changed[tt.file] = tt.text
			got := mustFacadeKey(t, tt.engine, changed)
			if (got == base) != tt.same {
				t.Errorf("key same = %v, want %v", got == base, tt.same)
			}
		})
	}
}

func TestFacadeKeyDoesNotConfuseFileBorders(t *testing.T) {
	a := mustFacadeKey(t, "e", map[string]string{"a.c": "xb.c 1\ny", "z.c": ""})
	b := mustFacadeKey(t, "e", map[string]string{"a.c": "x", "b.c": "y", "z.c": ""})
	if a == b {
		t.Error("different trees have one key")
	}
}

func TestCPUFromProcReadsTheFirstCPU(t *testing.T) {
	const text = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\n" +
		"flags\t\t: sse2 fpu avx\n\nprocessor\t: 1\nmodel name\t: other\nflags\t\t: none\n"
	if got, want := cpuFromProc(text), "Xeon; avx fpu sse2"; got != want {
		t.Errorf("cpuFromProc = %q, want %q", got, want)
	}
	const arm = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
	if got, want := cpuFromProc(arm), "asimd fp; 0x41; 0xd0c"; got != want {
		t.Errorf("cpuFromProc = %q, want %q", got, want)
	}
}
