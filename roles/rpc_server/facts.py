"""Where the RPC server's unit file says that it listens."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from roles.rpc_server.plan import PATH


class UnitEndpoint(FactBase[str]):
    """`ADDRESS:PORT`; empty where there is no unit."""

    def command(self) -> StringCommand:
        return StringCommand(
            f"sed -n 's/^ExecStart=.* --host \\([^ ]*\\) --port \\([0-9]*\\).*/\\1:\\2/p' {PATH} 2>/dev/null || true"
        )

    @staticmethod
    def default() -> str:
        return ""
