"""The command `ha-pp`."""

from __future__ import annotations

import asyncio
import sys

from closedloop_nf.ha_pp.config import Config
from closedloop_nf.runtime.config import read_secret
from closedloop_nf.runtime.serve import command_line
from closedloop_nf.runtime.tls import client_context
from closedloop_nf.ves import config as ves


async def start(config: Config, stop: asyncio.Event) -> None:
    from closedloop_nf.ha_pp.shell import Shell  # after --check and --schema, which need no kernel

    await Shell(config).run(stop)


def check(config: Config) -> None:
    """Read the files the configuration names. Raises ConfigError."""
    client_context(config.backend.tls, "backend.tls")
    if config.ves is not None:
        ves.check(config.ves)
    if config.backend.token_file is not None:
        read_secret(config.backend.token_file, "backend.token_file")


def main() -> None:
    """Entry point."""
    sys.exit(command_line("ha-pp", Config, start, check))


if __name__ == "__main__":
    main()
