"""What needs a process of its own: the library that is not there, fork, and the end."""

import os
import re
import shutil
import subprocess
import sys

import pytest

import mullama

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Makes a library whose functions do nothing, but for those whose C is in bodies."""
    header = os.path.join(os.path.dirname(__file__), "..", "..", "..", "include", "mullama.h")
    with open(header, encoding="utf-8") as file:
        text = file.read()
    names = set(re.findall(r"(mullama_\w+)\(", text))
    compiler = os.environ.get("CC") or shutil.which("cc")

    def make(folder, version, leave_out=(), bodies=""):
        path = tmp_path_factory.mktemp(folder) / "libmullama.so"
        written = set(re.findall(r"(mullama_\w+)\(", bodies))
        lines = [
            f"int {n}(void) {{ return {version}; }}"
            for n in sorted(names - set(leave_out) - written)
        ]
        lines.append(bodies)
        source = path.with_suffix(".c")
        source.write_text("\n".join(lines))
        subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source], check=True)
        return str(path)

    return make


OPEN = """
    import mullama
    try:
        mullama.Runtime(echo=True)
    except mullama.LibraryMissingError as error:
        print(error.status, error)
"""


def test_importing_opens_nothing(program):
    text = "import mullama; print('libmullama' in open('/proc/self/maps').read())"
    assert program(text) == "False\n"


def test_a_missing_library(program, tmp_path):
    out = program(OPEN, MULLAMA_LIBRARY=str(tmp_path))
    assert out.startswith("library_missing ")
    assert str(tmp_path / "libmullama.so") in out and "MULLAMA_LIBRARY" in out


def test_no_library_anywhere(program):
    out = program(OPEN, MULLAMA_LIBRARY="", LD_LIBRARY_PATH="")
    folder = os.path.dirname(mullama.__file__)
    assert os.path.join(folder, "libmullama.so") in out and "libmullama.so.0" in out


def test_a_file_that_is_no_library(program, tmp_path):
    (tmp_path / "x.so").write_text("x")
    assert "x.so" in program(OPEN, MULLAMA_LIBRARY=str(tmp_path / "x.so"))


def test_a_library_of_another_version(program, stub):
    out = program(OPEN, MULLAMA_LIBRARY=stub("version", 999))
    assert "version 999" in out and "version 1" in out


def test_another_library(program, stub):
    path = stub("other", 1, {"mullama_stream_next"})
    assert "no function mullama_stream_next" in program(OPEN, MULLAMA_LIBRARY=path)


# Every byte of a text is 20 tokens.
MANY_TOKENS = """
const char *mullama_version(void) { return "stub"; }
int mullama_runtime_open(const char *options, long *runtime, void *error) {
    return *runtime = 1, 0;
}
int mullama_model_load(long runtime, const char *name, const char *options, void *progress,
                       void *user, long *model, void *error) {
    return *model = 2, 0;
}
int mullama_model_tokenize(long model, const char *text, long size, int flags, int *tokens,
                           long capacity, long *count, void *error) {
    *count = 20 * size;
    for (long i = 0; i < *count && i < capacity; i++) {
        tokens[i] = i;
    }
    return *count > capacity ? 17 : 0;
}
"""


def test_more_tokens_than_expected_are_read_whole(program, stub):
    out = program(
        """
        import mullama
        model = mullama.Runtime().load("any")
        print(model.tokenize("abc") == list(range(60)))
        """,
        MULLAMA_LIBRARY=stub("many", 1, bodies=MANY_TOKENS),
    )
    assert out == "True\n"


def test_the_loader_finds_the_library(program):
    folder = os.environ["MULLAMA_LIBRARY"]
    text = "import mullama; print(mullama.load_library())"
    assert program(text, MULLAMA_LIBRARY="", LD_LIBRARY_PATH=folder)


def test_the_library_by_its_path(program):
    text = """
        import sys, mullama
        folder = sys.argv[1]
        version = mullama.load_library(folder)
        assert version == mullama.load_library() == mullama.load_library(folder + "/libmullama.so")
        try:
            mullama.load_library("/elsewhere/libmullama.so")
        except mullama.InvalidError as error:
            print(error)
    """
    folder = os.environ["MULLAMA_LIBRARY"]
    out = program(text, folder, MULLAMA_LIBRARY="")
    assert os.path.join(folder, "libmullama.so") in out


# What a child does ends with its exit status, as an assert of its own would not reach pytest.
FORK = """
    import gc, os, warnings, mullama
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads

    def in_child(function):
        child = os.fork()
        if child == 0:
            try:
                function()
                gc.collect()
            except BaseException as error:
                print(repr(error), flush=True)
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def refused(function):
        try:
            function()
        except mullama.ForkedError as error:
            assert error.status == "forked" and "child" in str(error)
            return
        raise AssertionError("not refused")
