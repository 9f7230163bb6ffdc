"""A disk with a Debian that boots by GRUB, is reached by ssh, and runs Ansible's modules: image.py CACHE [PACKAGE...]

Made once of the distribution's packages and of those that are named beside them, and kept: CACHE/guest/<hash>/ has `disk.raw`, and `key`,
by which one becomes root. A PACKAGE that is a file is a kernel, the guest's only one, that boots without an initial RAM disk. The guest
takes its addresses from DHCP and router advertisements. Prints where it is, as JSON. Run it as root.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

SUITE = "bookworm"
KERNEL = ("linux-image-cloud-amd64", "tiny-initramfs")
PACKAGES = (
    *("grub2-common", "grub-pc-bin", "systemd-sysv", "udev", "dbus", "kmod", "openssh-server", "iproute2"),
    *("python3", "python3-apt"),
)
EXCLUDED = ("doc", "info", "locale", "man")
DISK_MIB = 2048
SECTOR = 512
FIRST_SECTOR = 2048
UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "guest.example"))

DEFAULTS = """\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TERMINAL=console
GRUB_DISABLE_LINUX_UUID=true
GRUB_DISABLE_OS_PROBER=true
GRUB_CMDLINE_LINUX="console=ttyS0"
"""
MENU = """\
set timeout=0
menuentry 'Debian GNU/Linux' $menuentry_id_option 'gnulinux-simple-IDENTITY' {
  linux /boot/vmlinuz-RELEASE root=/dev/vda1 ro console=ttyS0
  INITRD
}
"""
"""For the first boot. The guest's own update-grub writes another, as soon as a kernel is installed. The root is named by its device, which
kernels find that take no initial RAM disk."""
INITIAL = """\
AUTO_MODULES=no
INCLUDE_MODULES=virtio_pci,virtio_blk,virtio_scsi,sr_mod
MICROCODE=no
"""
NETWORK = """\
[Match]
Type=ether

[Network]
DHCP=yes
IPv6AcceptRA=yes
"""
CLOUD = {
    "etc/cloud/cloud.cfg.d/99_guest.cfg": "datasource_list: [ConfigDrive]\n",
    "etc/systemd/system/cloud-init-local.service.d/drive.conf": """\
[Unit]
Wants=dev-disk-by\\x2dlabel-config\\x2d2.device
After=dev-disk-by\\x2dlabel-config\\x2d2.device
""",
}
"""Where cloud-init is: it does not wait by itself for the drive, which is there some time after the root is."""
IDLE = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer")
"""What a guest that lives for minutes does not do."""
NOT_IN_MENU = ("05_debian_theme", "20_linux_xen", "30_os-prober", "30_uefi-firmware", "40_custom", "41_custom")
"""What update-grub looks for in vain, for seconds where the processor is emulated."""
COMPILED = """\
# Ansible's modules come as an archive of source, for each task anew. What was compiled of it once is kept, which is about half of what a
# task costs an emulated processor.
import _imp
import marshal
import os
import zipimport

compile_source = zipimport._compile_source


def kept(path, source):
    file = "/var/cache/compiled/" + _imp.source_hash(0, source).hex()
    try:
        with open(file, "rb") as known:
            return marshal.load(known)
    except FileNotFoundError:
        code = compile_source(path, source)
    with open(f"{file}.{os.getpid()}", "wb") as new:
        marshal.dump(code, new)
    os.replace(new.name, file)
    return code


