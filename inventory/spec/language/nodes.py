"""Nodes, and what a lab or a group of them has in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from inventory.spec.language.base import Spec
from inventory.spec.language.fields import (
    Address,
    Board,
    KeyFile,
    Location,
    Name,
    Os,
    Port,
    Size,
    Suite,
    Url,
    User,
    together,
)

Backend = Literal["cpu", "vulkan", "rocm"]


def _off(value: Any) -> Any:
    """YAML takes `off` for false."""
    return "off" if value is False else value


def _said_somewhere(schema: dict[str, Any]) -> None:
    schema.pop("default")


class Ssh(Spec):
    """How the control machine logs in. What is left out, SSH's own configuration decides."""

    user: Annotated[User, Field(examples=["admin"])] = "root"
    """A user other than root needs sudo without a password."""
    port: Annotated[Port, Field(examples=[2222])] = 22
    """Where sshd listens. No API and no RPC server may use it."""
    key: Annotated[KeyFile | None, Field(examples=["~/.ssh/id_ed25519"])] = None
    """A private key; `~` is expanded. Left out: the agent and the usual files. Virtual hosts get a key of the lab's
    own."""


RESERVE = 8
"""GiB. Of a box without a desktop; where the file names no reserve."""


class Memory(Spec):
    """How a box's memory is shared between the GPU and everything else."""

    installed: Annotated[Size | None, Field(examples=["128GiB"])] = None
    """What the box has by its maker's word. Sizes elsewhere are checked against it, and `make plan` adds it up."""
    gpu: Annotated[Size | None, Field(examples=["112GiB"])] = None
    """The GPU's ceiling (TTM's pages_limit). Left out: what is installed less the reserve."""
    reserve: Annotated[Size | None, Field(examples=["16GiB"])] = None
    """What stays for everything else. Left out: 8GiB, which does for a box without a desktop."""

    @property
    def for_models(self) -> int | None:
        """GiB that models may fill; None where the file does not say enough."""
        if self.gpu is not None or self.installed is None:
            return self.gpu
        return max(0, self.installed - (RESERVE if self.reserve is None else self.reserve))

    @model_validator(mode="after")
    def _one_way(self) -> Memory:
        if self.gpu is not None and self.reserve is not None:
            raise together("gpu and reserve are two ways to say the same; leave one out")
        return self


class Traits(Spec):
    """What a node, a group or the whole lab may say of a box. A node's word counts first, then its group's, then the
    lab's; `ssh` and `memory` are joined key by key."""

    os: Os = Field(default="", json_schema_extra=_said_somewhere, examples=["fedora-43", "ubuntu-26.04"])
    """What is installed there: ID and VERSION_ID of /etc/os-release. It is not changed, only expected."""
    board: Annotated[Board | None, Field(examples=["framework-desktop"])] = None
    """Which product the box is, by its name in inventory/boards.yml: how many USB4 ports it has follows from it."""
    backend: Annotated[Backend, Field(examples=["vulkan"])] = "cpu"
    """What computes: `vulkan` (Mesa's RADV), `rocm`, or `cpu`. The nodes of one serve should agree."""
    memory: Annotated[Memory, Field(examples=[{"installed": "128GiB", "reserve": "16GiB"}])] = Memory()
    """How the box's memory is shared between the GPU and everything else."""
    kernel: Annotated[Literal["own", "none"], Field(examples=["none"])] = "own"
    """`own`: the box boots a kernel, whose parameters can be set. `none`: a container, which has no kernel, boot loader
    or clock of its own; virtual nodes are that."""
    iommu: Annotated[Literal["untouched", "off", "pt"], BeforeValidator(_off), Field(examples=["pt"])] = "untouched"
    """`off` reads prompts some 5 % faster and costs the NPU, VFIO and USB4's DMA protection; `pt` gains nothing
    (measured by Framework on kernel 7.0.4), and RDMA guides want it."""
    tuning: Annotated[Literal["performance", "none"], Field(examples=["none"])] = "performance"
    """`performance`: tuned's accelerator-performance, with less waiting to be written; it reads prompts 5 to 8 % faster
    (measured by strixhalo-homelab). `none`: what sets the box's power stays, or becomes again, as it was."""
    sleep: Annotated[Literal["never", "untouched"], Field(examples=["untouched"])] = "never"
    """`never`: the targets of sleep are masked, so that no desktop, timer or person suspends the box. `untouched`: they
    stay, or become again, as they were."""
    upgrades: Annotated[Literal["held", "untouched"], Field(examples=["untouched"])] = "held"
    """`held`: automatic upgrades (unattended-upgrades, dnf's automatic) leave kernel, firmware, Mesa and ROCm alone and
    reboot nothing; `apt upgrade` and `dnf upgrade` by hand take them as ever. `untouched`: that stays, or becomes
    again, as it was."""
    reboot: Annotated[Literal["when-needed", "never"], Field(examples=["never"])] = "when-needed"
    """Whether cluster.py may reboot the box for kernel parameters. `never`: it says what is pending."""
    ssh: Annotated[Ssh, Field(examples=[{"user": "admin", "key": "~/.ssh/id_ed25519"}])] = Ssh()
    """How the control machine logs in."""


class Group(Traits):
    """Boxes with something in common. pyinfra has a group of this name too: `--limit NAME`."""


class Node(Traits):
    """A box."""

    id: Annotated[int, Field(ge=1, le=254, examples=[1])]
    """Permanent and unique: the node's addresses on its links follow from it. Never give a node another one."""
    address: Annotated[Address, Field(examples=["192.168.1.11"])]
    """Where SSH answers, in the management network. Fixed: give the box a reservation in your router."""
    group: Annotated[Name | None, Field(examples=["desks"])] = None
    """Which of `groups` the node is in; one at most."""


_FEDORA = {"mirror": "https://dl.fedoraproject.org/pub/fedora/linux", "key": "/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-43"}
_UBUNTU = {
    "mirror": "http://archive.ubuntu.com/ubuntu",
    "key": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}


class Mirror(Spec):
    """Where a distribution's packages are had, and the key that they are signed with."""

    mirror: Annotated[Url, Field(examples=["https://dl.fedoraproject.org/pub/fedora/linux"])]
    """Fedora: the folder with `releases/` and `updates/`. Ubuntu: the folder with `dists/` and `pool/`."""
    key: Annotated[KeyFile, Field(examples=["/usr/share/keyrings/ubuntu-archive-keyring.gpg"])]
    """The distribution's public key, a file on this machine; `~` is expanded."""


UBUNTU_SUITES = {"ubuntu-24.04": "noble", "ubuntu-26.04": "resolute"}
"""That can be made from a mirror, and how the mirror calls them."""
UBUNTU_STAND_IN = "ubuntu-26.04"
"""Whose stand-in can be made without one."""


class Virtual(Spec):
    """The lab's hosts are systemd-nspawn hosts on this machine (`deploys/virtual_lab.py`)."""

    suite: Annotated[Suite, Field(examples=["trixie"])] = "trixie"
    """Any suite that mmdebstrap can build."""
    mirror: Annotated[Location | None, Field(examples=["http://deb.debian.org/debian"])] = None
    """An apt mirror of Debian. Left out: mmdebstrap's own default for the suite."""
    fedora: Annotated[Mirror | None, Field(examples=[_FEDORA])] = None
    """Nodes of Fedora are made of its own packages, by `dnf --installroot`."""
    ubuntu: Annotated[Mirror | None, Field(examples=[_UBUNTU])] = None
    """Nodes of Ubuntu 24.04 or 26.04 are made of its own packages."""
