"""Memory stays flat over many rounds, in a process that does nothing else."""

ROUNDS = """
    import resource
    import mullama

    ALL, WINDOW = 10_000, 1_000

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def round_of_calls():
        with mullama.Runtime(echo=True) as runtime:
            model = runtime.load("echo", progress=lambda fraction: True)
            model.info()
            assert model.detokenize(model.tokenize("Hello")) == b"Hello"
            assert model.generate("Hello").text() == "Hello"
            for chunk in model.generate("Hello"):
                assert chunk.text == "H"
                break
            try:
                model.generate("")
            except mullama.InvalidError:
                pass

    def least_of(rounds):
        # Between two collections of Go's garbage there is more.
        least = resident()
        for _ in range(rounds):
            round_of_calls()
            least = min(least, resident())
        return least

    least_of(WINDOW)
    before = least_of(WINDOW)
    least_of(ALL - 3 * WINDOW)
    print(least_of(WINDOW) - before)
"""

BOUND = 2 << 20


def test_ten_thousand_rounds_leave_memory_flat(program):
    assert int(program(ROUNDS)) <= BOUND
