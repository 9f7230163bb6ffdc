"""The package is importable where it cannot work: without libnftables, and without the start-up time of pyroute2."""

from __future__ import annotations

import subprocess
import sys


def test_every_module_imports_without_loading_a_library() -> None:
    program = """
import ctypes, importlib, pkgutil, sys
def refuse(*_):
    raise AssertionError("a library was loaded at import")
ctypes.CDLL = refuse
import closedloop_nf.kernel as package
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module("closedloop_nf.kernel." + module.name)
assert "pyroute2" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
