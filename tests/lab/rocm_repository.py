"""Makes package repositories laid out as AMD's is, small ones: `rocm_repository.py FOLDER`, on the stand-in for Fedora.

FOLDER gets `good`, `forged` (signed by another key) and `lacking` (without what is asked for), each with `ubuntu2604`
and `rhel10/x86_64`; `right.asc` and `wrong.asc`, the public keys; and `loose`, packages of before. Beside ROCm the good
one has what must never be taken from it: a kernel module, and curl in a version above every distribution's.
Standard library only, and gpg, rpm and createrepo-c: no package tool of Debian's is there.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROCMINFO = """\
#!/bin/sh
# As AMD's: nobody outside the group opens /dev/kfd.
echo 'ROCk module is loaded'
if ! id -nG | grep -qw render; then
    echo 'Unable to open /dev/kfd read-write: Permission denied'
    exit 1
fi
echo "  Name:                    $(cat /run/other-gfx 2>/dev/null || echo gfx1151)"
"""


@dataclass(frozen=True)
class Package:
    """needs: by tool, what else it asks for of the distribution. files: path -> content, each a program."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    deb_needs: tuple[str, ...] = ()
    rpm_needs: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


def series(number: str) -> list[Package]:
    """What one name brings: here three packages, one of which asks for something of the distribution's."""
    base, runtime = f"amdrocm-base{number}", f"amdrocm-runtime{number}"
    rocminfo = (f"opt/rocm/core-{number}/bin/rocminfo", ROCMINFO)
    return [
        Package(f"amdrocm{number}-gfx1151", f"{number}.0", (base, runtime), recommends=("amdgpu-dkms",)),
        Package(base, f"{number}.0", files=(rocminfo,)),
        Package(runtime, f"{number}.0", deb_needs=("libnuma1",), rpm_needs=("make",)),
    ]


NEVER = [Package("amdgpu-dkms", "99"), Package("curl", "99")]
GOOD = [*series("10.0"), *series("10.1"), *NEVER]
LACKING = [package for package in series("10.0") if package.requires == ()]
LOOSE = [Package("rocm-core", "7.2.4.70204"), Package("mesa-vulkan-drivers", "25.0.7")]


def run(*command: str | Path, stdin: str = "") -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def make_key(name: str, folder: Path) -> str:
    """Its fingerprint."""
    run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "rsa3072", "sign", "never")
    (folder / f"{name}.asc").write_text(run("gpg", "--batch", "--armor", "--export", name))
    said = run("gpg", "--list-keys", "--with-colons", name)
    return next(line.split(":")[9] for line in said.splitlines() if line.startswith("fpr:"))


def _tar(files: dict[str, tuple[str, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        folders = sorted({str(parent) for path in files for parent in Path(path).parents if str(parent) != "."})
        for folder in folders:
            info = tarfile.TarInfo(f"./{folder}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for path, (text, mode) in files.items():
            info = tarfile.TarInfo(f"./{path}")
            info.size, info.mode = len(text), mode
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def deb(package: Package, folder: Path) -> str:
    """Write it (deb(5)); what the index says of it."""
    control = f"Package: {package.name}\nVersion: {package.version}\nArchitecture: amd64\nMaintainer: nobody\n"
    if depends := (*package.requires, *package.deb_needs):
        control += f"Depends: {', '.join(depends)}\n"
    if package.recommends:
        control += f"Recommends: {', '.join(package.recommends)}\n"
    control += "Description: of halofleet's tests\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"control": (control, 0o644)}),
        "data.tar.gz": _tar({path: (text, 0o755) for path, text in package.files}),
    }
    content = b"!<arch>\n"
    for name, part in parts.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
        )
    path = folder / f"{package.name}_{package.version}_amd64.deb"
    path.write_bytes(content)
    return f"{control}Filename: pool/{path.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"


def apt_repository(packages: list[Package], folder: Path, key: str) -> None:
    index = folder / "dists/stable/main/binary-amd64"
    index.mkdir(parents=True)
    (folder / "pool").mkdir()
    listed = "\n".join(deb(package, folder / "pool") for package in packages)
    (index / "Packages").write_text(listed)
    release = "Origin: AMD\nSuite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n"
    release += f"Date: {run('date', '-uR').strip()}\nSHA256:\n"
    release += f" {hashlib.sha256(listed.encode()).hexdigest()} {len(listed)} main/binary-amd64/Packages\n"
    signed = run("gpg", "--batch", "--local-user", key, "--clearsign", stdin=release)
    (folder / "dists/stable/InRelease").write_text(signed)


SPEC = """\
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%define __check_files %{{nil}}
Name: {name}
Version: {version}
Release: 1
Summary: of halofleet's tests
License: none
AutoReqProv: no
{relations}
%description
Of halofleet's tests.
%install
{install}
%files
{files}
"""


def rpm(package: Package, folder: Path, work: Path) -> None:
    lines = [f"Requires: {name}" for name in (*package.requires, *package.rpm_needs)]
    lines += [f"Recommends: {name}" for name in package.recommends]
    install = [f"mkdir -p %{{buildroot}}\ncp -a {work}/{package.name}/. %{{buildroot}}/"] if package.files else []
    for path, text in package.files:
        target = work / package.name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)
    spec = work / f"{package.name}.spec"
    values = {"relations": "\n".join(lines), "install": "\n".join(install)}
    files = "\n".join(f"/{path}" for path, _ in package.files)
    spec.write_text(SPEC.format(name=package.name, version=package.version, files=files, **values))
    name_format = "-D_build_name_fmt %%{NAME}-%%{VERSION}.rpm"
    run("rpmbuild", "-bb", "--quiet", f"-D_topdir {work}", f"-D_rpmdir {folder}", name_format, spec)


def dnf_repository(packages: list[Package], folder: Path, key: str, work: Path) -> None:
    folder.mkdir(parents=True)
    for package in packages:
        rpm(package, folder, work)
    sign(folder, key)
    run("createrepo_c", "--quiet", folder)


def sign(folder: Path, key: str) -> None:
    run("rpmsign", "-D_openpgp_sign gpg", f"-D_gpg_name {key}", "--resign", *sorted(folder.glob("*.rpm")))


def main() -> None:
    top = Path(sys.argv[1])
    work = top.with_name(f"{top.name}-work")
    for folder in (top, work, work / "gpg"):
        folder.mkdir(mode=0o700 if folder.name == "gpg" else 0o755)
    os.environ["GNUPGHOME"] = str(work / "gpg")
    right, wrong = make_key("right", top), make_key("wrong", top)
    for name, packages, key in (("good", GOOD, right), ("forged", series("10.0"), wrong), ("lacking", LACKING, right)):
        apt_repository(packages, top / name / "ubuntu2604", key)
        dnf_repository(packages, top / name / "rhel10/x86_64", key, work)
    (top / "loose").mkdir()
    for package in LOOSE:
        deb(package, top / "loose")
        rpm(package, top / "loose", work)
    subprocess.run(["gpgconf", "--kill", "all"], check=False)
    print(right, wrong)


if __name__ == "__main__":
    main()
