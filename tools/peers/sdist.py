"""Downloads the source archive of one package with pip's own client, without running its build.

`pip download` asks a source archive for its metadata, and some build for minutes to answer. This
uses the same settings (index, proxies, certificates) and stops at the file.

usage: sdist.py NAME VERSION FILE
"""

import sys

from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet

name, version, path = sys.argv[1:]
command = create_command("download")
options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", name])
with command.main_context():
    session = command._build_session(options)
    finder = command._build_package_finder(options, session)
    found = finder.find_best_candidate(name, SpecifierSet("==" + version)).best_candidate
    if found is None:
        sys.exit(f"the package index has no source archive of {name} {version}")
    with session.get(found.link.url_without_fragment, stream=True) as response:
        response.raise_for_status()
        with open(path, "wb") as file:
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)
