"""apt and dnf: what is installed, and what a package brings."""

from __future__ import annotations

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


class Packages:
    """Programs: apt-get, dpkg, dpkg-query, dnf, rpm. arrived: told of every package that is installed."""

    def __init__(self, flavour: Flavour, arrived: Callable[[str], None]) -> None:
        self.flavour, self.arrived = flavour, arrived
        self.installed = set(flavour.installed)
        self.locked = 0
        """How many more `apt-get update` find the list locked by somebody else."""

    def apt_get(self, call: Call) -> Reply:
        match call.words:
            case ["update", "-qq"]:
                if self.locked:
                    self.locked -= 1
                    return Reply(stderr=LOCKED, status=100)
                return Reply()
            case ["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600", *names]:
                return self._install(names, "E: Unable to locate package {}\n", 100)
        raise NotModelled(call)

    def dnf(self, call: Call) -> Reply:
        match call.words:
            case ["install", "-y", "--setopt=install_weak_deps=False", *names]:
                return self._install(names, "No match for argument: {}\n", 1)
        raise NotModelled(call)

    def dpkg(self, call: Call) -> Reply:
        if call.words != ("--configure", "-a"):
            raise NotModelled(call)
        return Reply()

    def dpkg_query(self, call: Call) -> Reply:
        """Transcript (trixie): what is there goes to stdout, what is not to stderr, and the status is 1."""
        versions: dict[str, str] = {}
        match call.words:
            case ["-W", "-f", "${db:Status-Status} ${Package}\\n", *names]:
                pass
            case ["-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n", *names]:
                versions = {name: f" {version}" for name, version in self._versions(names).items()}
            case _:
                raise NotModelled(call)
        missing = [name for name in names if name not in self.installed]
        return Reply(
            "".join(f"installed {name}{versions.get(name, '')}\n" for name in names if name in self.installed),
            "".join(f"dpkg-query: no packages found matching {name}\n" for name in missing),
            1 if missing else 0,
        )

    def rpm(self, call: Call) -> Reply:
        match call.words:
            case ["-q", "--whatprovides", name]:
                if name in self.installed:
                    return Reply(f"{name}-1.0-1.fc43.x86_64\n")
                return Reply(f"no package provides {name}\n", status=1)
            case ["-qa", "--qf", "package %{NAME} %{EVR}\\n", *names]:
                return Reply("".join(f"package {name} {version}\n" for name, version in self._versions(names).items()))
        raise NotModelled(call)

    def _versions(self, names: Iterable[str]) -> dict[str, str]:
        """Of those that are installed; one whose version nobody has looked up raises."""
        there = [name for name in names if name in self.installed]
        if strangers := [name for name in there if name not in VERSIONS]:
            raise NotModelled("the version of", *strangers)
        return {name: VERSIONS[name][self.flavour.tool] for name in there}

    def _install(self, names: Iterable[str], unknown: str, status: int) -> Reply:
        strangers = [name for name in names if name not in self.flavour.brings and name not in self.installed]
        if strangers:
            return Reply(stderr="".join(map(unknown.format, strangers)), status=status)
        for name in names:
            if name not in self.installed:
                self.installed.add(name)
                self.arrived(name)
        return Reply()
