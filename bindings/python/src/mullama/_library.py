"""Finds and opens libmullama, once in a process and not before it is needed."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Optional, Union

from . import _abi
from ._errors import InvalidError, LibraryMissingError

_NAME = "libmullama.so"
_lock = threading.Lock()  # guards _opened
_opened: Optional[str] = None

# From the end of the interpreter on, no thread of the library enters it, and none does so during a
# fork.
atexit.register(_abi.end_callbacks)
os.register_at_fork(
    before=_abi.before_fork,
    after_in_parent=_abi.after_fork_in_parent,
    after_in_child=_abi.after_fork_in_child,
)


def load_library(path: Union[str, os.PathLike[str], None] = None) -> str:
    """Opens the library, if that has not been done, and returns its version.

    A Runtime does this by itself. Without a path, which may name the file or its folder, the
    library is the one of the environment variable MULLAMA_LIBRARY, else the one beside this
    package's files, else the one that the system's loader finds.

    A process has one library: InvalidError is raised if another is open already. The threads of
    the library do not live through fork(), so a process that forks workers opens it in those.
    """
    global _opened
    given = os.fspath(path) if path is not None else os.environ.get("MULLAMA_LIBRARY", "")
    with _lock:
        if _opened is None:
            _opened = _open_first(_candidates(given))
        elif path is not None and _file(os.fspath(path)) != _opened:
            raise InvalidError(f"a process has one library, and it has opened {_opened} already")
    return _abi.version()


def _file(path: str) -> str:
    path = os.path.abspath(path)
    return os.path.join(path, _NAME) if os.path.isdir(path) else path


def _candidates(given: str) -> list[str]:
    if given:
        return [_file(given)]
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), _NAME)
    return [beside, _NAME + ".0", _NAME]


def _open_first(candidates: list[str]) -> str:
    reasons = []
    for file in candidates:
        try:
            _abi.open_library(file)
            return file
        except LibraryMissingError as error:
            reasons.append(f"{file} ({error})")
    raise LibraryMissingError(
        "libmullama cannot be opened; looked for "
        + "; ".join(reasons)
        + ". Install a package that brings it, or set MULLAMA_LIBRARY to its file or folder"
    )
