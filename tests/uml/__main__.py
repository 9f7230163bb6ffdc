"""Kernel and daemon tests on a kernel that has both data planes and the kernel's own Mobile IPv6: User Mode Linux, two machines at a time.

    python -m tests.uml REPORTS

REPORTS gets `uml-<machine>/junit.xml`. Fails when a test fails, and when a data plane that this is about was not met by any.
"""

from __future__ import annotations

import contextlib
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.uml.kernel import ROOT, built
from tests.uml.machine import Machine, job

MACHINES = {
    "kernel": ("tests/kernel", "--ignore=tests/kernel/test_tunnel.py", "-k", "not seg6"),
    "daemons": ("tests/daemons/data_plane", "tests/kernel/test_tunnel.py", "-k", "data_plane or not seg6"),
}
"""What runs on which, in about the same time. The data plane seg6 has its kernel tests on the machine's own kernel."""
MET = {
    ("tests.kernel.test_guard", "ip6tnl"),
    ("tests.kernel.test_scale", "ip6tnl"),
    ("tests.kernel.test_tunnel", "ip6tnl"),
    ("tests.kernel.test_mip6", "the_kernel"),
    ("tests.kernel.test_kernel_features", "home_address_option"),
    ("tests.daemons.data_plane.test_data_plane", "ip6tnl"),
    ("tests.daemons.data_plane.test_data_plane", "seg6"),
    ("tests.daemons.data_plane.test_kernel_peer", "ip6tnl"),
    ("tests.daemons.data_plane.test_kernel_peer", "seg6"),
}
"""(test module, part of a test's name) of which something must have passed."""


def passed(file: Path) -> set[tuple[str, str]]:
    """(test module, name) of the test cases that passed."""
    return {
        (case.get("classname", ""), case.get("name", ""))
        for case in ElementTree.parse(file).iter("testcase")
        if not any(case.find(outcome) is not None for outcome in ("failure", "error", "skipped"))
    }


def main(reports: Path) -> int:
    if os.geteuid():
        raise SystemExit("the tests are root inside the machine and read this machine's files with your rights: run it as root")
    kernel = built()
    statuses: list[int] = []
    met: set[tuple[str, str]] = set()
    with contextlib.ExitStack() as running:
        machines = []
        for name, arguments in MACHINES.items():
            pytest = [
                sys.executable,
                "-m",
                "pytest",
                "-v",
                "--color=no",
                "--tb=short",
                "-p",
                "no:cacheprovider",
                f"--junitxml={job('junit.xml')}",
            ]
            machine = Machine(kernel, name, reports / f"uml-{name}", [[*pytest, *arguments]])
            running.callback(machine.close)
            machines.append(machine)
        for machine in machines:
            statuses += machine.statuses()
            met |= passed(machine.folder / "junit.xml")
    missed = [(module, part) for module, part in sorted(MET) if not any(module == place and part in name for place, name in met)]
    for module, part in missed:
        print(f"no test of {module} with {part} in its name has passed", flush=True)
    return int(any(statuses) or bool(missed))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(Path(sys.argv[1]).resolve()))
