"""Attack the control loop and tell what was found.

    python -m tests.hostile [--events 20000] [--alarms 12] [--seed N]

It runs in namespaces of its own (network, mounts, processes), so nothing outside is reached and nothing is left; root is needed. The
findings are in reports/hostile/findings.json. The exit status says only whether the run was complete: claims.py
holds the findings against what they must show, in test_hostile.py and, for a million events, in `python -m tests.hostile.bench`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "CLOSEDLOOP_HOSTILE_INSIDE"
# A shell as process 1 reaps what daemons leave behind. Names are looked up at ::1, where the trap is.
ENTER = """
ip link set lo up
for folder in /tmp /run/netns /run/closedloop; do mkdir -p $folder && mount -t tmpfs tmpfs $folder; done
echo nameserver ::1 > /tmp/resolv.conf && mount --bind /tmp/resolv.conf /etc/resolv.conf
"$@"; exit $?
"""


def enter() -> None:
    """Start again in namespaces of our own."""
    environment = os.environ | {INSIDE: "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'collections'}"}
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", ENTER, "sh"]
    os.execvpe("unshare", [*argv, sys.executable, "-m", "tests.hostile", *sys.argv[1:]], environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000, help="at least so many events that are accepted (20000)")
    parser.add_argument("--alarms", type=int, default=12, help="at least so many honest alarms with hostile other fields (12)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    options = parser.parse_args()
    if INSIDE not in os.environ:
        enter()
    from tests.hostile.suite import Suite, say

    reports = ROOT / "reports/hostile"
    reports.mkdir(parents=True, exist_ok=True)
    say(f"seed {options.seed}")
    suite = Suite(Path(tempfile.mkdtemp(prefix="hostile-")), reports, options.seed)
    try:
        findings = suite.run(options.events, options.alarms)
        findings.write(reports / "findings.json")
    finally:
        suite.keep_logs()


if __name__ == "__main__":
    main()
