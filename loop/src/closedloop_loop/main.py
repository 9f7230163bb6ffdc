"""The command `closedloop`.

Exit status: 0 done, 1 it could not be done (one line on stderr says what and why), 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Final

from closedloop_loop import __version__
from closedloop_loop.errors import CommandError

COMMANDS: Final = ("operations", "replay", "availability", "schema", "ves", "runner")
"""Modules of closedloop_loop.commands."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="closedloop", description="The control loop: events, analytics, policy, operations.")
    top.add_argument("--version", action="version", version=f"closedloop {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"closedloop_loop.commands.{name}")
        module.arguments(commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY))
    return top


def command_line(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        return int(importlib.import_module(f"closedloop_loop.commands.{args.command}").run(args))
    except CommandError as error:
        print(f"closedloop {args.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def main() -> None:
    """Entry point."""
    sys.exit(command_line())


if __name__ == "__main__":
    main()
