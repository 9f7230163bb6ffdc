"""A disk with a Debian system that is made of packages which are installed on this machine, without any network: image.py FOLDER PACKAGE

FOLDER gets `disk.ext4` and `grub`, a boot loader as a file. PACKAGE is the Debian package of the system's kernel. FOLDER has `key.pub`, by
which one becomes root, and the `host_key` of the ssh server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INFO = Path("/var/lib/dpkg/info")
WANTED = [
    "base-files",
    "bash",
    "dropbear-bin",
    "grub2-common",
    "gzip",
    "iproute2",
    "kmod",
    "mount",
    "procps",
    "python3-apt",
    "sed",
    "tar",
    "util-linux",
]
MIB = 900
MODULES = (
    *("biosdisk", "ext2", "linux", "normal", "configfile", "loadenv", "test", "true", "echo", "sleep", "reboot", "minicmd", "ls"),
    *("search", "search_fs_uuid", "search_label", "gzio", "part_msdos", "part_gpt", "all_video", "gfxterm", "font"),
)
DEFAULTS = """
GRUB_DEFAULT=0
GRUB_TIMEOUT=1
GRUB_DISABLE_LINUX_UUID=true
GRUB_DISABLE_LINUX_PARTUUID=true
GRUB_DISABLE_OS_PROBER=true
GRUB_CMDLINE_LINUX="console=ttyS0 init=/usr/local/sbin/init"
"""
FIRST_MENU = """
set timeout=0
menuentry 'First' $menuentry_id_option 'gnulinux-{release}-advanced-/dev/vda' {{
  linux /boot/vmlinuz-{release} root=/dev/vda ro console=ttyS0 init=/usr/local/sbin/init
}}
"""


def installed() -> dict[str, str]:
    """The stanza of each installed package in dpkg's status file."""
    stanzas = Path("/var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n")
    return {
        found[1]: stanza
        for stanza in stanzas
        if (found := re.match(r"Package: (\S+)", stanza)) and "Status: install ok installed" in stanza
    }


def closure(wanted: list[str], known: dict[str, str]) -> list[str]:
    """With all that they, and what dpkg calls essential, depend on."""
    provided = {
        name: package
        for package, stanza in known.items()
        for line in re.findall(r"^Provides: (.*)$", stanza, re.MULTILINE)
        for name in re.findall(r"[a-z0-9][a-z0-9+.-]+", line)
    }
    todo = [*wanted, *(name for name, stanza in known.items() if "\nEssential: yes" in stanza)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        name = name if name in known else provided.get(name, "")
        if not name or name in found:
            continue
        found.add(name)
        for line in re.findall(r"^(?:Pre-)?Depends: (.*)$", known[name], re.MULTILINE):
            for alternatives in line.split(","):
                names = [re.match(r"\s*([a-z0-9+.-]+)", part)[1] for part in alternatives.split("|")]  # type: ignore[index] # dpkg wrote it
                todo.append(next((one for one in names if one in known or one in provided), ""))
    return sorted(found)


def copied(root: Path, packages: list[str], known: dict[str, str]) -> None:
    for link in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / link).mkdir(parents=True)
        (root / link).symlink_to(f"usr/{link}")
    records = [record for name in packages for record in (*INFO.glob(f"{name}.*"), *INFO.glob(f"{name}:amd64.*"))]
    files = {line for record in records if record.suffix == ".list" for line in record.read_text(encoding="utf-8").splitlines()}
    unneeded = re.compile(r"/usr/share/(doc|man|locale|info|i18n|zoneinfo)/.|/usr/lib/grub/i386-pc/.")
    wanted = sorted(name for name in files if len(name) > 2 and os.path.lexists(name) and not unneeded.match(name))
    wanted += ["/etc/alternatives/awk", "/usr/bin/awk"]
    wanted += [str(record) for record in records]
    archive = subprocess.Popen(["tar", "-c", "-C", "/", "--no-recursion", "-T", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    extract = subprocess.Popen(["tar", "-x", "-C", str(root), "--keep-directory-symlink"], stdin=archive.stdout)
    assert archive.stdin is not None, "a pipe was asked for"
    archive.stdin.write("".join(f".{name}\n" for name in wanted).encode())
    archive.stdin.close()
    if archive.wait() or extract.wait():
        raise SystemExit("the installed packages' files could not be copied")
    (root / "var/lib/dpkg/status").write_text("\n\n".join(known[name] for name in packages) + "\n", encoding="utf-8")
    shutil.copy("/var/lib/dpkg/arch" if Path("/var/lib/dpkg/arch").exists() else "/dev/null", root / "var/lib/dpkg/arch")


def written(root: Path, folder: Path, release: str) -> None:
    master = root / "usr/share/base-passwd"
    files = {
        "etc/passwd": (master / "passwd.master").read_text().replace("root:*:", "root:x:"),
        "etc/group": (master / "group.master").read_text(),
        "etc/shells": "/bin/bash\n/bin/sh\n",
        "etc/hostname": "machine\n",
        "etc/hosts": "127.0.0.1 localhost machine\n",
        "etc/fstab": "/dev/vda / ext4 rw 0 1\n",
        "etc/default/grub": DEFAULTS,
        "boot/grub/grub.cfg": FIRST_MENU.format(release=release),
        "root/.ssh/authorized_keys": (folder / "key.pub").read_text(),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in (
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var/cache/apt/archives/partial",
        "var/lib/apt/lists/partial",
        "etc/dropbear",
        "usr/local/sbin",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, mode in (("root", 0o700), ("root/.ssh", 0o700), ("root/.ssh/authorized_keys", 0o600)):
        (root / name).chmod(mode)
    shutil.copy(folder / "host_key", root / "etc/dropbear/host_key")
    for name in ("init", "shutdown"):
        shutil.copy(HERE / name, root / "usr/local/sbin" / name)
        (root / "usr/local/sbin" / name).chmod(0o755)


def main(folder: Path, package: str) -> None:
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    known = installed()
    copied(root, closure(WANTED, known), known)
    # `dpkg -x` would make a folder of the link that /lib is.
    files = subprocess.run(["dpkg", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(root), "--keep-directory-symlink"], check=True, input=files)
    written(root, folder, next((root / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-"))
    subprocess.run(["ldconfig", "-r", str(root)], check=True)
    subprocess.run(["grub-editenv", str(root / "boot/grub/grubenv"), "create"], check=True)
    disk = folder / "disk.ext4"
    disk.unlink(missing_ok=True)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-d", str(root), str(disk), f"{MIB}M"], check=True)
    shutil.rmtree(root)
    core = folder / "core.img"
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-o", str(core), "-p", "(hd0)/boot/grub", *MODULES], check=True)
    (folder / "grub").write_bytes(Path("/usr/lib/grub/i386-pc/lnxboot.img").read_bytes() + core.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
