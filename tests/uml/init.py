"""Process 1 inside User Mode Linux: init.py FOLDER.

FOLDER is the machine's folder that is writable here, as JOB. `commands.json` in it is a list of commands; their exit statuses go to
`statuses.json`. The rest of the machine's files is read-only, what is volatile (/run, /tmp, /dev) is the guest's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import termios
import traceback
from pathlib import Path

JOB = "/run/job"
_LIBC = ctypes.CDLL(None, use_errno=True)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POWER_OFF = 0x4321FEDC
_VOLATILE = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
)


def mount(kind: str, target: str, options: str = "") -> None:
    if _LIBC.mount(kind.encode(), target.encode(), kind.encode(), 0, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount {kind} at {target}: {os.strerror(ctypes.get_errno())}")


def main(folder: str) -> None:
    for kind, target in _VOLATILE:
        mount(kind, target)
    for needed in (JOB, "/run/netns", "/run/closedloop", "/dev/pts", "/dev/shm"):
        Path(needed).mkdir(exist_ok=True)
    mount("hostfs", JOB, folder)
    mount("devpts", "/dev/pts")
    mount("tmpfs", "/dev/shm")
    os.chdir(Path(__file__).resolve().parents[2])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    commands = json.loads(Path(JOB, "commands.json").read_text())
    statuses = [subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode for command in commands]
    Path(JOB, "statuses.json").write_text(json.dumps(statuses))


if __name__ == "__main__":
    os.environ.update(PATH=_PATH, HOME="/tmp", LANG="C.UTF-8", PYTHONDONTWRITEBYTECODE="1", HYPOTHESIS_STORAGE_DIRECTORY="/tmp/hypothesis")
    try:
        main(sys.argv[1])
    except Exception:
        traceback.print_exc()
    finally:
        termios.tcdrain(sys.stdout.fileno())
        _LIBC.reboot(_POWER_OFF)
