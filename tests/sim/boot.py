"""A kernel of the host's own and what boots it: GRUB as Debian and Ubuntu have it, BLS entries and grubby as Fedora.

Sources: grub-mkconfig and 10_linux of Debian's grub2-common (shortened to the lines that matter here); grubby-bls
8.40-68 (openela-main/grubby; RHEL 9's is kept like Fedora's) and rpm-sort, with which the role's scripts ran too;
grubby's output in rhboot/grubby issue 55 and in oamg/leapp-repository pull request 1302; dracut 059.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from roles.lib.cmdline import values
from tests.sim.shell import Call, NotModelled, Reply, Shell

GIB = 1 << 20
"""kB."""
MACHINE = "4ce7a933859f4a76a5111fba2d010ca3"
UUID = "ec0ebe42-73a3-441f-9910-dce10ec8253e"
TEN_LINUX = """\
#!/bin/sh
# Debian's 10_linux, as far as anybody here looks at what it prints
entry() { # TITLE ID VERSION ARGUMENTS
    echo "menuentry '$1' --class gnu-linux --class gnu --class os \\$menuentry_id_option '$2' {"
    echo "	load_video"
    echo "	linux	/boot/vmlinuz-$3 root=UUID=$UUID ro $4"
    echo "	initrd	/boot/initrd.img-$3"
    echo "}"
}
top=yes
for linux in $(ls -r ${SIM_ROOT}/boot/vmlinuz-*); do
    version=${linux##*/vmlinuz-}
    if [ $top = yes ]; then
        entry 'Debian GNU/Linux' "gnulinux-simple-$UUID" "$version" "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
        echo "submenu 'Advanced options for Debian GNU/Linux' \\$menuentry_id_option 'gnulinux-advanced-$UUID' {"
        top=
    fi
    title="Debian GNU/Linux, with Linux $version"
    entry "$title" "gnulinux-$version-advanced-$UUID" "$version" "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT" |
        sed 's/^/	/'
    if [ "$GRUB_DISABLE_RECOVERY" != true ]; then
        entry "$title (recovery mode)" "gnulinux-$version-recovery-$UUID" "$version" "single $GRUB_CMDLINE_LINUX" |
            sed 's/^/	/'
    fi
done
echo '}'
""".replace("$UUID", UUID)
DEFAULT_GRUB = """\
# If you change this file or any /etc/default/grub.d/*.cfg file,
# run 'update-grub' afterwards to update /boot/grub/grub.cfg.

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`( . /etc/os-release && echo ${NAME} )`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
"""
FEDORA_GRUB = """\
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="$(sed 's, release .*$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
GRUB_DISABLE_SUBMENU=true
GRUB_TERMINAL_OUTPUT="console"
GRUB_CMDLINE_LINUX="rhgb quiet"
GRUB_DISABLE_RECOVERY="true"
GRUB_ENABLE_BLSCFG=true
"""
KERNELS = {
    "debian-13": ("6.12.43+deb13-amd64", "6.12.48+deb13-amd64"),
    "ubuntu-26.04": ("7.0.0-37-generic", "7.0.0-38-generic"),
    "fedora-43": ("6.18.9-200.fc43.x86_64", "6.19.12-200.fc43.x86_64"),
}


class Boot:
    """Programs: update-grub, grubby, update-initramfs, dracut, lsinitramfs, lsinitrd, findmnt, lsblk, clevis.

    memory: kB. card: it has a Strix Halo GPU. chain: what lsblk says is below the root. turns: how often it was booted.
    """

    def __init__(self, root: Path, shell: Shell) -> None:
        self.root, self.shell = root, shell
        self.installed, self.memory, self.card, self.turns = "", 128 * GIB, True, 0
        self.chain = "/dev/nvme0n1p2 part\n/dev/nvme0n1 disk\n"
        self.saved = ""
        """grubenv's saved_entry."""
        self.down = False
        """It was told to reboot."""
        self.broken = ""
        """What the next update-grub or grubby says, and fails."""
        self.bound = 0
        self.room = 300

    def install(self, loader: str, os: str, *, memory: int = 128 * GIB, card: bool = True) -> list[str]:
        """Leaves the host as it is after its first boot; the names of the programs that it has for it."""
        self.installed, self.memory, self.card = loader, memory, card
        self._write("etc/machine-id", f"{MACHINE}\n")
        for release in KERNELS[os]:
            self._write(f"boot/vmlinuz-{release}", "")
        programs = []
        if loader == "grub":
            self._write("etc/default/grub", DEFAULT_GRUB)
            self._write("etc/grub.d/10_linux", TEN_LINUX)
            (self.root / "etc/grub.d/10_linux").chmod(0o755)
            (self.root / "boot/grub").mkdir()
            self.update_grub(Call("update-grub", "root", "/", ()))
            programs = ["update-grub", "update-initramfs"]
        elif loader == "grubby":
            self._write("etc/default/grub", FEDORA_GRUB)
            self._write("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
            for release in KERNELS[os]:
                self._entry(release, f"Fedora Linux ({release}) 43 (Server Edition)")
            programs = ["grubby", "dracut"]
        self.power_on()
        return programs

    def power_on(self) -> None:
        """What a boot leaves in /proc and /sys."""
        if not self.installed:
            return
        self.turns += 1
        cmdline = self._booted()
        release = max(path.name for path in (self.root / "boot").glob("vmlinuz-*")).removeprefix("vmlinuz-")
        self._write("proc/cmdline", f"{cmdline}\n")
        self._write("proc/meminfo", f"MemTotal:       {self.memory} kB\nMemFree:        {self.memory // 2} kB\n")
        self._write("proc/sys/kernel/random/boot_id", f"c0ffee00-0000-4000-8000-{self.turns:012}\n")
        self._write("proc/sys/kernel/osrelease", f"{release}\n")
        options = f"{self._modprobe()} {cmdline}"  # with both, the command line wins
        pages = int(values(options, "ttm.pages_limit")[-1]) if values(options, "ttm.pages_limit") else self.memory // 8
        self._write("sys/module/ttm/parameters/pages_limit", f"{pages}\n")
        for number, ids in ((0, ("0x1234", "0x1111")), *(((1, ("0x1002", "0x1586")),) if self.card else ())):
            folder = f"sys/class/drm/card{number}/device"
            self._write(f"{folder}/vendor", f"{ids[0]}\n")
            self._write(f"{folder}/device", f"{ids[1]}\n")
            self._write(f"{folder}/mem_info_gtt_total", f"{min(pages * 4096, self.memory * 1024)}\n")

    # --- GRUB

    def update_grub(self, call: Call) -> Reply:
        """grub-mkconfig: reads the settings, runs every executable of /etc/grub.d, writes grub.cfg."""
        if call.words:
            raise NotModelled(call)
        if self.broken:
            self._write("boot/grub/grub.cfg.new", "half\n")
            return Reply(stderr=self.broken, status=1)
        main = self.root / "etc/default/grub"
        settings = [*([main] if main.is_file() else []), *sorted((self.root / "etc/default/grub.d").glob("*.cfg"))]
        text = "\n".join(f". {path}" for path in settings)
        names = "GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT GRUB_DISABLE_RECOVERY"
        made = ["#\n# DO NOT EDIT THIS FILE\n#\n"]
        for script in sorted((self.root / "etc/grub.d").iterdir()):
            if not script.stat().st_mode & 0o100 or script.name.startswith("."):
                continue
            body = f"set -e\n{text}\nexport {names}\nsh -c {shlex.quote(script.read_text())}"
            reply = self.shell.run(f"sh -c {shlex.quote(body)}", user="root")
            if reply.status:
                return Reply(stderr=reply.stderr, status=reply.status)
            made.append(
                f"\n### BEGIN /etc/grub.d/{script.name} ###\n{reply.stdout}### END /etc/grub.d/{script.name} ###\n"
            )
        self._write("boot/grub/grub.cfg", "".join(made))
        return Reply(stderr="Generating grub configuration file ...\ndone\n")

    # --- grubby

    def grubby(self, call: Call) -> Reply:
        options = dict(word.removeprefix("--").split("=", 1) for word in call.words)
        if self.broken and "update-kernel" in options:
            return Reply(stderr=self.broken, status=1)
        match options:
            case {"info": which, **rest} if not rest:
                chosen = self._chosen(which)
                return Reply("".join(self._info(number) for number in chosen))
            case {"update-kernel": which, **rest} if rest.keys() <= {"args", "remove-args"} and which != "ALL":
                # One entry: /etc/default/grub, /etc/kernel/cmdline and $kernelopts are for ALL.
                for number in self._chosen(which):
                    path = self._entries()[number]
                    self._update(path, rest.get("remove-args", "").split(), rest.get("args", "").split())
                return Reply()
        raise NotModelled(call)

    def _entries(self) -> list[Path]:
        """As rpm-sort has them, the newest first: by name, version and release, here of digits alone."""

        def version(path: Path) -> list[list[int]]:
            name, *rest = path.stem.rsplit("-", 2)
            return [[int(number) for number in re.findall(r"\d+", part)] for part in (name.replace(MACHINE, ""), *rest)]

        return sorted((self.root / "boot/loader/entries").glob("*.conf"), key=version, reverse=True)

    def _default(self) -> int | None:
        """None where the saved entry is gone: grubby then says and does nothing, and GRUB boots the first one."""
        ids = [path.stem for path in self._entries()]
        if self.saved.isdigit():
            return int(self.saved)
        return 0 if not self.saved else ids.index(self.saved) if self.saved in ids else None

    def _chosen(self, which: str) -> list[int]:
        entries = self._entries()
        if which == "DEFAULT":
            return [number for number in [self._default()] if number is not None]
        everyone = range(len(entries))
        found = [number for number in everyone if which in ("ALL", str(number), self._path(entries[number], "linux"))]
        if not found:
            raise NotModelled(f"grubby: the param {which} is incorrect")
        return found

    def _field(self, path: Path, name: str) -> str:
        found = re.search(rf"^{name}[ \t]+(.*)$", path.read_text(), re.M)
        return found[1] if found else ""

    def _path(self, path: Path, name: str) -> str:
        """Below /boot, which is a file system of its own."""
        return f"/boot{self._field(path, name)}"

    def _info(self, number: int) -> str:
        """root= has a line of its own, where there is one; variables of GRUB's stay, but for $kernelopts."""
        path = self._entries()[number]
        words = self._field(path, "options").split()
        if "$kernelopts" in words:
            raise NotModelled("$kernelopts")
        roots = [word for word in words if word.startswith("root=")][:1]
        args = " ".join(word for word in words if word not in roots)
        root = "".join(f'root="{word.removeprefix("root=")}"\n' for word in roots)
        return (
            f'index={number}\nkernel="{self._path(path, "linux")}"\nargs="{args}"\n{root}'
            f'initrd="{self._path(path, "initrd")}"\ntitle="{self._field(path, "title")}"\nid="{path.stem}"\n'
        )

    def _update(self, path: Path, remove: Iterable[str], add: Iterable[str]) -> None:
        """NAME=VALUE removes the first that is the same, NAME every value; what is added replaces its name's values."""
        words = self._field(path, "options").split()
        for old in remove:
            if "=" in old and old in words:
                words.remove(old)
            elif "=" not in old:
                words = [word for word in words if word.partition("=")[0] != old]
        names = {new.partition("=")[0] for new in add}
        text = " ".join([*(word for word in words if word.partition("=")[0] not in names), *add])
        # It hands its text to sed, to which & is the old line.
        line = self._field(path, "options")
        text = text.replace("&", f"options {line}")
        path.write_text(re.sub(r"^options .*$", lambda _: f"options {text}", path.read_text(), flags=re.M))

    def _entry(self, release: str, title: str) -> None:
        options = f"root=UUID={UUID} ro rootflags=subvol=root rhgb quiet $tuned_params"
        self._write(
            f"boot/loader/entries/{MACHINE}-{release}.conf",
            f"title {title}\nversion {release}\nlinux /vmlinuz-{release}\n"
            f"initrd /initramfs-{release}.img $tuned_initrd\n"
            f"options {options}\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class fedora\n",
        )

    # --- initramfs and disks

    def update_initramfs(self, call: Call) -> Reply:
        match call.words:
            case ["-u", "-k", release]:
                return Reply(f"update-initramfs: Generating /boot/initrd.img-{release}\n")
        raise NotModelled(call)

    def dracut(self, call: Call) -> Reply:
        """An image that it could not write to its end it removes."""
        match call.words:
            case ["-f", image, _] if image.startswith("/"):
                (self.root / image[1:]).unlink(missing_ok=True)
                if self.broken:
                    return Reply(stderr=f"dracut[F]: Creation of {image} failed\n", status=1)
                self._write(image[1:], "made by dracut\n")
                return Reply()
        raise NotModelled(call)

    def lsinitrd(self, call: Call) -> Reply:  # noqa: ARG002
        return Reply("usr/lib/modules/6.12.48+deb13-amd64/kernel/drivers/gpu/drm/ttm/ttm.ko.xz\n")

    def findmnt(self, call: Call) -> Reply:
        if call.words != ("-no", "SOURCE", "/"):
            raise NotModelled(call)
        return Reply(f"{self.chain.split()[0]}[/root]\n")

    def lsblk(self, call: Call) -> Reply:
        if call.words != ("-nrspo", "NAME,TYPE", self.chain.split()[0]):
            raise NotModelled(call)
        return Reply(self.chain)

    def clevis(self, call: Call) -> Reply:
        if call.words[:3] != ("luks", "list", "-d"):
            raise NotModelled(call)
        return Reply("1: tpm2 '{}'\n" * self.bound)

    # ---

    def _booted(self) -> str:
        if self.installed == "grub":
            line = re.search(r"^\s*linux\s+(.*)$", (self.root / "boot/grub/grub.cfg").read_text(), re.M)
            assert line
            return f"BOOT_IMAGE={' '.join(line[1].split())}"
        if self.installed == "grubby":
            path = self._entries()[self._default() or 0]
            options = self._field(path, "options").replace(" $tuned_params", "")  # empty, and no space is left
            return f"BOOT_IMAGE=(hd0,gpt2){self._field(path, 'linux')} {options}"
        return f"root=UUID={UUID} ro quiet"

    def _modprobe(self) -> str:
        lines = [path.read_text() for path in sorted((self.root / "etc/modprobe.d").glob("*.conf"))]
        found = re.findall(r"^options (\S+) (.*)$", "\n".join(lines), re.M)
        return " ".join(f"{module}.{option}" for module, options in found for option in options.split())

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
