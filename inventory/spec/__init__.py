"""What lab.yml says, typed and checked, and what follows from it. Nothing here touches a host."""

from inventory.spec.errors import LabError, SpecError
from inventory.spec.hosts import pyinfra_hosts
from inventory.spec.lab import Lab
from inventory.spec.load import load
from inventory.spec.models import (
    ArchiveSource,
    FileModel,
    GitSource,
    LabFile,
    LlamaCpp,
    Node,
    RandomModel,
    Serve,
    Ssh,
    Usb4,
    Virtual,
)
from inventory.spec.topology import Cable, LinkEnd

__all__ = [
    "ArchiveSource",
    "Cable",
    "FileModel",
    "GitSource",
    "Lab",
    "LabError",
    "LabFile",
    "LinkEnd",
    "LlamaCpp",
    "Node",
    "RandomModel",
    "Serve",
    "SpecError",
    "Ssh",
    "Usb4",
    "Virtual",
    "load",
    "pyinfra_hosts",
]
