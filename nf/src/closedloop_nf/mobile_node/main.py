"""The command `mobile-node`."""

from __future__ import annotations

import asyncio
import sys

from closedloop_nf.mobile_node.config import Config, settings
from closedloop_nf.runtime.http import bearer_token
from closedloop_nf.runtime.serve import command_line
from closedloop_nf.runtime.tls import server_context


async def start(config: Config, stop: asyncio.Event) -> None:
    from closedloop_nf.mobile_node.shell import Shell  # after --check and --schema, which need no kernel

    await Shell(config).run(stop)


def check(config: Config) -> None:
    """Read the files the configuration names. Raises ConfigError."""
    settings(config)
    if config.http is not None:
        bearer_token(config.http)
        if config.http.tls is not None:
            server_context(config.http.tls, "http.tls")


def main() -> None:
    """Entry point."""
    sys.exit(command_line("mobile-node", Config, start, check))


if __name__ == "__main__":
    main()
