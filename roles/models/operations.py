"""The model files of a node."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from pyinfra.api import FactBase, Host, StringCommand, operation

from inventory.spec import home
from inventory.spec.models import FileModel
from roles.lib.board import MODELS, board
from roles.lib.local import sha256_cached
from roles.lib.remote import Commands, call, current, look
from roles.lib.stop import Failed
from roles.lib.transfer import send
from roles.llama_cpp import source
from roles.models.plan import Model

SHA256_DIGITS = 64
GENERATOR = Path(__file__).with_name("random_gguf.py")


class ModelFiles(FactBase[dict[str, str]]):
    """Path -> the sum that was recorded when the file arrived, or size and time of one that we did not bring.

    A file that changed since (its size or time is not what was recorded) counts as absent. Hashing hundreds of
    gigabytes at every run would cost minutes.
    """

    def command(self, paths: tuple[str, ...]) -> StringCommand:
        words = " ".join(map(shlex.quote, paths))
        return StringCommand(
            f'for p in {words}; do [ -s "$p" ] || continue; '
            'if [ -f "$p.sha256" ]; then read -r sum stamp <"$p.sha256"; '
            '[ "$stamp" != "$(stat -c %s-%Y "$p")" ] || echo "$sum $p"; else echo "$(stat -c %s-%Y "$p") $p"; fi; done'
        )

    def process(self, output: list[str]) -> dict[str, str]:
        return {path: digest for digest, path in (line.split(" ", 1) for line in output)}

    @staticmethod
    def default() -> dict[str, str]:
        return {}


@operation()
def present(models: tuple[Model, ...]) -> Commands:
    """Every model of the node is there. Raises Failed for one that should be on the node and is not."""
    host = current()
    if not models:
        host.noop("this node is no controller: its layers come over the link")
        return
    there = look(host, ModelFiles, paths=tuple(model.path for model in models))
    for model in models:
        recorded = there.get(model.path, "")
        on_node = isinstance(model.spec, FileModel) and model.spec.on == "node"
        if on_node and not recorded:
            raise Failed(f"{host.name}: models.{model.name}: no file {model.path} on this node; put it there")
        if not on_node and not _is_current(model, recorded):
            yield call(partial(_send, model))
            recorded = sha256_cached(local_file(model))
        board(host.state, MODELS)[f"{host.name} {model.path}"] = recorded
    host.noop(f"{len(models)} models")


def _send(model: Model, host: Host) -> None:
    local = local_file(model)
    host.log(f"model {model.name}: {local.stat().st_size / 2**20:.0f} MiB to {model.path}")
    send(host, local, model.path, sha256=sha256_cached(local), record=True)


def _is_current(model: Model, recorded: str) -> bool:
    """Whether the node's record (empty: it has none) is that of the file we would send.

    A random model's file name says what is in it, so any complete file of that name is the right one.
    """
    if isinstance(model.spec, FileModel):
        return recorded == sha256_cached(local_file(model))
    return len(recorded) == SHA256_DIGITS


def local_file(model: Model) -> Path:
    """The model on the control machine; a random one is made where the cache has none. Raises Failed."""
    if isinstance(model.spec, FileModel):
        if not model.spec.file.is_file():
            raise Failed(f"models.{model.name}: no file {model.spec.file} on this machine")
        return model.spec.file
    path = home.cache("models") / Path(model.path).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            vocabulary = _vocabulary(model, Path(folder))
            out = Path(folder) / "model.gguf"
            command = [sys.executable, str(GENERATOR), str(vocabulary), str(out)]
            command += [str(model.spec.layers), str(model.spec.width)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise Failed(f"models.{model.name}: {result.stderr.strip().splitlines()[-1]}")
            out.replace(path)
    return path


def _vocabulary(model: Model, folder: Path) -> Path:
    """models/ggml-vocab-NAME.gguf of the llama.cpp source."""
    assert not isinstance(model.spec, FileModel)  # noqa: S101
    tarball = source.fetch(model.llama_cpp)
    ending = f"/models/ggml-vocab-{model.spec.random}.gguf"
    with tarfile.open(tarball.path) as tar:
        names = tar.getnames()
        name = next((name for name in names if name.endswith(ending)), None)
        if name is None:
            known = sorted(
                Path(name).stem.removeprefix("ggml-vocab-")
                for name in names
                if "/ggml-vocab-" in name and name.endswith(".gguf")
            )
            raise Failed(
                f"models.{model.name}.random: no vocabulary {model.spec.random!r}; there are: {', '.join(known)}"
            )
        file = tar.extractfile(name)
        assert file is not None  # noqa: S101  # a .gguf is a regular file
        path = folder / "vocabulary.gguf"
        path.write_bytes(file.read())
    return path
