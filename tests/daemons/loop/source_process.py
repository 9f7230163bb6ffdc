"""The event source as a process of its own, with a queue that writes what it is given to a file, a line each: `ARGUMENTS OUTPUT`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from closedloop_loop.intake import source


class Queue:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def put(self, item: dict[str, Any], /) -> None:
        line = json.dumps(item).encode() + b"\n"
        assert os.write(self._file, line) == len(line)


if __name__ == "__main__":
    asyncio.run(source.run(Queue(sys.argv[2]), json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
