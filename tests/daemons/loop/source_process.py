"""An event source as a process of its own, with a queue that writes what it is given to a file, a line each: `ARGUMENTS OUTPUT`.

It is `ves_kafka` where the arguments name a topic, else `ves`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from closedloop_loop.intake import source
from closedloop_loop.kafka import worker


class Queue:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def put(self, item: dict[str, Any], /) -> None:
        line = json.dumps(item).encode() + b"\n"
        assert os.write(self._file, line) == len(line)


if __name__ == "__main__":
    arguments = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    logging.basicConfig(level=logging.INFO)
    run = worker.run if "kafka" in arguments else source.run
    asyncio.run(run(Queue(sys.argv[2]), arguments))
