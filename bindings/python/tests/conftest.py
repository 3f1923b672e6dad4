"""Models for the tests, programs that run in their own process, and the results of the vectors."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

import mullama


@pytest.fixture(scope="session")
def runtime():
    with mullama.Runtime(echo=True) as r:
        yield r


@pytest.fixture(scope="session")
def model(runtime):
    with runtime.load("echo", ctx_size=64) as m:
        yield m


@pytest.fixture(scope="session")
def real_file():
    """The file of a real model."""
    path = os.environ.get("MULLAMA_TEST_MODEL")
    if not path:
        pytest.skip("MULLAMA_TEST_MODEL is not set")
    return os.path.abspath(path)


@pytest.fixture
def program():
    """Runs a program in an interpreter of its own, and returns what it prints."""

    def run(text, *args, **environment):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(text), *args],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


_outcomes = {}
_reasons = []


def pytest_runtest_logreport(report):
    name = dict(report.user_properties).get("vector")
    if name and (report.when == "call" or report.outcome != "passed"):
        _outcomes[name] = report.outcome
        if report.outcome == "skipped":
            _reasons.append({"name": name, "reason": report.longrepr[2].removeprefix("Skipped: ")})


def pytest_sessionfinish():
    path = os.environ.get("MULLAMA_RESULTS")
    if path:
        outcomes = list(_outcomes.values())
        results = {
            "language": "python",
            "passed": outcomes.count("passed"),
            "failed": outcomes.count("failed"),
            "skipped": _reasons,
            "cases": _outcomes,
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)
            file.write("\n")
