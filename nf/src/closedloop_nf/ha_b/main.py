"""The command `ha-b`."""

from __future__ import annotations

import asyncio
import sys

from closedloop_nf.ha_b.config import Config, check
from closedloop_nf.runtime.serve import command_line


async def start(config: Config, stop: asyncio.Event) -> None:
    from closedloop_nf.ha_b.shell import Shell  # after --check and --schema

    await Shell(config).run(stop)


def main() -> None:
    """Entry point."""
    sys.exit(command_line("ha-b", Config, start, check))


if __name__ == "__main__":
    main()
