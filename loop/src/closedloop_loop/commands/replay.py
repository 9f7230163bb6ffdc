"""`closedloop replay`"""

import argparse

SUMMARY = "x"


def arguments(parser: argparse.ArgumentParser) -> None: ...
def run(args: argparse.Namespace) -> int:
    return 0
