"""`closedloop schema`: the JSON schemas of what the loop reads and writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, Final

from closedloop_loop import onset
from closedloop_loop.intake import config
from closedloop_loop.kafka import worker_config
from closedloop_loop.policy import load

SUMMARY: Final = "Print the JSON schema of the control loop message, of a policy file, or of an event source's arguments."
SCHEMAS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "onset": onset.schema,
    "policy": load.schema,
    "ves_kafka": worker_config.schema,
    "ves_source": lambda: config.schema(config.SourceConfig),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("of", choices=sorted(SCHEMAS))


def run(args: argparse.Namespace) -> int:
    print(json.dumps(SCHEMAS[args.of](), indent=2, sort_keys=True))
    return 0
