"""The kernels in GRUB's menu."""

from __future__ import annotations

from ansible_collections.closedloop.mobility.plugins.plugin_utils.grub_menu import grub_entries

MENU = """
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
fi
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class os $menuentry_id_option 'gnulinux-simple-9f4' {
    linux    /boot/vmlinuz-6.1.0-18-amd64 root=UUID=9f4 ro
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-9f4' {
    menuentry 'Debian, with Linux 6.1.176-mipv6-5f0c52a8' --class os $menuentry_id_option 'gnulinux-6.1.176-mipv6-5f0c52a8-advanced-9f4' {
        linux    /boot/vmlinuz-6.1.176-mipv6-5f0c52a8 root=UUID=9f4 ro
    }
    menuentry 'Debian (recovery mode)' $menuentry_id_option 'gnulinux-6.1.176-mipv6-5f0c52a8-recovery-9f4' {
    }
    menuentry 'Debian GNU/Linux, with Linux 6.1.0-18-amd64' --class os $menuentry_id_option 'gnulinux-6.1.0-18-amd64-advanced-9f4' {
    }
}
""".replace(4 * " ", "\t")


def test_a_kernel_is_found_in_its_submenu_and_not_by_its_recovery_entry() -> None:
    assert grub_entries(MENU) == {
        "6.1.176-mipv6-5f0c52a8": "gnulinux-advanced-9f4>gnulinux-6.1.176-mipv6-5f0c52a8-advanced-9f4",
        "6.1.0-18-amd64": "gnulinux-advanced-9f4>gnulinux-6.1.0-18-amd64-advanced-9f4",
    }


def test_a_menu_without_submenus_has_its_entries_at_the_top() -> None:
    flat = "menuentry 'Debian, with Linux 6.1' --class os $menuentry_id_option 'gnulinux-6.1-advanced-9f4' {\n}\n"
    assert grub_entries(flat) == {"6.1": "gnulinux-6.1-advanced-9f4"}


def test_a_menu_of_something_else_has_none() -> None:
    assert grub_entries("menuentry 'Windows' $menuentry_id_option 'osprober-chain-1' {\n}\n") == {}
