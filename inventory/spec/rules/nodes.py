"""Rules about nodes, groups and what they say of a box."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address

from inventory.spec.draft import Draft, NodeDraft
from inventory.spec.errors import Problem, did_you_mean, quoted
from inventory.spec.language.nodes import RESERVE, UBUNTU_STAND_IN, UBUNTU_SUITES


def _names(draft: Draft) -> Iterator[Problem]:
    taken = {
        draft.lab: "the lab's own name, which pyinfra gives to a group",
        "all": "pyinfra's group of all nodes",
        "localhost": "every machine's name for itself",
    }
    for name in draft.nodes or {}:
        if name in taken:
            yield ("nodes", name), f"{quoted(name)} is {taken[name]}; name the node otherwise"
    for name in sorted(draft.groups or ()):
        if name in taken:
            yield ("groups", name), f"{quoted(name)} is {taken[name]}; name the group otherwise"
        elif name in (draft.nodes or {}):
            yield ("groups", name), f"{quoted(name)} is a node's name too; name the group otherwise"
    if draft.lab == "all":
        yield (), f"the lab is named by its file, and {quoted('all')} is {taken['all']}; name the file otherwise"


def _ids(draft: Draft) -> Iterator[Problem]:
    owner: dict[int, str] = {}
    for name, node in (draft.nodes or {}).items():
        if node.id is not None and (first := owner.setdefault(node.id, name)) != name:
            yield ("nodes", name, "id"), f"{node.id} is the id of {first} already; each node needs its own, 1 to 254"


def _addresses(draft: Draft) -> Iterator[Problem]:
    owner: dict[IPv4Address, str] = {}
    for name, node in (draft.nodes or {}).items():
        path, address, net = ("nodes", name, "address"), node.address, draft.management
        if address is None:
            continue
        if (first := owner.setdefault(address, name)) != name:
            yield path, f"{address} is the address of {first} already; each node needs its own"
        if net is None:
            continue
        if address not in net:
            yield path, f"{address} is outside management {net}, where every node's address is"
        elif what := _not_a_hosts(address, draft):
            yield path, f"{address} is the {what} address of management {net}; choose another"


def _not_a_hosts(address: IPv4Address, draft: Draft) -> str | None:
    net = draft.management
    if net is None or net.prefixlen > 30:  # point-to-point: both addresses are hosts' (RFC 3021)
        return None
    taken = {net.network_address: "network", net.broadcast_address: "broadcast"}
    if draft.virtual:
        taken[net.network_address + 1] = "bridge"
    return taken.get(address)


def _groups(draft: Draft) -> Iterator[Problem]:
    for name, node in (draft.nodes or {}).items():
        if node.group is not None and draft.groups is not None and node.group not in draft.groups:
            hint = did_you_mean(node.group, draft.groups) or "; add it to groups"
            text = f"there is no group {quoted(node.group)}{hint}"
            yield ("nodes", name, "group"), text


def _systems(draft: Draft) -> Iterator[Problem]:
    named = {name for name, node in (draft.nodes or {}).items() if node.os == ""}
    if named and len(named) > 1 and named == (draft.nodes or {}).keys():
        yield ("nodes",), f'"os" is missing of {_listed(named)}; say it in defaults, such as `os: fedora-43`'
        return
    for name in sorted(named):
        grouped = (draft.nodes or {})[name].group is not None
        where = "here, in its group or in defaults" if grouped else "here, in defaults or in a group"
        yield ("nodes", name), f'"os" is missing; say it {where}, such as `os: fedora-43`'


def _virtual(draft: Draft) -> Iterator[Problem]:
    """What a virtual node is not. One mistake in defaults is one error."""
    told: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for name, node in (draft.nodes or {}).items() if draft.virtual else ():
        for key, text in _unlike_virtual(node, ubuntu_mirror=draft.ubuntu_mirror):
            told.setdefault((key, text), []).append(name)
    for (key, text), names in told.items():
        if len(names) > 1 and len(names) == len(draft.nodes or ()):
            yield ("nodes",), f"{'.'.join(key)} of {_listed(names)} {text}"
        else:
            for name in names:
                yield ("nodes", name, *key), text


def _unlike_virtual(node: NodeDraft, *, ubuntu_mirror: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if node.kernel == "own":
        hint = "a virtual node runs on this machine's kernel: write `kernel: none`, here or in defaults"
        yield ("kernel",), f'is "own", but {hint}'
    if node.os and node.os.startswith("ubuntu-"):
        yield from _ubuntu(node.os, ubuntu_mirror=ubuntu_mirror)
    if node.ssh_user not in (None, "root"):
        yield ("ssh", "user"), f"is {quoted(str(node.ssh_user))}, but a virtual node has root alone: leave it out"
    if node.ssh_key is not None:
        yield ("ssh", "key"), "is given, but a virtual node accepts the key that is made with it: leave it out"


def _ubuntu(os: str, *, ubuntu_mirror: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if os not in UBUNTU_SUITES:
        yield ("os",), f"is {quoted(os)}, but a virtual Ubuntu can be {' or '.join(UBUNTU_SUITES)}"
    elif os != UBUNTU_STAND_IN and not ubuntu_mirror:
        hint = f"write {UBUNTU_STAND_IN}, or say in virtual.ubuntu where its packages are"
        yield ("os",), f"is {quoted(os)}, for which there is no stand-in: {hint}"


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:3])
    return f"{first} and {len(names) - 3} others" if len(names) > 3 else first


def _memory(draft: Draft) -> Iterator[Problem]:
    for name, node in (draft.nodes or {}).items():
        if node.installed is None:
            continue
        if node.gpu == node.reserve == 0 and node.installed <= RESERVE:
            text = f"{node.installed}GiB leaves nothing for the GPU: {RESERVE}GiB are reserved; write a smaller reserve"
            yield ("nodes", name, "memory", "installed"), text
        for key, size in (("gpu", node.gpu), ("reserve", node.reserve)):
            if size is not None and size >= node.installed:
                text = f"{size}GiB leaves nothing of the {node.installed}GiB that are installed; choose less"
                yield ("nodes", name, "memory", key), text


RULES = (_names, _ids, _addresses, _groups, _systems, _virtual, _memory)
