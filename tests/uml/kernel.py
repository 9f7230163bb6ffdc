"""User Mode Linux with what Mobile IPv6 needs (role mipv6_kernel) and `kernel.config`, built by closedloop.mobility.kernel_build from the
distribution's kernel source, and kept in its cache: /var/cache/closedloop, or what CLOSEDLOOP_CACHE names.

The distributions' own package user-mode-linux will not do: it has no nftables for IPv6 (CONFIG_NF_TABLES_IPV6), which the guards live in.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from ansible_collections.closedloop.mobility.plugins.module_utils import kernel_build, kernel_symbols
from ansible_collections.closedloop.mobility.plugins.module_utils.outcome import MobilityError

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = Path(__file__).with_name("kernel.config")
ROLE = ROOT / "roles/mipv6_kernel"


def built() -> Path:
    """The kernel, an executable. Raises SystemExit that says what is missing or what went wrong."""
    print("User Mode Linux is built where it is not in the cache: about 3 minutes on two cores that are free", flush=True)
    try:
        kernel = kernel_build.run(
            {
                "source": str(_source()),
                "sha256": None,
                "base_config": "",
                "symbols": yaml.safe_load((ROLE / "vars/main.yml").read_text())["__mipv6_kernel_symbols"],
                "options": {name: value.strip('"') for name, value in kernel_symbols.parse(OPTIONS.read_text()).items()},
                "kind": "user_mode_linux",
                "cache_directory": os.environ.get("CLOSEDLOOP_CACHE", "/var/cache/closedloop"),
                "space_mib": 2048,
            },
            check_mode=False,
        )
    except MobilityError as error:
        raise SystemExit(str(error)) from None
    return Path(kernel.values["files"][0])


def _source() -> Path:
    found = [path for path in Path("/usr/src").glob("linux-source-*.tar.*") if path.suffix in (".xz", ".bz2")]
    if not found:
        raise SystemExit("/usr/src holds no linux-source-*.tar.xz: `make setup` installs the package linux-source")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


if __name__ == "__main__":
    print(built())
