"""The GPU as a release itself finds it. A backend that finds none would compute on the CPU without a word."""

from __future__ import annotations

from roles.lib.finding import Finding
from roles.lib.layout import USER
from roles.llama_cpp.plan import Release


def program(release: Release) -> str:
    return f"{release.path}/bin/llama-server"


def listed(release: Release) -> str:
    """Shell: a line `NAME WHAT` for each device, as the service's user sees them in the units' environment."""
    user = f"setpriv --reuid={USER} --regid={USER} --init-groups --reset-env env {' '.join(release.environment)}"
    return f"{user} {program(release)} --list-devices 2>/dev/null | sed -n 's/^ *\\([^ :]*\\): /\\1 /p'"


def lacking(node: str, release: Release, devices: dict[str, str]) -> Finding | None:
    """devices: name -> what it is."""
    if not release.device or release.device in devices:
        return None
    seen = ", ".join(devices) or "none"
    fix = f"{program(release)} --list-devices says what it finds as {USER}; deploys/preflight.py looks at the driver"
    return Finding("GPU of llama.cpp", "stop", node, seen, release.device, fix)
