"""`closedloop ves`; the work is in closedloop_loop.intake.command, whose libraries the other commands do not wait for."""

from __future__ import annotations

import argparse
from typing import Final

SUMMARY: Final = "Receive VES events over HTTPS and record them: the event source closedloop.mobility.ves on its own."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--config", metavar="FILE", help="YAML configuration file")
    parser.add_argument("--check", action="store_true", help="check the configuration and end")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of the configuration and end")
    parser.add_argument(
        "--credential", metavar="NAME", help="ask for a password (or read it from standard input) and print a line for the credentials file"
    )


def run(args: argparse.Namespace) -> int:
    """Raises CommandError."""
    from closedloop_loop.intake import command

    return command.run(args)
