"""Choosing an entry of GRUB's menu from outside."""

from __future__ import annotations

import pytest

from tests.vm.menu import DOWN, ENTER, HOME, Menu, Prompt, entries, path_to

# As Debian 13's update-grub wrote it, less what stands in the entries.
CFG = """\
function gfxmode {
	set gfxpayload="${1}"
}
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-917c8ffa' {
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	linux	/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=917c8ffa ro quiet
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-917c8ffa' {
	menuentry 'Debian GNU/Linux, with Linux 6.12.117+deb13-amd64' --class debian {
		linux	/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=917c8ffa ro quiet
	}
	menuentry 'Debian GNU/Linux, with Linux 6.12.117+deb13-amd64 (recovery mode)' --class debian {
		linux	/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=917c8ffa ro single
	}
}
if [ "$grub_platform" = "efi" ]; then
	fwsetup --is-supported
	if [ "$?" = 0 ]; then
		menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
			fwsetup
		}
	fi
fi
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
"""
ADVANCED = "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.12.117+deb13-amd64"


def test_every_entry_has_its_place() -> None:
    assert entries(CFG, "menuentry 'the owner'\\''s' {\n}\n") == {
        "Debian GNU/Linux": [0],
        ADVANCED: [1, 0],
        f"{ADVANCED} (recovery mode)": [1, 1],
        "the owner's": [2],
    }


def test_an_entry_is_named_with_or_without_its_menus() -> None:
    found = entries(CFG)
    assert path_to(ADVANCED, found) == path_to(ADVANCED.split(">")[1], found) == [1, 0]
    with pytest.raises(ValueError, match="no entry 'Fedora' in GRUB's menu: 'Debian GNU/Linux'"):
        path_to("Fedora", found)


def test_a_menu_gets_its_keys_once_it_is_drawn() -> None:
    menu = Menu([1, 2])
    assert menu.keys(b"\x1b[2J  GNU G") == b""
    assert menu.keys(b"RUB  version 2.12") == HOME + DOWN + ENTER
    assert menu.keys(b"Debian GNU/Linux") == b""
    assert menu.keys(b"GNU GRUB  version 2.12") == HOME + DOWN * 2 + ENTER
    assert menu.keys(b"GNU GRUB") == b""


def test_a_question_gets_its_answer_as_often_as_it_is_asked() -> None:
    lock = Prompt("Please unlock disk", "open sesame")
    assert lock.keys(b"Loading initial ramdisk ...\r\nPlease unl") == b""
    assert lock.keys(b"ock disk root: ") == b"open sesame" + ENTER
    assert lock.keys(b"\r\ncryptsetup failed, bad password or options?\r\n") == b""
    assert lock.keys(b"Please unlock disk root: ") == b"open sesame" + ENTER
