"""The package is importable where it cannot work, without libnftables, and without the start-up time of all of pyroute2."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_module_imports_without_loading_a_library() -> None:
    run("""
import ctypes, importlib, pkgutil, sys
def refuse(*_):
    raise AssertionError("a library was loaded at import")
ctypes.CDLL = refuse
import closedloop_nf.kernel as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module("closedloop_nf.kernel." + module.name)
assert "pyroute2.netlink.rtnl.rtmsg" in sys.modules
assert not {"pyroute2.iproute", "pyroute2.ndb", "pyroute2.netlink.core"} & set(sys.modules)
""")


def test_who_needs_all_of_pyroute2_in_the_same_process_gets_it() -> None:
    run("""
import closedloop_nf.kernel.messages
import pyroute2, sys
assert "pyroute2.iproute" not in sys.modules
from pyroute2 import netns, NetlinkError
assert pyroute2.IPRoute.__module__ == "pyroute2.iproute.linux"
assert pyroute2.netns is netns and pyroute2.NetlinkError is NetlinkError
from closedloop_nf.kernel.messages import rtmsg
assert pyroute2.netlink.rtnl.rtmsg.rtmsg is rtmsg
try:
    pyroute2.no_such_name
except AttributeError:
    sys.exit(0)
sys.exit("no error for a name that the package lacks")
""")


def test_a_pyroute2_that_is_imported_already_stays() -> None:
    run("""
import pyroute2
before = pyroute2.IPRoute
import closedloop_nf.kernel.messages, sys
assert sys.modules["pyroute2"] is pyroute2 and pyroute2.IPRoute is before
""")
