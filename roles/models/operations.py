"""The models of a node: looked at, sent, or fetched by the node itself."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from functools import partial
from pathlib import Path, PurePosixPath

from pyinfra.api import Host, QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from inventory.spec.language.sources import RandomModel, UrlModel
from roles.lib.jobs import job
from roles.lib.local import sha256_cached
from roles.lib.packages import Table, packages
from roles.lib.paths import Directory, paths
from roles.lib.remote import Commands, call, current, look
from roles.lib.render import render
from roles.lib.stop import Failed
from roles.lib.transfer import send
from roles.models import here
from roles.models.facts import ModelFiles
from roles.models.held import Held, tell
from roles.models.parts import in_order
from roles.models.plan import Model

SHA256_DIGITS = 64
FETCH_PACKAGES: Table = {"apt": ("curl",), "dnf": ("curl",)}


@operation()
def present(models: tuple[Model, ...]) -> Commands:
    """Every model of the node is there, whole. Raises Failed for one that should be on the node and is not."""
    host = current()
    if not models:
        host.noop("this node is no controller: its layers come over the link")
        return
    seen = look(
        host,
        ModelFiles,
        files=tuple(model.path for model in models if not model.in_parts),
        folders=tuple(model.path for model in models if model.in_parts),
    )
    for model in models:
        mine = {path: digest for path, digest in seen.items() if path == model.path or _folder(path) == model.path}
        if model.on_node:
            found = _looked_at(host, model, mine)
        elif isinstance(model.spec, UrlModel):
            found = {model.path: model.spec.sha256}
            if mine != found:
                yield from packages._inner(FETCH_PACKAGES)
                yield job(f"fetch-{model.name}", fetch_script(model, model.spec))
        else:
            found = yield from _brought(model, mine)
        tell(host, model.path, Held(next(iter(found)), " ".join(found.values())))
    host.noop(f"{len(models)} models")


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _looked_at(host: Host, model: Model, seen: dict[str, str]) -> dict[str, str]:
    """The files of a model that the user has put on the node, in their order."""
    what = f"{host.name}: models.{model.name}"
    if model.in_parts:
        names = in_order((PurePosixPath(path).name for path in seen), f"{what}: {model.path} on this node")
        return {path: seen[path] for path in (f"{model.path}/{name}" for name in names)}
    if not seen:
        raise Failed(f"{what}: no file {model.path} on this node; put it there")
    return seen


def _brought(model: Model, seen: dict[str, str]) -> Generator[PyinfraCommand, None, dict[str, str]]:
    """Sends what is missing or other than here; the model's files on the node with their sums, in their order.

    Parts of another model that was in the folder go when the new one is whole.
    """
    if isinstance(model.spec, RandomModel) and len(seen.get(model.path, "")) == SHA256_DIGITS:
        return seen  # its file name says what is in it, so any whole file of that name is the right one
    files = here.files(model)
    sums = {path: sha256_cached(local) for path, local in files.items()}
    missing = [path for path in files if seen.get(path) != sums[path]]
    if missing and model.in_parts:
        yield from paths._inner((Directory(model.path),))
    for path in missing:
        yield call(partial(_send, model, files[path], path))
    for path in seen:
        if path not in files:
            yield StringCommand("rm -f", QuoteString(path), QuoteString(f"{path}.sha256"))
    return sums


def _send(model: Model, local: Path, path: str, host: Host) -> None:
    host.log(f"model {model.name}: {local.stat().st_size / 2**20:.0f} MiB to {path}")
    send(host, local, path, sha256=sha256_cached(local), record=True)


def fetch_script(model: Model, spec: UrlModel) -> str:
    return render(
        "models/fetch.sh.j2",
        field=f"models.{model.name}",
        name=model.name,
        url=shlex.quote(spec.url),
        sha256=spec.sha256,
        path=shlex.quote(model.path),
    )
