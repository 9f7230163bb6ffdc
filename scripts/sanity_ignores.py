"""Write tests/sanity/ignore-2.19.txt: what ansible-test shall not judge, with the reason; with --check only say whether it is up to date.

There are two reasons, each for a whole folder, and ansible-test wants a line per file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "tests/sanity/ignore-2.19.txt"

# Plug-in types whose files validate-modules reads.
DOCUMENTED = ("modules", "callback", "connection", "inventory", "lookup")


def lines() -> Iterator[str]:
    for folder in DOCUMENTED:
        for file in sorted((ROOT / "plugins" / folder).glob("*.py")):
            yield f"{file.relative_to(ROOT)} validate-modules:missing-gplv3-license # the collection is under Apache-2.0"
    for file in sorted(file for package in ("loop", "nf", "tools") for file in (ROOT / package / "src").rglob("*.py")):
        if file.stat().st_size:
            yield f"{file.relative_to(ROOT)} pylint!skip # not Ansible code: ruff and mypy --strict judge it"


def main(check: bool) -> int:
    text = "".join(f"{line}\n" for line in lines())
    if not check:
        FILE.write_text(text, encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != text:
        print(f"{FILE.relative_to(ROOT)} does not agree with the files there are: run `make reference` and commit it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
