package cli

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/cpu"
)

// toolTimeout bounds how long a tool may take to tell its version.
const toolTimeout = 5 * time.Second

// cpuFeatures lists the instruction sets of this processor that matter to the engine. AMX is not
// among them: a processor has it also where the system does not let programs use it.
func cpuFeatures() []string {
	var names []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"sse4.2", cpu.X86.HasSSE42}, {"avx", cpu.X86.HasAVX}, {"avx2", cpu.X86.HasAVX2},
		{"fma", cpu.X86.HasFMA}, {"bmi2", cpu.X86.HasBMI2},
		{"avx512f", cpu.X86.HasAVX512F}, {"avx512bw", cpu.X86.HasAVX512BW},
		{"avx512vbmi", cpu.X86.HasAVX512VBMI}, {"avx512vnni", cpu.X86.HasAVX512VNNI},
		{"avx512bf16", cpu.X86.HasAVX512BF16},
		{"neon", cpu.ARM64.HasASIMD}, {"fp16", cpu.ARM64.HasASIMDHP},
		{"dotprod", cpu.ARM64.HasASIMDDP},
		{"i8mm", cpu.ARM64.HasI8MM}, {"sve", cpu.ARM64.HasSVE}, {"sve2", cpu.ARM64.HasSVE2},
	} {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}

// examineCache tells where the cache folder is and how much is in each of its folders.
func examineCache(dir string) []finding {
	if dir == "" {
		return []finding{{Name: "folder", State: stateAbsent,
			Detail: "there is no home folder to put it in", Fix: "export MULLAMA_CACHE=FOLDER"}}
	}
	findings := []finding{{Name: "folder", State: stateOK, Detail: dir}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		findings[0].Detail += " (not there yet)"
		return findings
	}
	for _, entry := range entries {
		if entry.IsDir() {
			size := shortBytes(folderSize(filepath.Join(dir, entry.Name())))
			findings = append(findings, finding{entry.Name(), stateOK, orNone(size, "empty"), ""})
		}
	}
	return findings
}

// folderSize adds up the files in dir. What cannot be read counts as nothing.
func folderSize(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// tool is a program that building or testing needs.
type tool struct {
	name     string
	commands []string // any of them will do
	packages map[string]string
}

// buildTools are the programs that build the native library, with the command that installs them.
func buildTools(compiler string) []tool {
	compilers := []string{"c++", "g++", "clang++"}
	if compiler != "" {
		// CXX may carry arguments, as in "ccache g++".
		compilers = append([]string{strings.Fields(compiler)[0]}, compilers...)
	}
	return []tool{
		{"cmake", []string{"cmake"}, map[string]string{
			"linux": "sudo apt-get install -y cmake", "darwin": "brew install cmake"}},
		{"C++ compiler", compilers, map[string]string{
			"linux": "sudo apt-get install -y g++", "darwin": "xcode-select --install"}},
		{"cargo", []string{"cargo"}, map[string]string{
			"linux": "sudo apt-get install -y cargo", "darwin": "brew install rust"}},
		// Debian's and Ubuntu's Go is often older than ours.
		{"go", []string{"go"}, map[string]string{
			"linux": "install Go 1.26 or newer", "darwin": "brew install go"}},
	}
}

// examineTools looks for the programs that build the native library. They are needed only while
// there is no library.
func examineTools(compiler string, needed bool) []finding {
	absent := stateAbsent
	if needed {
		absent = stateMissing
	}
	var findings []finding
	for _, t := range buildTools(compiler) {
		if path, found := t.find(); found {
			findings = append(findings, finding{t.name, stateOK, toolVersion(path), ""})
			continue
		}
		fix := t.packages[runtime.GOOS]
		if fix == "" {
			fix = "install " + t.name
		}
		findings = append(findings, finding{t.name, absent, "not in PATH", fix})
	}
	return findings
}

// find returns the first command of t that is in PATH.
func (t tool) find() (path string, found bool) {
	for _, command := range t.commands {
		if path, err := exec.LookPath(command); err == nil {
			return path, true
		}
	}
	return "", false
}

// toolVersion returns the first line of what the program says about its version, with its path.
func toolVersion(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	argument := "--version"
	if filepath.Base(path) == "go" {
		argument = "version"
	}
	out, err := exec.CommandContext(ctx, path, argument).Output()
	if err != nil {
		return path + ", which does not tell its version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line) + " (" + path + ")"
}
