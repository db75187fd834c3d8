"""Ends of a run that the user should read as a sentence, not as a traceback."""

from __future__ import annotations

from typing import IO, Any

import click
import gevent
from pyinfra.api.exceptions import PyinfraError
from pyinfra_cli.exceptions import CliError


class Stop(CliError, PyinfraError):  # type: ignore[misc]  # noqa: N818  # no types
    """Raise it with the whole message: a line per thing, each with its value, the rule and what to do.

    Both bases are needed: a PyinfraError passes through the loading of a deploy file as it is, a CliError
    through pyinfra's main function.
    """

    word = "stopped"
    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.format_message().splitlines():
            click.echo(f"{click.style(f'{self.word}:', fg='red', bold=True)} {line}", err=True, file=file)


class Refused(Stop):
    """Nothing was changed on any node; exit status 2."""

    word = "refused"
    exit_code = 2


class Failed(Stop):
    """Something broke on the way; what was done so far stands, and the next run goes on from there; exit status 1."""

    word = "failed"
    exit_code = 1


# An operation runs in a greenlet, and gevent prints a traceback for what leaves one, unless it is told not to.
_hub = gevent.get_hub()
_hub.NOT_ERROR = (*_hub.NOT_ERROR, Stop)
