"""Builds the extension, and puts into the package what lies outside this folder."""

import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SHARED = ("include/mullama.h", "VERSION", "LICENSE")  # an sdist has copies of these
ROOT = REPOSITORY if (REPOSITORY / SHARED[0]).exists() else HERE

LIBRARIES = ("libmullama.so", "libmullama-native.so")

SOURCES = ("callbacks", "handles", "library", "models", "module", "streams")
FLAGS = ["-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]


class Sdist(sdist):
    """Adds the files of the repository that the build needs."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in SHARED:
            target = Path(base_dir, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)


class BuildPy(build_py):
    """Adds the libraries of the folder MULLAMA_BUNDLE, if that is set."""

    def run(self):
        super().run()
        bundle = os.environ.get("MULLAMA_BUNDLE")
        for name in LIBRARIES:
            target = Path(self.build_lib, "mullama", name)
            target.unlink(missing_ok=True)  # of an earlier build
            if bundle and (name == LIBRARIES[0] or Path(bundle, name).exists()):
                shutil.copy(Path(bundle, name), target)


def version():
    """The version of the repository, as Python spells it: 0.1.0-dev is 0.1.0.dev0."""
    return (ROOT / "VERSION").read_text().strip().replace("-dev", ".dev0")


setup(
    version=version(),
    ext_modules=[
        Extension(
            "mullama._abi",
            sources=[f"src/abi/{name}.c" for name in SOURCES],
            depends=["src/abi/abi.h"],
            include_dirs=[os.path.relpath(ROOT / "include", HERE)],
            define_macros=[("_GNU_SOURCE", None)],
            extra_compile_args=FLAGS,
            libraries=["dl", "pthread"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
    cmdclass={"build_py": BuildPy, "sdist": Sdist},
)
