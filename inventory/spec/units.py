"""What our units are called, for those who write them and those who show them."""

RPC_SERVER = "halofleet-rpc-server.service"
GUARD = "halofleet-guard.service"
RPC_CACHE = "halofleet-rpc-cache.service"
LLAMA_SERVERS = "halofleet-server-*.service"


def llama_server(serve: str) -> str:
    """The unit of a serve."""
    return LLAMA_SERVERS.replace("*", serve)
