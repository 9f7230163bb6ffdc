"""pyroute2 without the four fifths of it that nobody here uses.

The package `pyroute2` imports everything it has when any of its modules is imported. That takes five times as long as the message classes
that the data plane sends, and every start would wait for it, that of a home agent which takes over too. Here the package gets its own names
when somebody asks for one of them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec


def load_on_demand(name: str) -> None:
    """From now on an import of a module of this package runs that module only; the first use of a name of the package runs the package.

    A package that is imported already stays as it is, and one that is missing is missed where it is imported.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    package, loader = module_from_spec(spec), spec.loader

    def found(attribute: str) -> object:
        if find_spec(f"{name}.{attribute}") is not None:
            return import_module(f"{name}.{attribute}")
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = found
    sys.modules[name] = package
