"""Build once, keep the artifact, put it on every node of the platform."""

from __future__ import annotations

import json
import shlex

from pyinfra.api import FactBase, Host, StringCommand, operation

from inventory.spec.language.sources import GitSource
from roles.lib import remote
from roles.lib.jobs import job
from roles.lib.layout import BUILDS
from roles.lib.local import sha256_cached
from roles.lib.packages import packages
from roles.lib.paths import File, write
from roles.lib.remote import Commands, call, current, later, look
from roles.lib.render import render
from roles.lib.stop import Failed
from roles.lib.transfer import receive, send
from roles.llama_cpp import artifact, device, source
from roles.llama_cpp.facts import Devices, Installed, InstalledReleases
from roles.llama_cpp.plan import BINARIES, Release, build_packages


class BuildStarted(FactBase[bool]):
    """The node has the artifact already, or its build is under way: nothing has to be sent."""

    def command(self, release: str) -> StringCommand:
        artifact_path = shlex.quote(node_artifact(release))
        unit = shlex.quote(f"halofleet-{job_name(release)}.service")
        return StringCommand(
            f"if [ -f {artifact_path} ] || systemctl is-active --quiet {unit}; then echo yes; else echo no; fi"
        )

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]

    @staticmethod
    def default() -> bool:
        return False


def job_name(release: str) -> str:
    return f"build-{release}"


def node_artifact(release: str) -> str:
    return f"{BUILDS}/{release}.tar.gz"


@operation()
def built(releases: tuple[Release, ...]) -> Commands:
    """The artifacts are in the control machine's cache. Only a release's builder works; the others have nothing to do.

    A build that a killed run left behind is attached to.
    """
    host = current()
    for release in releases:
        if host.name == release.builder and not artifact.is_cached(release):
            yield from _built(host, release)
    host.noop("the releases of this node are in the cache, or built by another")


def _built(host: Host, release: Release) -> Commands:
    if not look(host, BuildStarted, release=release.id):
        yield from packages._inner(build_packages(release.backend, release.rocm))
        yield call(lambda host: _send_source(host, release))
        note = json.dumps(_manifest(release), indent=2, sort_keys=True) + "\n"
        yield write(File(f"{BUILDS}/{release.id}/release.json", note))
    yield job(job_name(release.id), _script(release))
    yield call(lambda host: _receive(host, release))


def _receive(host: Host, release: Release) -> None:
    receive(host, node_artifact(release.id), artifact.path_of(release))
    artifact.keep(release)


def _script(release: Release) -> str:
    tarball = source.fetch(release.source)
    return render(
        "llama_cpp/build.sh.j2",
        release=release,
        builds=BUILDS,
        artifact=node_artifact(release.id),
        subdir=shlex.quote(tarball.subdir),
        commit=tarball.commit,
        cmake=" ".join(map(shlex.quote, release.cmake)),
        binaries=BINARIES,
    )


def _manifest(release: Release) -> dict[str, object]:
    return {
        "id": release.id,
        "commit": source.fetch(release.source).commit,
        "source": release.source.model_dump(mode="json"),
        "cmake": release.cmake,
        "backend": release.backend,
        **({"rocm": release.rocm} if release.rocm else {}),
        "os": release.os,
        "arch": release.arch,
    }


def _send_source(host: Host, release: Release) -> None:
    label = release.source.ref if isinstance(release.source, GitSource) else release.source.archive
    host.log(f"the source, {label}, goes to this node")
    tarball = source.fetch(release.source)
    folder = f"{BUILDS}/{release.id}"
    remote.read(host, StringCommand(f"mkdir -p {shlex.quote(folder)}"))
    send(host, tarball.path, f"{folder}/source.tar.gz", sha256=sha256_cached(tarball.path))


@operation()
def installed(releases: tuple[Release, ...]) -> Commands:
    """They are on the node, every file as it was built, and the links point to them."""
    host = current()
    states = look(host, InstalledReleases, releases=releases)
    for release in releases:
        yield from _installed(host, release, states[release.id])
    host.noop(f"installed: {', '.join(release.id for release in releases)}")


def _installed(host: Host, release: Release, state: Installed) -> Commands:
    if not artifact.is_cached(release):
        if host.state.is_executing:
            raise Failed(
                f"{host.name}: release {release.id} is not built: its builder, {release.builder}, failed (see above) "
                "or is not part of this run (--limit, --exclude)"
            )
        host.log(f"llama.cpp {release.id} will be installed when {release.builder} has built it")
        yield later()
        return
    target = f"releases/{release.id}"
    if state.sums != artifact.sums(release):
        yield call(lambda host: _send_artifact(host, release))
        yield StringCommand(_unpack(release, keep=host.name == release.builder))
    if state.current != target:
        if release.device:
            yield call(lambda host: _found(host, release))
        link = release.link
        yield StringCommand(f"ln -sfn {shlex.quote(target)} {link}.new && mv -Tf {link}.new {link}")


def _found(host: Host, release: Release) -> None:
    """Raises Failed where the release does not find its device: what ran before goes on."""
    if lacking := device.lacking(host.name, release, look(host, Devices, release=release)):
        raise Failed(f"{lacking}; the node goes on with what it ran before")


def _send_artifact(host: Host, release: Release) -> None:
    local, path = artifact.path_of(release), node_artifact(release.id)
    digest = sha256_cached(local)
    there = remote.read(host, StringCommand(f"sha256sum 2>/dev/null <{shlex.quote(path)} | cut -c1-64 || true"))
    if there != digest:
        send(host, local, path, sha256=digest)


def _unpack(release: Release, *, keep: bool) -> str:
    """Unpacked and checked beside its place, then moved into it. The builder keeps its artifact."""
    path, archive = shlex.quote(release.path), shlex.quote(node_artifact(release.id))
    return (
        f"rm -rf {path}.part && mkdir {path}.part && tar -xzf {archive} -C {path}.part && "
        f"(cd {path}.part && sha256sum -c --quiet SHA256SUMS) && chown -R root:root {path}.part && "
        f"rm -rf {path} && mv -T {path}.part {path} && "
        f"if command -v restorecon >/dev/null; then restorecon -R {path}; fi{'' if keep else f' && rm -f {archive}'}"
    )
