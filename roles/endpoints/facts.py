"""Where the unit files of our services say that they listen."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from roles.llama_server.plan import PATTERN
from roles.rpc_server.plan import UNIT

FOLDER = "/etc/systemd/system"


class UnitEndpoints(FactBase[dict[str, str]]):
    """Unit -> `ADDRESS:PORT`, of every unit that there is."""

    def command(self) -> StringCommand:
        flag = "$(sed -n 's/.*--{0} \\([^ ]*\\).*/\\1/p' \"$p\")"
        return StringCommand(
            f'for p in {FOLDER}/{UNIT} {FOLDER}/{PATTERN}; do [ ! -e "$p" ] || '
            f'echo "$(basename "$p") {flag.format("host")}:{flag.format("port")}"; done'
        )

    def process(self, output: list[str]) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in output)

    @staticmethod
    def default() -> dict[str, str]:
        return {}
