"""Every program that is started in this mount namespace, by the kernel's notice (fanotify, FAN_OPEN_EXEC)."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Final

FAN_CLOEXEC: Final = 0x1
FAN_NONBLOCK: Final = 0x2
FAN_UNLIMITED_QUEUE: Final = 0x10
FAN_MARK_ADD: Final = 0x1
FAN_MARK_MOUNT: Final = 0x10
FAN_OPEN_EXEC: Final = 0x1000
AT_FDCWD: Final = -100
_METADATA: Final = struct.Struct("=IBBHQii")  # length, version, reserved, metadata length, mask, file descriptor, process id


class Started:
    """`programs`: how often each was started, by the name of its file."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]
        self.programs: Counter[str] = Counter()
        self._group = libc.fanotify_init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE, os.O_RDONLY | os.O_CLOEXEC)
        if self._group < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        for mount in mounts():
            libc.fanotify_mark(self._group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_EXEC, AT_FDCWD, os.fsencode(mount))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            if select.select([self._group], [], [], 0.1)[0]:
                self._take(os.read(self._group, 65536))

    def _take(self, notices: bytes) -> None:
        while notices:
            length, _version, _reserved, _size, _mask, descriptor, _pid = _METADATA.unpack_from(notices)
            if descriptor >= 0:
                self.programs[str(Path(f"/proc/self/fd/{descriptor}").readlink())] += 1
                os.close(descriptor)
            notices = notices[length:]

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._group)


def mounts() -> list[str]:
    """Mount points of this mount namespace."""
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
