"""Errors that a command shows as one line."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it was told; the text is for the user: what, where, and the remedy."""
