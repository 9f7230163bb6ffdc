#!/usr/bin/env python3
"""A "machine" for tests: namespaces of its own (mount, pid, net, uts, ipc, cgroup), a copy-on-write view of this machine's files, and
systemd as its first process. Units, packages' files and daemons work in it as on a server.

    machine.py up NAME --state DIRECTORY --bridge BRIDGE --address ADDRESS/LENGTH... --gateway ADDRESS...
    machine.py down NAME --state DIRECTORY

Its files that differ are in DIRECTORY/NAME, and go with it. Its processes live below this process's own control groups.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

NAMESPACES = 0x00020000 | 0x40000000 | 0x04000000 | 0x08000000 | 0x02000000 | 0x20000000
"""CLONE_NEWNS, NEWNET, NEWUTS, NEWIPC, NEWCGROUP and NEWPID, which Python names since 3.12."""
COPY_ON_WRITE = ("etc", "usr", "var", "opt", "root", "home", "srv")
PLAIN = ("var/lib/containerd", "var/lib/kubelet", "var/lib/etcd", "var/log/pods")
"""What has overlays or databases of its own: an overlay cannot lie on an overlay."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun")
OF_THE_KERNEL = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
"""Below /proc/sys, of no namespace: a machine that sets them sets a copy."""
MASKED_UNITS = (
    "apt-daily-upgrade.timer", "apt-daily.timer", "console-getty.service", "dev-hugepages.mount", "dev-mqueue.mount", "getty.target",
    "proc-sys-fs-binfmt_misc.automount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "systemd-journald-audit.socket", "systemd-logind.service", "systemd-modules-load.service", "systemd-networkd.service",
    "systemd-remount-fs.service", "systemd-resolved.service", "systemd-sysctl.service", "systemd-timesyncd.service",
    "systemd-udev-trigger.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udevd.service",
)  # fmt: skip
"""They are for hardware, or for what the machine underneath does."""
START_S, STOP_S = 60.0, 30.0

