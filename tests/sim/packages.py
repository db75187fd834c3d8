"""apt and dnf: what is installed, and what a package brings."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

from tests.sim.flavours import Flavour
from tests.sim.shell import Call, NotModelled, Reply

VERSIONS = {"tuned": {"apt": "2.25.1-1", "dnf": "2.26.0-2.fc43"}}
"""Of packages whose versions are asked for: packages.ubuntu.com, packages.debian.org, packages.fedoraproject.org."""

LOCKED = (
    "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 512 (apt-get)\n"
    "N: Be aware that removing the lock file is not a solution and may break your system.\n"
    "E: Unable to lock directory /var/lib/apt/lists/\n"
)


BUSY = (  # bookworm's dpkg 1.21.22; newer ones name the other process
    "dpkg: error: dpkg frontend lock was locked by another process with pid 512\n"
    "Note: removing the lock file is always wrong, can damage the locked area\n"
    "and the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n"
)
BUSY_DNF = "Transaction failed: Failed to obtain rpm transaction lock. Another transaction is in progress.\n"
"""rpm-software-management/dnf5 issue 2435 (Fedora 43)."""
HALF_WAY = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n"  # apt 2.6

PROVIDES = {"/usr/bin/vulkaninfo": "vulkan-tools"}
"""By file, as dnf and rpm know it."""
DEPENDS = {"amdrocm10.0-gfx1151": ("amdrocm-base10.0",), "amdrocm10.1-gfx1151": ("amdrocm-base10.1",)}
"""The one of some fifty that has rocminfo."""
ALONG = {"mesa-vulkan-drivers": {"apt": "libdrm-amdgpu1", "dnf": "libdrm"}}
"""Comes with the package although nobody has asked for it, and nobody else needs it."""


UNLOOKED = frozenset(
    {"libatomic", "libatomic1", "libquadmath", "libquadmath0", "libvulkan1", "vulkan-loader", "vulkan-tools"}
)
"""Packages of which it matters only that they are there."""


class Packages:
    """Programs: apt-get, dpkg, dpkg-query, dnf, rpm. arrived, gone: told of every package that is installed or removed.

    offers: whether a source has the package. refresh: asks one source alone. needed: package -> what needs it.
    """

    def __init__(self, flavour: Flavour, arrived: Callable[[str], None], gone: Callable[[str], None]) -> None:
        self.flavour, self.arrived, self.gone = flavour, arrived, gone
        self.offers: Callable[[str], bool] = lambda _: True
        self.unsigned: Callable[[Iterable[str]], str] = lambda _: ""
        self.refresh: Callable[[Call], Reply] = _unknown
        self.needed: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.installed = set(flavour.installed)
        self.locked = 0
        """How many more `apt-get update` find the list locked by somebody else."""
        self.busy = 0
        """How many more dpkg or dnf find somebody else at work."""
        self.half_way = False
        """An apt was killed while dpkg worked."""

    def apt_get(self, call: Call) -> Reply:
        if self.half_way and call.words[0] in ("install", "purge"):
            return Reply(stderr=HALF_WAY, status=100)
        match call.words:
            case ["update", "-qq"]:
                if self.locked:
                    self.locked -= 1
                    return Reply(stderr=LOCKED, status=100)
                return Reply()
            case ["update", *_]:
                return self.refresh(call)
            case ["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", *names]:
                return self._install(names, "E: Unable to locate package {}\n", 100)
            case ["-s", "purge", "--autoremove", *names]:
                along = self._lonely(without=names)
                return Reply("".join(f"Purg {name} [1.0-1]\n" for name in [*names, *along]))
            case ["-s", "purge", *names]:
                going = [*(self.needed[name] for name in names if name in self.needed), *names]
                return Reply("".join(f"Purg {name} [{self._version(name)}]\n" for name in going))
            case ["-s", "autoremove"]:
                return Reply("".join(f"Remv {name} [1.0-1]\n" for name in self._lonely()))
            case ["purge", "-y", "-qq", "-o", "DPkg::Lock::Timeout=600", *names]:
                return self._remove(names)
        raise NotModelled(call)

    def dnf(self, call: Call) -> Reply:
        if self.busy and call.words[0] in ("install", "remove"):
            self.busy -= 1
            return Reply(stderr=BUSY_DNF, status=1)
        match call.words:
            case ["install", "-y", "--setopt=install_weak_deps=False", *names]:
                unknown = "No match for argument: {}\n"
                return self._install([PROVIDES.get(name, name) for name in names], unknown, 1)
            case ["makecache", *_]:
                return self.refresh(call)
            case ["remove", "-y", *names]:
                self._remove(names)
                return self._remove(self._lonely())
        raise NotModelled(call)

    def dpkg(self, call: Call) -> Reply:
        if call.words != ("--configure", "-a"):
            raise NotModelled(call)
        if self.busy:
            self.busy -= 1
            return Reply(stderr=BUSY, status=2)
        self.half_way = False
        return Reply()

    def dpkg_query(self, call: Call) -> Reply:
        """Transcript (trixie): what is there goes to stdout, what is not to stderr, and the status is 1."""
        match call.words:
            case ["-W", "-f", "${db:Status-Status} ${Package}\\n", *names]:
                pass
            case ["-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n", *names]:
                found = [name for name in self._matching(names) if name in self.installed]
                lines = "".join(f"installed {name} {self._version(name)}\n" for name in found)
                return Reply(lines, status=1 if len(found) < len(names) else 0)
            case _:
                raise NotModelled(call)
        names = self._matching(names)
        missing = [name for name in names if name not in self.installed]
        return Reply(
            "".join(f"installed {name}\n" for name in names if name in self.installed),
            "".join(f"dpkg-query: no packages found matching {name}\n" for name in missing),
            1 if missing else 0,
        )

    def rpm(self, call: Call) -> Reply:
        match call.words:
            case ["-q", "--whatprovides", name]:
                if name in self.installed:
                    return Reply(f"{name}-1.0-1.fc43.x86_64\n")
                return Reply(f"no package provides {name}\n", status=1)
            case ["-q", "--whatprovides", "--qf", form, name]:
                name = PROVIDES.get(name, name)
                if name not in self.installed:
                    return Reply(f"no package provides {name}\n", status=1)
                values = {"%{EVR}\\n": self._version(name), "%{NAME}\\n": name}
                return Reply(f"{values[form]}\n")
            case ["-qa", "--qf", "%{NAME}\\n", name]:
                return Reply("".join(f"{name}\n" for name in self._matching([name]) if name in self.installed))
            case ["-e", "--test", *names]:
                broken = [(name, self.needed[name]) for name in names if name in self.needed]
                text = "".join(f"\t{name} is needed by (installed) {other}\n" for name, other in broken)
                return Reply(stderr=f"error: Failed dependencies:\n{text}", status=1) if broken else Reply()
            case ["-qa", "--qf", "package %{NAME} %{EVR}\\n", *names]:
                found = [name for name in self._matching(names) if name in self.installed]
                return Reply("".join(f"package {name} {self._version(name)}\n" for name in found))
        raise NotModelled(call)

    def _install(self, names: Iterable[str], unknown: str, status: int) -> Reply:
        names = list(names)
        if error := self.unsigned(names):
            return Reply(stderr=error, status=1)
        known = {name for name in self.flavour.brings if self.offers(name)} | self.installed
        strangers = [name for name in names if name not in known]
        if strangers:
            return Reply(stderr="".join(map(unknown.format, strangers)), status=status)
        along = [ALONG[name][self.flavour.tool] for name in names if name in ALONG]
        for name in [*names, *along, *(other for asked in names for other in DEPENDS.get(asked, ()))]:
            if name not in self.installed:
                self.installed.add(name)
                self.arrived(name)
        return Reply()

    def _remove(self, names: Iterable[str]) -> Reply:
        for name in names:
            self.installed.remove(name)
            self.gone(name)
        return Reply()

    def _lonely(self, without: Iterable[str] = ()) -> list[str]:
        found = [(owner, names[self.flavour.tool]) for owner, names in ALONG.items()]
        rest = self.installed - set(without)
        return [name for owner, name in found if name in rest and owner not in rest]

    def _matching(self, names: Iterable[str]) -> list[str]:
        """Names as they are; of patterns, what is installed."""
        found: list[str] = []
        for name in names:
            found += sorted(fnmatch.filter(self.installed, name)) if "*" in name else [name]
        return found

    def _version(self, name: str) -> str:
        """One whose version nobody has looked up raises."""
        if name == "mesa-vulkan-drivers":
            return self.versions.get(name, self.flavour.mesa)
        if found := self.versions.get(name) or VERSIONS.get(name, {}).get(self.flavour.tool):
            return found
        if name.startswith("amdrocm"):
            return "10.0.0-4"
        if name in UNLOOKED:
            return "1.0-1"
        raise NotModelled("the version of", name)


def _unknown(call: Call) -> Reply:
    raise NotModelled(call)
