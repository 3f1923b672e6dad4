"""A plugin of pytest that lets llama.cpp's server tests run with another model than theirs.

The tests download tiny models and expect what those say. Here a real model answers, so in the
tests named below the words of an answer and the length of a prompt are left open; everything else
is compared as it is written there.
"""

import os
import sys
import types

import pytest

sys.modules.setdefault("wget", types.ModuleType("wget"))  # nothing is downloaded

import utils  # noqa: E402  the tests' own module, beside their conftest.py

utils.ServerPreset.load_all = staticmethod(lambda: None)

# Tests whose regular expression is about the words of an unconstrained answer.
WORDS = {
    "test_completion", "test_completion_stream", "test_completion_with_openai_library",
    "test_completion_stream_with_openai_library", "test_chat_completion",
    "test_chat_completion_stream", "test_chat_completion_with_openai_library",
}

# Tests that count the tokens of an answer: their model never ends one by itself.
LENGTHS = {
    "test_completion", "test_completion_stream", "test_completion_prompt_cache",
    "test_completion_unified", "test_ctx_shift_enabled", "test_ctx_shift_disabled_short_prompt",
    "test_chat_completion", "test_chat_completion_stream",
    "test_metrics_generation_rate_excludes_first_token", "test_n_probs_post_backend_sampling",
}

# Parameters of tests that count the tokens of a prompt.
COUNTS = {"n_prompt"}


class Any:
    """Equals everything."""

    def __eq__(self, other):
        return True

    __hash__ = None

    def __repr__(self):
        return "any"


def pytest_collection_modifyitems(items):
    for item in items:
        params = getattr(item, "callspec", None) and item.callspec.params
        for name in COUNTS.intersection(params or ()):
            params[name] = Any()
        if params and params.get("n_predict") == -1 and "n_token_output" in params:
            params["n_token_output"] = Any()  # what the prompt leaves of the context


strict = utils.match_regex
words_are_open = False


def match_regex(regex, text):
    return words_are_open or strict(regex, text)


utils.match_regex = match_regex


# The models that answer, by the file of the tests; the wrapper takes the one of MULLAMA_PEERS_MODEL.
MODEL = os.environ["MULLAMA_PEERS_MODEL"]
MODELS = {
    "test_embedding": os.environ["MULLAMA_PEERS_MODEL_EMBEDDING"],
    "test_rerank": os.environ["MULLAMA_PEERS_MODEL_RERANK"],
}


@pytest.fixture(autouse=True)
def open_words(request):
    global words_are_open
    file = request.module.__name__.rpartition(".")[2]
    name = request.node.originalname
    embeds = name == "test_metrics_embedding_prompt_is_counted"
    os.environ["MULLAMA_PEERS_MODEL"] = MODELS.get("test_embedding" if embeds else file, MODEL)
    words_are_open = name in WORDS
    os.environ["MULLAMA_PEERS_OPTION"] = "ignore_eos=true" if name in LENGTHS else ""
