"""The rules that are loaded are the rules of the file, and no other firewall of the host stands in their way."""

from __future__ import annotations

from pyinfra.api import QuoteString, StringCommand, operation

from roles.firewall import firewalld, ufw
from roles.firewall.facts import Firewalls, FirewallStates
from roles.firewall.plan import RULES, UNIT, Firewall
from roles.lib.paths import write
from roles.lib.remote import Commands, current, look


@operation()
def rules_loaded(firewall: Firewall) -> Commands:
    """Loads the table in one transaction (`nft -f`): at no instant is a port open that should not be. Then opens what
    the host's own firewall keeps closed."""
    host = current()
    seen = look(host, FirewallStates)
    asked = ufw.changes(ufw.rules(firewall) if seen.ufw else (), seen.tuples)
    opened = [*_policies(firewall, seen), *(StringCommand(*map(QuoteString, words)) for words in asked)]
    if seen.loaded and not opened:
        host.noop("the rules are loaded")
        return
    if not seen.loaded:
        # Checked first: a rule set that nft refuses must not cost the one that is loaded.
        yield StringCommand(f"nft -c -f {RULES}")
        yield StringCommand(f"systemctl daemon-reload && systemctl enable --quiet {UNIT}")
        yield StringCommand(f"systemctl reload-or-restart {UNIT}")
    yield from opened


def _policies(firewall: Firewall, seen: Firewalls) -> Commands:
    """What makes firewalld run our policies and no old ones; where it does not run it must not find any later."""
    wanted = {file.path: file for file in firewalld.policies(firewall)} if seen.firewalld else {}
    rules = firewalld.rules(firewall)
    files = [(name, wanted.get(firewalld.path(name))) for name in firewalld.ZONES]
    written = [file for name, file in files if file is not None and seen.files.get(name) != file.sha256]
    gone = [firewalld.path(name) for name, file in files if file is None and name in seen.files]
    runs = all(seen.runs.get(name, frozenset()) == frozenset(rules[name]) for name in rules)
    if not written and not gone and (runs or not seen.firewalld):
        return
    if seen.firewalld:
        yield StringCommand(firewalld.SAVED)
    if written:
        yield StringCommand("mkdir -p", firewalld.FOLDER)
    for file in written:
        yield write(file)
    for path in gone:
        yield StringCommand("rm -f", path)
    if seen.firewalld:
        yield StringCommand(firewalld.RELOAD.format(files=" ".join(map(firewalld.path, rules))))
