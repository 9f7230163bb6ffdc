"""The one error family of the kernel layer."""

from __future__ import annotations


class KernelError(OSError):
    """The kernel refused something. The message names the object (address, interface, table), the kernel's answer and the remedy."""


class DuplicateInstanceError(KernelError):
    """Another live process already owns the guard of this network namespace."""
