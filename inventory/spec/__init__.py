"""What lab.yml says, typed and checked, and what follows from it. Nothing here touches a host."""

from inventory.spec.errors import LabError, SpecError
from inventory.spec.hosts import pyinfra_groups
from inventory.spec.lab import Lab
from inventory.spec.language.file import LabFile
from inventory.spec.load import load

__all__ = ["Lab", "LabError", "LabFile", "SpecError", "load", "pyinfra_groups"]
