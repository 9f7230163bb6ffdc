"""`closedloop runner`: the warm runner of playbooks."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

SUMMARY: Final = "Serve ansible-playbook from processes that have imported Ansible already."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH", help="where to listen; only this user may reach it")
    parser.add_argument("--shim", type=Path, metavar="DIR", help="put a command ansible-playbook into DIR, for the PATH of the rulebook")
    parser.add_argument("--collection", type=Path, metavar="DIR", help="folder NAMESPACE/NAME of a collection to be loaded beforehand")


def run(args: argparse.Namespace) -> int:
    """Raises CommandError."""
    from closedloop_loop.runner.server import log, open_server
    from closedloop_loop.runner.setup import install, like_ansible_runner

    server = open_server(args.socket, args.collection)
    if args.shim is not None:
        log("shim", path=str(install(args.shim, server.real, args.socket)))
    env = dict(os.environ)
    server.warm(env, Path.cwd())
    runner_env = like_ansible_runner(env)
    if runner_env is not None:
        server.warm(runner_env, Path.cwd())
    log("listening", socket=str(args.socket))
    server.serve()
    server.drain()
    return 0
