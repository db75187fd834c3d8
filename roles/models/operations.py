"""The models of a node: looked at, sent, or fetched by the node itself."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from functools import partial
from pathlib import Path

from pyinfra.api import Host, QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from inventory.spec.language.sources import RandomModel, UrlModel
from roles.lib.jobs import job
from roles.lib.layout import INCOMING
from roles.lib.local import sha256_cached
from roles.lib.packages import Table, packages
from roles.lib.paths import Directory, paths
from roles.lib.remote import Commands, call, current, read
from roles.lib.render import render
from roles.lib.stop import Failed
from roles.lib.transfer import send
from roles.models import fit, here, there
from roles.models.held import Held, tell
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
    seen = there.files(host, models)
    for model in models:
        mine = there.of(model, seen)
        if model.on_node:
            found = _in_place(host, model, mine)
        elif isinstance(model.spec, UrlModel):
            found = {model.path: model.spec.sha256}
            if mine != found:
                yield from packages._inner(FETCH_PACKAGES)
                yield job(f"fetch-{model.name}", fetch_script(model, model.spec), other="stop")
                yield call(partial(_long_enough, model))
        else:
            found = yield from _brought(model, mine)
        tell(host, model.path, Held(next(iter(found)), " ".join(found.values())))
    host.noop(f"{len(models)} models")


def _long_enough(model: Model, host: Host) -> None:
    """What preflight says of models that it can see. Raises Failed."""
    for head in there.heads(host, (model,)).values():
        if findings := [str(finding) for finding in fit.context(host.name, model, head)]:
            raise Failed("\n".join(findings))


def _in_place(host: Host, model: Model, mine: dict[str, str]) -> dict[str, str]:
    try:
        return there.in_place(model, mine)
    except Failed as failed:
        raise Failed(f"{host.name}: models.{model.name}: {failed}; put it there") from None


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
    if missing:
        yield call(partial(_room, model, sum(files[path].stat().st_size for path in missing)))
    for path in missing:
        yield call(partial(_send, model, files[path], path))
    for path in seen:
        if path not in files:
            yield StringCommand("rm -f", QuoteString(path), QuoteString(f"{path}.sha256"))
    return sums


def _room(model: Model, needed: int, host: Host) -> None:
    """needed: bytes. Raises Failed."""
    free = int(read(host, StringCommand(f"df --output=avail -B1 {INCOMING} | tail -n 1")))
    if needed > free:
        has = f"{INCOMING} on {host.name} has {free / 2**30:.1f} GiB free"
        raise Failed(f"models.{model.name}: {needed / 2**30:.1f} GiB are to come, {has}; make room")


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
