"""Make the RPM repository of a Fedora-shaped host: `make_rpms.py REPOSITORY RELEASE KEY_ID WORD...`, inside its root.

A WORD is NAME=DEBIAN: the Fedora package NAME brings what this Debian package brings, with all that it depends on and
the tree has not; NAME<DEBIAN:GLOB,GLOB: it carries files that are in the tree now, which leave the tree; NAME:DEBIAN:
the tree has it, and the package only says so. Standard library only, and the tools of rpm, createrepo-c and dpkg.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/")
LINKS = {"gcc": {"usr/bin/cc": "gcc"}, "g++": {"usr/bin/c++": "g++"}}
"""Debian makes them when a package is set up (update-alternatives), Fedora's packages carry them."""

# rpm 6 writes a format by default that rpm 4 cannot read. Debian's files are as they should be: no post-processing.
SPEC = """\
%global _rpmformat 4
%global __os_install_post %{{nil}}
%global debug_package %{{nil}}
%global _build_id_links none
%global _binary_payload w3.zstdio
Name: {name}
Version: {version}
Release: {release}
Summary: halofleet's virtual lab: {summary}
License: see the Debian package
AutoReqProv: no
{relations}
%description
Of a stand-in for Fedora, made of Debian's files. It is not Fedora's package.
%files{listed}
"""


@dataclass(frozen=True)
class Rpm:
    """requires: names of packages of this repository. files: what it carries, below `tree`."""

    name: str
    version: str
    summary: str
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    tree: Path | None = None
    links: dict[str, str] = field(default_factory=dict)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def upstream(debian: str) -> str:
    """The version of a Debian package as rpm accepts it: without epoch and revision."""
    return re.sub(r"[^A-Za-z0-9._+~]", ".", debian.split(":", 1)[-1].rsplit("-", 1)[0])


def tree_version(package: str) -> str:
    """Of what the tree has; 1 where Debian has no package of that name."""
    done = subprocess.run(["dpkg-query", "-Wf", "${Version}", package], capture_output=True, text=True, check=False)
    return upstream(done.stdout) if done.returncode == 0 and done.stdout else "1"


def wanted_debs(names: Sequence[str], folder: Path) -> list[Path]:
    """What apt would install for these names."""
    (folder / "partial").mkdir(parents=True)
    if names:
        options = ("-y", "-qq", "--no-install-recommends", "--download-only", f"-oDir::Cache::archives={folder}")
        run("apt-get", "install", *options, *names)
    return sorted(folder.glob("*.deb"))


def from_debs(debs: Iterable[Path], work: Path) -> list[Rpm]:
    """A package for each, under its Debian name, which asks for those of the others that it depends on."""
    found: dict[str, Rpm] = {}
    depends: dict[str, str] = {}
    for deb in debs:
        name, version, need = run("dpkg-deb", "-W", "--showformat=${Package}\n${Version}\n${Pre-Depends}, ${Depends}",
                                  deb).split("\n", 2)  # fmt: skip
        (work / name).mkdir(parents=True)
        run("dpkg-deb", "-x", deb, work / name)
        found[name] = Rpm(name, upstream(version), f"Debian's {name}", tree=work / name, links=LINKS.get(name, {}))
        depends[name] = need
    return [
        Rpm(rpm.name, rpm.version, rpm.summary, tuple(needs(depends[name], found)), (), rpm.tree, rpm.links)
        for name, rpm in found.items()
    ]


def needs(depends: str, known: Iterable[str]) -> list[str]:
    """The names in a Depends field that are known here; of alternatives any."""
    names = (re.match(r"[a-z0-9][a-z0-9+.-]*", word.strip()) for word in re.split(r"[,|]", depends))
    return sorted({match[0] for match in names if match} & set(known))


def taken_out(name: str, package: str, globs: Sequence[str], work: Path) -> Rpm:
    """Files of a Debian package that match, moved from the tree into an RPM."""
    version = tree_version(package)
    for line in run("dpkg-query", "-L", package).splitlines():
        path = Path(line)
        if any(fnmatch.fnmatch(line, glob) for glob in globs) and (path.is_symlink() or path.is_file()):
            target = work / name / line.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
    return Rpm(name, version, f"files of Debian's {package}", tree=work / name)


def build(rpm: Rpm, work: Path, release: str, repository: Path) -> None:
    """Write the spec and build it. Files and links are listed, no folders: those are everybody's."""
    root, paths = rpm.tree or work / "empty", []
    root.mkdir(parents=True, exist_ok=True)
    for link, target in rpm.links.items():
        (root / link).symlink_to(target)
    for path in sorted(root.rglob("*")):
        relative = str(path.relative_to(root))
        if not relative.startswith(LEFT_OUT) and (path.is_symlink() or path.is_file()):
            paths.append(relative)
    top = work / "rpmbuild" / rpm.name
    (top / "SPECS").mkdir(parents=True)
    relations = [f"Requires: {name}" for name in rpm.requires] + [f"Provides: {name}" for name in rpm.provides]
    listed = top / "files"
    listed.write_text("".join(f'"/{path.replace("%", "%%")}"\n' for path in paths))
    spec = top / "SPECS" / "it.spec"
    spec.write_text(
        SPEC.format(
            name=rpm.name, version=rpm.version, release=release, summary=rpm.summary,
            relations="\n".join(relations), listed=f" -f {listed}" if paths else "",
        )
        + (f"%install\nmkdir -p %{{buildroot}}\ncp -a {root}/. %{{buildroot}}/\n" if paths else "")
        + "%define __check_files %{nil}\n"
    )  # fmt: skip
    run(
        "rpmbuild",
        "-bb",
        "--quiet",
        f"-D_topdir {top}",
        f"-D_rpmdir {repository}",
        "-D_build_name_fmt %%{NAME}.rpm",
        spec,
    )


def rpms(version: str, words: Sequence[str], work: Path) -> list[Rpm]:
    """Every package of the repository, what it carries in a folder of its own below `work`."""
    said = [re.fullmatch(r"([^=<:]+)([=<:])(.+)", word) for word in words]
    asked = [(match[1], match[2], match[3]) for match in said if match]
    debs = wanted_debs([deb for _, how, deb in asked if how == "="], work / "debs")
    found = from_debs(debs, work / "trees")
    there = {rpm.name for rpm in found}
    for name, how, what in asked:
        if how == "<":
            package, globs = what.split(":", 1)
            found.append(taken_out(name, package, globs.split(","), work / "trees"))
        elif how == ":":
            found.append(Rpm(name, tree_version(what), f"the tree has Debian's {what}"))
        elif name not in there:
            found.append(Rpm(name, "1", f"asks for Debian's {what}", (what,)))
    release = (f"system-release = {version}", f"system-release(releasever) = {version}", "fedora-release")
    return [*found, Rpm("fedora-release-workstation", version, "what this stand-in is", (), release)]


def main() -> None:
    repository, version, key, *words = sys.argv[1:]
    work = Path(tempfile.mkdtemp(dir="/var/tmp"))
    work.chmod(0o755)  # apt's own user downloads into it
    Path(repository).mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda rpm: build(rpm, work, f"1.fc{version}", Path(repository)), rpms(version, words, work)))
    run("rpmsign", f"-D_gpg_name {key}", "-D_openpgp_sign gpg", "--addsign", *sorted(Path(repository).glob("*.rpm")))
    run("createrepo_c", "--quiet", repository)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
