"""Sysctls below net/. They are writable with CAP_NET_ADMIN alone, unless /proc/sys is mounted read-only (as in an unprivileged pod)."""

from __future__ import annotations

from pathlib import Path

from closedloop_nf.kernel.errors import KernelError

_ROOT = Path("/proc/sys")


def read_sysctl(name: str) -> str:
    """Value of `net/...` (slashes, because interface names may hold dots)."""
    return (_ROOT / name).read_text(encoding="ascii").strip()


def set_sysctl(name: str, value: int) -> None:
    """Set it where it differs. Raises KernelError that says what the operator has to set."""
    path = _ROOT / name
    try:
        if read_sysctl(name) == str(value):
            return
        path.write_text(str(value), encoding="ascii")
    except OSError as error:
        raise KernelError(
            error.errno or 0,
            f"sysctl {name} must be {value} and cannot be set ({error.strerror}); set it before the start, in a pod by the tuning plug-in",
        ) from error