zipimport._compile_source = kept
"""


def run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stdout[-3000:]}")


def bootstrapped(root: Path, packages: list[str], kernel: Path | None) -> None:
    run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED),
        SUITE,
        str(root),
    )
    if kernel is not None:
        shutil.copy(kernel, root / "kernel.deb")
        run("chroot", str(root), "dpkg", "--install", "/kernel.deb")
        (root / "kernel.deb").unlink()


def written(root: Path, public_key: str) -> None:
    """What makes a machine of the packages."""
    release = next((root / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    initial = f"/boot/initrd.img-{release}" if (root / "usr/sbin/mktirfs").exists() else None
    menu = MENU.replace("IDENTITY", UUID).replace("RELEASE", release).replace("INITRD", f"initrd {initial}" if initial else "")
    files = {
        "etc/hostname": "guest\n",
        "etc/hosts": "127.0.0.1 localhost guest\n::1 localhost guest\n",
        "etc/fstab": f"UUID={UUID} / ext4 defaults 0 0\n",
        "etc/default/grub": DEFAULTS,
        "etc/tiny-initramfs/tiny-initramfs.conf": INITIAL,
        "etc/systemd/network/ether.network": NETWORK,
        "etc/python3.11/sitecustomize.py": COMPILED,
        "boot/grub/grub.cfg": menu,
        "root/.ssh/authorized_keys": public_key,
        **(CLOUD if (root / "etc/cloud").is_dir() else {}),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700 if ".ssh" in name else 0o755)
        (root / name).write_text(text, encoding="utf-8")
    shutil.copytree(root / "usr/lib/grub/i386-pc", root / "boot/grub/i386-pc")
    shutil.rmtree(root / "var/lib/apt/lists")  # apt reads all of it for each package that is installed
    (root / "var/cache/compiled").mkdir()
    for script in NOT_IN_MENU:
        (root / "etc/grub.d" / script).chmod(0o644)
    if initial is not None:
        run("chroot", str(root), "mktirfs", "-o", initial, release)
    run("chroot", str(root), "grub-editenv", "/boot/grub/grubenv", "create")
    run("chroot", str(root), "systemctl", "enable", "systemd-networkd.service")
    run("chroot", str(root), "systemctl", "mask", "systemd-networkd-wait-online.service", *IDLE)


def disk(root: Path, file: Path) -> None:
    """The file system in the first partition, GRUB in the sectors before it, where `grub-install` would put it."""
    sectors = DISK_MIB * 2048
    modules = ("biosdisk", "part_msdos", "ext2")
    run("chroot", str(root), "grub-mkimage", "-O", "i386-pc", "-o", "/core.img", "-p", "(hd0,msdos1)/boot/grub", *modules)
    core = (root / "core.img").read_bytes()
    (root / "core.img").unlink()
    if len(core) > (FIRST_SECTOR - 1) * SECTOR:
        raise SystemExit(f"GRUB has {len(core)} bytes, more than there is before the first partition")
    with file.open("wb") as image:
        image.truncate(sectors * SECTOR)
        image.write((root / "usr/lib/grub/i386-pc/boot.img").read_bytes()[:440])
        image.seek(446)
        entry = b"\x80\xff\xff\xff\x83\xff\xff\xff" + FIRST_SECTOR.to_bytes(4, "little") + (sectors - FIRST_SECTOR).to_bytes(4, "little")
        image.write(entry + bytes(48) + b"\x55\xaa")
        image.write(core)
    features = "^metadata_csum_seed,^orphan_file"  # GRUB 2.06 does not read them
    offset = f"offset={FIRST_SECTOR * SECTOR}"
    size = f"{(sectors - FIRST_SECTOR) // 2}k"
    run("mkfs.ext4", "-q", "-F", "-U", UUID, "-O", features, "-E", offset, "-d", str(root), str(file), size)


def made(place: Path, work: Path, packages: list[str], kernel: Path | None) -> None:
    shutil.rmtree(work, ignore_errors=True)
    result = work / "result"
    result.mkdir(parents=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", str(result / "key"))
    bootstrapped(work / "root", packages, kernel)
    written(work / "root", (result / "key.pub").read_text())
    disk(work / "root", result / "disk.raw")
    result.rename(place)
    shutil.rmtree(work)


def main(cache: Path, more: list[str]) -> None:
    kernel = next((Path(package).resolve() for package in more if "/" in package), None)
    packages = sorted({*PACKAGES, *(package for package in more if "/" not in package), *(() if kernel else KERNEL)})
    inputs = [packages, str(kernel and kernel.relative_to(cache)), Path(__file__).read_text(encoding="utf-8")]
    name = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
    guests = cache / "guest"
    guests.mkdir(parents=True, exist_ok=True)
    place = guests / name
    with (guests / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = not place.is_dir()
        if new:
            made(place, guests / "work", packages, kernel)
    print(json.dumps({"disk": str(place / "disk.raw"), "key": str(place / "key"), "new": new}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
