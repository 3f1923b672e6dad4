"""The daemon under test: its address and the name of its model come from the Go test that runs this."""

import os

import pytest

URL = os.environ["MULLAMA_URL"]
MODEL = os.environ["MULLAMA_MODEL"]


@pytest.fixture(scope="session")
def url():
    return URL


@pytest.fixture(scope="session")
def model():
    return MODEL
