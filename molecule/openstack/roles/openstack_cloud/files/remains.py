"""Print every process that has a file of a directory open, as "PID NAME".

remains.py DIRECTORY
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def identities(paths: Iterator[Path]) -> set[tuple[int, int]]:
    """Device and inode of those that are still there when they are looked at."""
    found = set()
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found.add((status.st_dev, status.st_ino))
    return found


def main(directory: Path) -> None:
    files = identities(directory.rglob("*"))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if identities((process / "fd").iterdir()) & files:
                print(process.name, (process / "comm").read_text().strip())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
