"""The command `closedloop`."""

from __future__ import annotations


def main() -> None:
    """Entry point."""


if __name__ == "__main__":
    main()
