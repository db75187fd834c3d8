"""Where things are on a node. One place, because units, roles and people rely on it."""

USER = "halofleet"
"""The system user that the servers run as."""

ETC = "/etc/halofleet"
STATE = "/var/lib/halofleet"
"""What undo needs, jobs and their logs, builds, models."""

PROGRAMS = "/opt/halofleet/lib"
"""Programs of our own that run on nodes: Python, nothing but its standard library."""

LLAMA_CPP = "/opt/halofleet/llama.cpp"
RELEASES = f"{LLAMA_CPP}/releases"
BUILDS = f"{STATE}/builds"
MODELS = f"{STATE}/models"
INCOMING = f"{STATE}/incoming"
"""Where uploads arrive: it belongs to the user that SSH logs in as."""

CACHE = "/var/cache/halofleet"
"""What an RPC server may keep of the weights that it was sent; the service user's."""

LINKS_PROVEN = f"{STATE}/links.proven"
"""A line for each link that was proven: `DIGEST INTERFACE MTU GBIT` (roles/link_proof)."""


def release_link(backend: str) -> str:
    """Points to the release that runs by this backend."""
    return f"{LLAMA_CPP}/current-{backend}"
