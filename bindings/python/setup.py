"""Builds the extension, and puts into the package what lies outside this folder."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
SHARED = ("include/mullama.h", "VERSION", "LICENSE")  # an sdist has copies of these
ROOT = REPOSITORY if (REPOSITORY / SHARED[0]).exists() else HERE

BUNDLE = os.environ.get("MULLAMA_BUNDLE")  # a folder with the libraries that the wheel is to have

# The glibc of the first distributions whose libstdc++ has GLIBCXX_3.4.N: N, and the 2.N of glibc.
LIBSTDCXX = ((28, 31), (29, 34), (30, 35), (33, 39))

SOURCES = ("callbacks", "embed", "handles", "indexes", "library", "models", "module", "streams")
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
    """Adds the libraries of the bundle."""

    def run(self):
        super().run()
        package = Path(self.build_lib, "mullama")
        for old in package.glob("lib*.so*"):
            old.unlink()  # of an earlier build
        for library in Path(BUNDLE).glob("lib*.so*") if BUNDLE else ():
            shutil.copy(library, package)


class BdistWheel(bdist_wheel):
    """Names the glibc that a bundle needs, so that it is not installed on an older system."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if BUNDLE:
            files = Path(self.bdist_dir, "mullama").glob("*.so*")
            platform = platform.replace("linux_", f"manylinux_2_{glibc(files)}_", 1)
        return python, abi, platform


def glibc(files):
    """The N of the oldest glibc 2.N with which all files can be loaded."""
    command = ["readelf", "--wide", "--version-info", *map(str, files)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    glibc = max(int(n) for n in re.findall(r"Name: GLIBC_2\.(\d+)", text))
    libstdcxx = max([0, *(int(n) for n in re.findall(r"Name: GLIBCXX_3\.4\.(\d+)", text))])
    return max(glibc, next(glibc for newest, glibc in LIBSTDCXX if libstdcxx <= newest))


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
    cmdclass={"bdist_wheel": BdistWheel, "build_py": BuildPy, "sdist": Sdist},
)
