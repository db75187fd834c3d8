"""The rules that are loaded are the rules of the file, and no other firewall of the host stands in their way."""

from __future__ import annotations

import base64

from pyinfra.api import Host, QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from roles.firewall import firewalld, ufw
from roles.firewall.facts import Firewalls, FirewallStates
from roles.firewall.plan import RULES, UNIT, Firewall, files
from roles.firewall.put_back import CHANGE
from roles.lib.layout import ETC
from roles.lib.paths import paths, write
from roles.lib.remote import Commands, current, look
from roles.lib.tentative import tentative

PART = f"{ETC}/.firewall.nft.check"
CHECK = f"umask 077; base64 -d >{PART} && nft -c -f {PART}; status=$?; rm -f {PART}; exit $status"


@operation()
def rules_loaded(firewall: Firewall) -> Commands:
    """Writes the rules and loads the table in one transaction (`nft -f`): at no instant is a port open that should not
    be. Then opens what the host's own firewall keeps closed."""
    host = current()
    wanted = files(firewall)
    seen = look(host, FirewallStates)  # first: what is put back after it is noticed, what before it is seen
    writes = list(paths._inner(wanted))
    if writes or not seen.loaded:
        # Before anything is touched: a rule set that nft refuses costs neither the file of the next boot nor the table.
        rules = next(file.content for file in wanted if file.path == RULES)
        yield StringCommand(CHECK, _stdin=base64.b64encode(rules.encode()).decode() + "\n")
    policies = list(_policies(firewall, seen))
    if policies and seen.firewalld:
        yield StringCommand(firewalld.SAVED)
    asked = ufw.changes(ufw.rules(firewall) if seen.ufw else (), seen.tuples)
    opened = [*policies, *(StringCommand(*map(QuoteString, words)) for words in asked)]
    yield from tentative(host, CHANGE, _changes(host, writes, seen, opened), pending=seen.pending)


def _changes(host: Host, writes: list[PyinfraCommand], seen: Firewalls, opened: list[PyinfraCommand]) -> Commands:
    if seen.loaded and not (writes or opened):
        host.noop("the rules are loaded")
        return
    yield from writes
    if writes or not seen.loaded:
        yield StringCommand(f"systemctl daemon-reload && systemctl enable --quiet {UNIT}")
        yield StringCommand(f"systemctl reload-or-restart {UNIT}")
    yield from opened


def _policies(firewall: Firewall, seen: Firewalls) -> Commands:
    """What makes firewalld run our policies and no old ones; where it does not run it must not find any later. SAVED is
    asked before."""
    wanted = {file.path: file for file in firewalld.policies(firewall)} if seen.firewalld else {}
    rules = firewalld.rules(firewall)
    files = [(name, wanted.get(firewalld.path(name))) for name in firewalld.ZONES]
    written = [file for name, file in files if file is not None and seen.files.get(name) != file.sha256]
    gone = [firewalld.path(name) for name, file in files if file is None and name in seen.files]
    runs = all(seen.runs.get(name, frozenset()) == frozenset(rules[name]) for name in rules)
    if not written and not gone and (runs or not seen.firewalld):
        return
    if written:
        yield StringCommand("mkdir -p", firewalld.FOLDER)
    for file in written:
        yield write(file)
    for path in gone:
        yield StringCommand("rm -f", path)
    if seen.firewalld:
        yield StringCommand(firewalld.RELOAD.format(files=" ".join(map(firewalld.path, rules))))
