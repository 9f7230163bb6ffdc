"""A loop worker as ansible-rulebook runs it, without the rulebook: what is handed on is begun and finished at once.

python -m closedloop_tools.kafka.worker ARGUMENTS.json
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from closedloop_loop.clock import now
from closedloop_loop.kafka import worker
from closedloop_loop.operations.journal import Journal
from closedloop_loop.operations.model import Operation
from closedloop_loop.operations.store.open import open_store


class Rulebook:
    """Takes what a worker hands on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def put(self, item: dict[str, Any], /) -> None:
        await asyncio.to_thread(self._carry_out, item["onset"]["requestID"])

    def _carry_out(self, request_id: str) -> None:
        claimed = self._journal.claim(request_id, f"worker-{os.getpid()}", now())
        if isinstance(claimed, Operation):
            self._journal.finish(request_id, claimed.token, True, "", now())


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    arguments = json.loads(Path(sys.argv[1]).read_text())
    asyncio.run(worker.run(Rulebook(Journal(open_store(arguments["operations"]))), arguments))


if __name__ == "__main__":
    main()
