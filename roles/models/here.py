"""Models on the control machine."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from inventory.spec import home
from inventory.spec.language.sources import DirectoryModel, FileModel, RandomModel, UrlModel
from roles.lib.stop import Failed
from roles.llama_cpp import source
from roles.models.head import BYTES_HERE, Head, read
from roles.models.parts import in_order
from roles.models.plan import TRAINED, Model

GENERATOR = Path(__file__).with_name("random_gguf.py")


def files(model: Model) -> dict[str, Path]:
    """Path on the node -> the file here, the parts of a model in their order. Raises Failed.

    A random model is made where the cache has none.
    """
    match model.spec:
        case FileModel(file=path):
            if not path.is_file():
                raise Failed(f"models.{model.name}: no file {path} on this machine")
            return {model.path: path}
        case DirectoryModel(directory=folder):
            what = f"models.{model.name}: {folder} on this machine"
            if not folder.is_dir():
                raise Failed(f"{what}: no such folder")
            names = (path.name for path in folder.iterdir() if path.is_file() and path.stat().st_size)
            return {f"{model.path}/{name}": folder / name for name in in_order(names, what)}
        case RandomModel() as spec:
            return {model.path: _random(model, spec)}
    raise AssertionError(f"{model.path} is fetched by the node")


def trouble(model: Model) -> str:
    """Why the model cannot be sent from here; empty where it can be, or is not to be."""
    if model.on_node or not isinstance(model.spec, FileModel | DirectoryModel):
        return ""
    try:
        files(model)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except Failed as failed:
        return str(failed).removeprefix(f"models.{model.name}: ")
    return ""


def head(model: Model) -> Head | None:
    """The beginning of a model that comes from here, and its size; None where it cannot be read, or is not from here.

    Of a random model that was not made yet: what will stand in it.
    """
    if model.on_node or isinstance(model.spec, UrlModel):
        return None
    if isinstance(model.spec, RandomModel) and not _random_path(model).is_file():
        return Head(0, {"general.architecture": "llama", "llama.context_length": TRAINED})
    try:
        paths = list(files(model).values())
        with paths[0].open("rb") as first:
            return read(sum(path.stat().st_size for path in paths), first.read(BYTES_HERE))
    except (OSError, Failed):
        return None


def _random_path(model: Model) -> Path:
    return home.cache("models") / Path(model.path).name


def _random(model: Model, spec: RandomModel) -> Path:
    path = _random_path(model)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            vocabulary = _vocabulary(model, spec, Path(folder))
            out = Path(folder) / "model.gguf"
            command = [sys.executable, str(GENERATOR), str(vocabulary), str(out), str(spec.layers), str(spec.width)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise Failed(f"models.{model.name}: {result.stderr.strip().splitlines()[-1]}")
            out.replace(path)
    return path


def _vocabulary(model: Model, spec: RandomModel, folder: Path) -> Path:
    """models/ggml-vocab-NAME.gguf of the llama.cpp source."""
    tarball = source.fetch(model.llama_cpp)
    ending = f"/models/ggml-vocab-{spec.random}.gguf"
    with tarfile.open(tarball.path) as tar:
        names = tar.getnames()
        name = next((name for name in names if name.endswith(ending)), None)
        if name is None:
            known = sorted(
                Path(name).stem.removeprefix("ggml-vocab-")
                for name in names
                if "/ggml-vocab-" in name and name.endswith(".gguf")
            )
            raise Failed(f"models.{model.name}.random: no vocabulary {spec.random!r}; there are: {', '.join(known)}")
        file = tar.extractfile(name)
        assert file is not None  # noqa: S101  # a .gguf is a regular file
        path = folder / "vocabulary.gguf"
        path.write_bytes(file.read())
    return path
