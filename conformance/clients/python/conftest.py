"""The daemon under test: its address and the name of its model come from the Go test that runs this."""

import json
import os
import time
import urllib.request

import pytest

URL = os.environ["MULLAMA_URL"]
MODEL = os.environ["MULLAMA_MODEL"]
KEENER_MODEL = os.environ["MULLAMA_KEENER_MODEL"]
EMBED_MODEL = os.environ["MULLAMA_EMBED_MODEL"]


@pytest.fixture(scope="session")
def url():
    return URL


@pytest.fixture(scope="session")
def model():
    return MODEL


@pytest.fixture(scope="session")
def keener_model():
    """A model that can fill in the middle of a text."""
    return KEENER_MODEL


@pytest.fixture(scope="session")
def embed_model():
    return EMBED_MODEL


# What a model that nothing stops writes for minutes: no test waits for its end.
ENDLESS = "Count to a million: one, two, three,"


def a_slot_is_busy():
    with urllib.request.urlopen(URL + "/slots") as answer:
        return any(slot["is_processing"] for slot in json.load(answer))


def slots_become(busy):
    # Not about speed: a request that goes on unheard keeps its slot for much longer than this.
    deadline = time.monotonic() + 10
    while a_slot_is_busy() != busy:
        assert time.monotonic() < deadline, "no request has a slot" if busy else "a request still has a slot"
        time.sleep(0.02)


@pytest.fixture
def cancelled():
    """Checks around a test that its request had a slot, which the test tells by a call, and lost it."""
    calls = []

    def has_a_slot():
        slots_become(True)
        calls.append(True)

    slots_become(False)
    yield has_a_slot
    assert calls, "the test did not look whether its request has a slot"
    slots_become(False)


@pytest.fixture
def unloaded():
    """The cache is empty, because what else is in it moves the last bits: docs/determinism.md."""
    body = json.dumps({"model": MODEL, "keep_alive": 0}).encode()
    with urllib.request.urlopen(URL + "/api/generate", body) as answer:
        assert answer.status == 200
