"""User Mode Linux with `kernel.config`, built from the distribution's kernel source; kept outside of the checkout, in
/var/cache/closedloop/uml (CLOSEDLOOP_CACHE instead of /var/cache/closedloop), by the hash of both.

The distributions' own package user-mode-linux will not do: it has no nftables for IPv6 (CONFIG_NF_TABLES_IPV6), which the guards live in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("CLOSEDLOOP_CACHE", "/var/cache/closedloop")) / "uml"
OPTIONS = Path(__file__).with_name("kernel.config")
_UNNEEDED = (
    *("Documentation/*/*", "tools/testing/*", "arch/[!ux]*/*.[chS]", "*.dts", "*.dtsi"),
    *(f"{folder}/*.[ch]" for folder in ("sound", "drivers/gpu", "drivers/net/ethernet", "drivers/net/wireless", "drivers/media")),
    *(f"{folder}/*.[ch]" for folder in ("drivers/infiniband", "drivers/scsi", "drivers/staging")),
)


def built() -> Path:
    """The kernel, an executable. Raises SystemExit that says what is missing or what went wrong."""
    source = _source()
    wanted = hashlib.sha256(
        " ".join([*_options(), source.name, str(source.stat().st_size), str(source.stat().st_mtime_ns)]).encode()
    ).hexdigest()
    kernel = CACHE / f"linux-{wanted[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # of two checkouts one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kernel.exists():
            _build(source, kernel)
    return kernel


def _source() -> Path:
    found = [path for path in Path("/usr/src").glob("linux-source-*.tar.*") if path.suffix in (".xz", ".bz2")]
    if not found:
        raise SystemExit("/usr/src holds no linux-source-*.tar.xz: `make setup` installs the package linux-source")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def _options() -> list[str]:
    return [line for line in OPTIONS.read_text().splitlines() if line.startswith("CONFIG_")]


def _build(source: Path, kernel: Path) -> None:
    begun = time.monotonic()
    tree = CACHE / "source"
    shutil.rmtree(tree, ignore_errors=True)  # of a build that was killed
    tree.mkdir()
    print(f"building User Mode Linux from {source.name}, once: about 3 minutes on two cores that are free", flush=True)
    _run(["tar", "-x", "-f", str(source), "-C", str(tree), "--strip-components=1", *(f"--exclude=*/{name}" for name in _UNNEEDED)])
    make = ["make", "-C", str(tree), "ARCH=um"]
    _run([*make, "-s", "allnoconfig", f"KCONFIG_ALLCONFIG={OPTIONS}"])
    _check_options(tree / ".config")
    _compile([*make, f"-j{os.cpu_count() or 1}", "linux"])
    _run(["strip", str(tree / "linux")])
    (tree / "linux").rename(kernel)
    shutil.rmtree(tree)
    print(f"built in {time.monotonic() - begun:.0f} s", flush=True)


def _check_options(config: Path) -> None:
    """An option that the source no longer knows, or whose dependency is off, is left out by `make` without a word."""
    missing = set(_options()) - set(config.read_text().splitlines())
    if missing:
        raise SystemExit(f"this kernel source does not take {', '.join(sorted(missing))}; correct {OPTIONS.name}")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stdout[-2000:]}")


def _compile(command: list[str]) -> None:
    """`make`, with a line now and then that tells how far it is."""
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None, "a pipe was asked for"
        for line in process.stdout:
            lines.append(line)
            if len(lines) % 100 == 0:
                print(f"  {len(lines)} steps", flush=True)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines[-40:])}")
