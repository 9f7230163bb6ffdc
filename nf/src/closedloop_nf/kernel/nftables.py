"""libnftables by ctypes: commands in nft's own language, run in this process, in the network namespace of the caller.

A context's netlink socket owns the tables made with `flags owner`: they vanish when the process ends, however it ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from closedloop_nf.kernel.errors import KernelError

_ABOVE = 256
"""Descriptor number the context's socket gets at least, see Nftables."""


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise KernelError(0, f"libnftables.so.1 cannot be loaded ({error}); install the package libnftables1") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.restype = None
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{name}").argtypes = [ctypes.c_void_p]
        getter = getattr(library, f"nft_ctx_get_{name}_buffer")
        getter.argtypes, getter.restype = [ctypes.c_void_p], ctypes.c_char_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    return library


class NftError(KernelError):
    """nft refused a command; `permission` tells that a table is owned by another process or that CAP_NET_ADMIN is missing."""

    def __init__(self, answer: str) -> None:
        super().__init__(1, f"nftables refused a command: {answer}")
        self.missing = "No such file or directory" in answer
        self.permission = "Operation not permitted" in answer


class Nftables:
    """One libnftables context.

    The kernel releases the descriptors of a killed process from the highest number to the lowest (task_work is last in, first out). The
    owned table has to be gone before the health port refuses connections, because that refusal is the backend's proof that this process
    no longer forwards. So the context's socket gets a high number; the listener, opened like any socket, gets a low one. It is
    close-on-exec, so that no child keeps the table alive.
    """

    def __init__(self) -> None:
        library = _library()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        above = _ABOVE if limit == resource.RLIM_INFINITY else min(_ABOVE, limit // 2)
        with ExitStack() as placeholders:
            null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            placeholders.callback(os.close, null)
            while (number := fcntl.fcntl(null, fcntl.F_DUPFD_CLOEXEC, 0)) < above:
                placeholders.callback(os.close, number)
            os.close(number)
            before = _descriptors()
            context = library.nft_ctx_new(0)
            opened = _descriptors() - before
        if not context:
            raise KernelError(0, "libnftables cannot open a netlink socket; CAP_NET_ADMIN is needed in this network namespace")
        for number in opened:
            with suppress(OSError):  # the listed directory's own
                fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self._context: int | None = context
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)

    def run(self, commands: str) -> str:
        """Run commands as one transaction: all or nothing. Returns what they print. Raises NftError."""
        if self._context is None:
            raise KernelError(0, "the nftables context is closed")
        library = _library()
        failed = library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = library.nft_ctx_get_output_buffer(self._context)
        error: bytes = library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise NftError(" / ".join(line.strip() for line in error.decode(errors="replace").splitlines()[:2])[:300])
        return output.decode(errors="replace")

    def run_json(self, commands: str) -> str:
        """The same with JSON output."""
        library = _library()
        library.nft_ctx_output_set_flags(self._context, 1 << 4)
        try:
            return self.run(commands)
        finally:
            library.nft_ctx_output_set_flags(self._context, 0)

    def close(self) -> None:
        """Free the context; tables it owns vanish."""
        if self._context is not None:
            _library().nft_ctx_free(self._context)
            self._context = None


def _descriptors() -> frozenset[int]:
    """Open descriptor numbers, of the directory being listed too."""
    return frozenset(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