"""


def test_a_child_cannot_use_the_library_of_its_parent(program):
    text = (
        FORK
        + """
    runtime = mullama.Runtime(echo=True)
    model = runtime.load("echo")
    stream = model.generate("abc")

    def use():
        for call in (
            lambda: mullama.Runtime(echo=True), runtime.info, model.info, stream.next,
            stream.collect, lambda: model.chat([]), lambda: model.tokenize("a"),
        ):
            refused(call)
        model.close()
        runtime.close()

    in_child(use)
    assert stream.text() == "abc"
    print("ok")
    """
    )
    assert program(text) == "ok\n"


def test_a_child_can_load_the_library(program):
    text = (
        FORK
        + """
    def use():
        model = mullama.Runtime(echo=True).load("echo")
        assert model.generate("abc").text() == "abc"

    in_child(use)
    in_child(use)
    use()
    print("ok")
    """
    )
    assert program(text) == "ok\n"


def test_multiprocessing_workers_load_the_library(program):
    text = """
        import multiprocessing, mullama

        def work(text):
            with mullama.Runtime(echo=True) as runtime, runtime.load("echo") as model:
                return model.generate(text).text()

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(work, ["a", "b", "c"]))
    """
    assert program(text) == "['a', 'b', 'c']\n"


def test_a_child_of_a_process_with_streams_ends(program):
    text = """
        import os, asyncio, mullama
        model = mullama.Runtime(echo=True).load("echo")

        async def main():
            streams = [model.generate("x" * 1000).__aiter__() for _ in range(8)]
            child = os.fork()
            if child == 0:
                raise SystemExit(0)  # runs all that runs at exit
            assert os.waitpid(child, 0)[1] == 0

        asyncio.run(main())
        print("ok")
    """
    for _ in range(5):
        assert program(text).endswith("ok\n")


# Each leaves something open when its interpreter exits.
ENDINGS = {
    "handles": "a, b = model, model.chat(HELLO)",
    "cycle": "x = [model, model.chat(HELLO)]; x.append(x); del model, runtime",
    "a stream half read": "s = iter(model.chat(LONG)); next(s)",
    "a thread that reads": """
def read():
    while True:
        for chunk in model.chat(LONG):
            begun.set()
threading.Thread(target=until_closed, args=(read,), daemon=True).start()
begun.wait()
""",
    "threads that wait": """
def read():
    for chunk in model.chat(LONG, options={"num_predict": 20}):
        begun.set()
for _ in range(4):
    threading.Thread(target=read).start()
begun.wait()
""",
    "deliveries": """
async def main():
    global kept
    kept = [model.chat(LONG).__aiter__() for _ in range(8)]
    await kept[0].__anext__()
asyncio.run(main())
""",
    "deliveries within a loop": """
async def main():
    kept = [model.chat(LONG).__aiter__() for _ in range(8)]
    await kept[0].__anext__()
    sys.exit(0)
asyncio.run(main())
""",
    "a loop that never ended": """
loop = asyncio.new_event_loop()
async def main():
    global kept
    kept = [model.chat(LONG).__aiter__() for _ in range(8)]
    await kept[0].__anext__()
loop.run_until_complete(main())
""",
    "a loading thread": """
def load():
    while True:
        runtime.load(name, progress=lambda part: None).close()
        begun.set()
threading.Thread(target=until_closed, args=(load,), daemon=True).start()
begun.wait()
""",
}

START = """
import asyncio, os, sys, threading, warnings, mullama
warnings.simplefilter("ignore")
HELLO = [{"role": "user", "content": "hello"}]
LONG = {"messages": [{"role": "user", "content": "x" * 500}]}
begun = threading.Event()
name = sys.argv[1]
runtime = mullama.Runtime(echo=name == "echo")
model = runtime.load(name, ctx_size=1024)

def until_closed(function):
    try:
        function()
    except (mullama.ClosedError, mullama.CancelledError):
        pass
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_exits(program, ending):
    for _ in range(5):
        assert program(START + ENDINGS[ending], "echo") == ""


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreter_exits_with_a_real_model(program, ending, real_file):
    for _ in range(2):
        assert program(START + ENDINGS[ending], real_file) == ""


def test_no_thread_of_the_library_enters_an_interpreter_that_ends(program):
    text = """
        import mullama
        model = mullama.Runtime(echo=True).load("echo")
        mullama._abi.end_callbacks()
        told = []
        for _ in range(100):
            stream = model.generate("abc")
            mullama._abi.stream_deliver(stream._handle, lambda *event: told.append(event))
            assert model.generate("abc").text() == "abc"
        print(told)
    """
    assert program(text) == "[]\n"


def test_this_package_is_the_installed_one():
    assert os.path.dirname(mullama.__file__).startswith(sys.prefix)
