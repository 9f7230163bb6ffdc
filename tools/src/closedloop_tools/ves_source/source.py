"""The event source as ansible-rulebook runs it, without the rulebook: `python -m closedloop_tools.ves_source.source ARGUMENTS.json`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from closedloop_loop.intake import source


async def serve(arguments: dict[str, Any]) -> None:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)

    async def rulebook() -> None:
        while True:
            print((await queue.get())["onset"]["closedLoopEventStatus"], file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(rulebook())
        group.create_task(source.run(queue, arguments))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
