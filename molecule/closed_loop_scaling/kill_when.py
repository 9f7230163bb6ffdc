"""Runs a command and kills it (SIGKILL to all of it) when a file holds a text: kill_when.py FILE TEXT COMMAND...

Exit status 0 when it was killed, 1 when it had ended before.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    file, text, *command = sys.argv[1:]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        if Path(file).is_file() and text in Path(file).read_text(encoding="utf-8"):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return 0
        time.sleep(0.005)
    return 1


if __name__ == "__main__":
    sys.exit(main())