_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv: str) -> str:
    """What the command printed; its complaint as the error when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen in {seconds:.0f} s")
        time.sleep(0.05)


def hierarchies() -> list[tuple[str, Path]]:
    """Name of each version 1 hierarchy of control groups, and this process's own group in it."""
    lines = [line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [(name, Path("/sys/fs/cgroup", name.removeprefix("name="), path.lstrip("/"))) for name, path in lines if name]


def make_groups(name: str) -> list[Path]:
    """A group of the machine in each hierarchy. Machines of two tests, even of one name, do not meet."""
    groups = []
    for hierarchy, own in hierarchies():
        group = own / f"closedloop-machine-{name}-{uuid.uuid4().hex[:8]}"
        group.mkdir()
        if hierarchy == "cpuset":
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((own / file).read_text())
        groups.append(group)
    return groups


def remove_groups(groups: list[Path]) -> None:
    def gone() -> bool:
        for group in groups:
            for folder in sorted((path for path in (group, *group.rglob("*")) if path.is_dir()), key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return not any(group.exists() for group in groups)

    until(gone, STOP_S, "the end of all processes of the machine")


def up(name: str, state: Path, bridge: str, addresses: list[str], gateways: list[str]) -> None:
    home = state / name
    (home / "root").mkdir(parents=True)
    groups = make_groups(name)
    (home / "machine.json").write_text(json.dumps({"groups": [str(group) for group in groups]}))
    ready, go = os.pipe()
    pid = _first_process(name, home, groups, ready, go, addresses, gateways)
    (home / "machine.json").write_text(json.dumps({"groups": [str(group) for group in groups], "pid": pid, "start": start_time(pid)}))
    os.close(ready)
    run("ip", "link", "add", f"v-{name}"[:15], "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", f"v-{name}"[:15], "master", bridge, "up")
    inside = ("nsenter", "--target", str(pid), "--net", "ip")
    for link in ("lo", "eth0"):
        run(*inside, "link", "set", link, "up")
    for address in addresses:
        run(*inside, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    for gateway in gateways:
        run(*inside, "-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway)
    os.write(go, b"1")
    os.close(go)
    asked = ["nsenter", "--target", str(pid), "--all", "systemctl", "is-system-running"]
    until(
        lambda: subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() in ("running", "degraded"),
        START_S,
        f"the start of systemd in {name}",
    )
    (home / "pid").write_text(str(pid))


def _first_process(name: str, home: Path, groups: list[Path], ready: int, go: int, addresses: list[str], gateways: list[str]) -> int:
    """Start the process that becomes systemd, in new namespaces; it waits until `go` is written. Returns its process id here."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.setsid()
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))
        if _libc.unshare(NAMESPACES):
            os._exit(1)
        grandchild = os.fork()
        if grandchild:
            os.write(tell, str(grandchild).encode())
            os._exit(0)
        os.close(tell)
        os.close(told)
        if os.read(ready, 1) != b"1":
            os._exit(1)
        console = os.open(home / "console.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, console), (2, console)):
            os.dup2(source, descriptor)
        try:
            become_machine(name, home, addresses, gateways)
        except BaseException as error:
            print(error, flush=True)
            os._exit(1)
    os.close(tell)
    text = os.read(told, 16)
    os.waitpid(child, 0)
    if not text:
        raise SystemExit(f"{name}: no namespaces; this needs root and the right to make them")
    return int(text)


def become_machine(name: str, home: Path, addresses: list[str], gateways: list[str]) -> None:
    """In the new namespaces, as their first process: the view of files, and then systemd in this process's place."""
    root = home / "root"
    run("mount", "--make-rprivate", "/")
    mount("tmpfs", root, "mode=755")
    for folder in COPY_ON_WRITE:
        for part in ("disk", "scratch"):
            (home / part / folder).mkdir(parents=True)
        (root / folder).mkdir()
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/{folder},upperdir={home}/disk/{folder},workdir={home}/scratch/{folder}", str(root / folder))  # fmt: skip
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(Path("/", link).readlink())
    for folder in PLAIN:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (home / "plain" / folder).mkdir(parents=True)
        run("mount", "--bind", str(home / "plain" / folder), str(root / folder))
        run("mount", "--make-shared", str(root / folder))
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "before"):
        (root / folder).mkdir()
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    run("mount", "-t", "sysfs", "sysfs", str(root / "sys"))
    mount_control_groups(root / "sys/fs/cgroup")
    mount_devices(root / "dev")
    mount("tmpfs", root / "run", "mode=755")
    mount("tmpfs", root / "tmp", "mode=1777")
    for file in OF_THE_KERNEL:
        copy = root / "run/closedloop-machine" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(Path("/proc/sys", file).read_text())
        run("mount", "--bind", str(copy), str(root / "proc/sys" / file))
    run("hostname", name)
    identity(name, root, addresses, gateways)
    os.chdir(root)
    run("pivot_root", ".", "before")
    os.chroot(".")
    run("umount", "--lazy", "/before")
    Path("/before").rmdir()
    run("mount", "--make-rshared", "/")
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container": "closedloop", "LANG": "C.UTF-8"}
    os.execve("/lib/systemd/systemd", ["systemd", "--log-target=journal", "--show-status=false"], environment)


def mount(kind: str, place: Path, options: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", kind, "-o", options, kind, str(place))


def mount_control_groups(place: Path) -> None:
    """The machine's own part of each hierarchy. Read-only above, or systemd mounts those that this machine has not."""
    mount("tmpfs", place, "mode=755")
    for hierarchy, _own in hierarchies():
        mount("cgroup", place / hierarchy.removeprefix("name="), f"none,{hierarchy}" if hierarchy.startswith("name=") else hierarchy)
    run("mount", "-o", "remount,ro", str(place))


def mount_devices(place: Path) -> None:
    mount("tmpfs", place, "mode=755")
    for device in DEVICES:
        if Path("/dev", device).exists():
            (place / device).parent.mkdir(exist_ok=True)
            (place / device).touch()
            run("mount", "--bind", f"/dev/{device}", str(place / device))
    (place / "ptmx").symlink_to("pts/ptmx")
    (place / "fd").symlink_to("/proc/self/fd")
    mount("devpts", place / "pts", "newinstance,ptmxmode=0666,mode=620")
    mount("tmpfs", place / "shm", "mode=1777")
    (place / "mqueue").mkdir()


def identity(name: str, root: Path, addresses: list[str], gateways: list[str]) -> None:
    """Who the machine is, and that it starts with nothing that the machine underneath happens to have enabled."""
    etc = root / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "fstab").write_text("")
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "resolv.conf").unlink(missing_ok=True)
    # Nobody answers there, which is told at once: no look-up waits.
    (etc / "resolv.conf").write_text("".join(f"nameserver {gateway}\n" for gateway in gateways))
    names = "".join(f"{address.split('/')[0]} {name}\n" for address in addresses)
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{names}")
    for network in (etc / "cni/net.d").glob("*"):
        network.unlink()
    units = etc / "systemd/system"
    for folder in units.glob("*.wants"):
        shutil.rmtree(folder)
    for unit in MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")


def start_time(pid: int) -> str:
    """With the process id it names one process for ever; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def down(name: str, state: Path) -> None:
    home = state / name
    try:
        known = json.loads((home / "machine.json").read_text())
    except FileNotFoundError:
        known = {"groups": []}
    pid = known.get("pid")
    if pid and start_time(pid) == known["start"]:
        os.kill(pid, signal.SIGKILL)  # the first process of the namespaces takes all others with it
        until(lambda: start_time(pid) != known["start"], STOP_S, f"the end of {name}")
    remove_groups([Path(group) for group in known["groups"]])
    subprocess.run(["ip", "link", "delete", f"v-{name}"[:15]], capture_output=True, check=False)
    if home.exists():
        shutil.rmtree(home)
        print("removed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("name")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--bridge", default="")
    parser.add_argument("--address", action="append", default=[])
    parser.add_argument("--gateway", action="append", default=[])
    given = parser.parse_args()
    if given.verb == "up":
        up(given.name, given.state, given.bridge, given.address, given.gateway)
    else:
        down(given.name, given.state)


if __name__ == "__main__":
    sys.exit(main())
