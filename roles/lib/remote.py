"""Running a command on the host from inside an operation, outside pyinfra's list of commands.

For what a yielded command cannot do: show its output live, keep a secret out of every log, wait for something.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from paramiko import SSHException
from pyinfra import logger
from pyinfra.api import FactBase, FunctionCommand, Host, State, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.command import PyinfraCommand
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import host as context_host

from roles.lib.stop import Failed, Stop

T = TypeVar("T")
U = TypeVar("U")
_BETWEEN = "== halofleet: the next answer"

Commands = Generator[PyinfraCommand, None, None]
"""What an operation is: it yields the commands that lead to what it promises, none where that is so already."""


def current() -> Host:
    """The host that this code runs for."""
    host: Host = context_host
    return host


def run(
    host: Host, command: StringCommand, *, stdin: str | None = None, live: bool = False
) -> tuple[bool, CommandOutput]:
    """Runs it with the operation's own sudo and environment; never printed, not with -vvv either, unless `live`."""
    arguments = connector_arguments(host)
    if stdin is not None:
        arguments["_stdin"] = stdin
    return host.run_shell_command(command, print_output=live, **arguments)


def connector_arguments(host: Host) -> dict[str, Any]:
    """The operation's own sudo and environment, as a connector takes them."""
    return {
        key: value
        for key, value in (host.current_op_global_arguments or {}).items()
        if key in CONNECTOR_ARGUMENT_KEYS and value is not None
    }


def read(host: Host, command: StringCommand, *, stdin: str | None = None) -> str:
    """Its standard output; raises Failed where it fails, with what it said."""
    ok, output = run(host, command, stdin=stdin)
    if not ok:
        raise Failed(f"{host.name}: {command}: {output.stderr or output.stdout or 'failed and said nothing'}")
    return output.stdout


def look(host: Host, fact: type[FactBase[T]], **arguments: Any) -> T:
    """host.get_fact, but a fact that could not be read raises Failed; pyinfra would go on with its default."""
    found = host.get_fact(fact, **arguments)
    if host in host.state.failed_hosts:
        raise Failed(f"{host.name}: {fact.__name__} could not be read; see above. The next run goes on from here")
    return found


@dataclass(frozen=True)
class Question(Generic[T]):
    """A fact, and what it is asked with."""

    fact: type[FactBase[T]]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def command(self) -> str | StringCommand:
        return self.fact().command(**self.arguments)

    def answer(self, output: list[str]) -> T:
        return self.fact().process(output) if output else self.fact.default()


class Several(FactBase[tuple[Any, ...]]):
    """Several facts by one remote command."""

    def command(self, questions: tuple[Question[Any], ...]) -> StringCommand:
        self.questions = questions
        parts: list[Any] = []
        for question in questions:
            parts += [f"&& echo '{_BETWEEN}' &&"] if parts else []
            parts += ["(", question.command(), "\n)"]
        return StringCommand(*parts)

    def process(self, output: list[str]) -> tuple[Any, ...]:
        answers: list[list[str]] = [[]]
        for line in output:
            if line == _BETWEEN:
                answers.append([])
            else:
                answers[-1].append(line)
        return tuple(question.answer(lines) for question, lines in zip(self.questions, answers, strict=True))


def look_both(host: Host, first: Question[T], second: Question[U]) -> tuple[T, U]:
    """As `look`, and as one remote command."""
    answers: tuple[Any, ...] = look(host, Several, questions=(first, second))
    return answers[0], answers[1]


def call(function: Callable[[Host], bool | None]) -> FunctionCommand:
    """A command for an operation to yield that runs our own code; False or a Stop makes it fail on this host."""

    def act(state: State, host: Host) -> bool:  # noqa: ARG001  # pyinfra looks for these two names
        try:
            return function(host) is not False
        except (Stop, OSError, EOFError, SSHException) as error:
            for line in (str(error) or type(error).__name__).splitlines():
                host.log_styled(line, fg="red", log_func=logger.error)
            return False

    act.__name__ = getattr(function, "__name__", "call")
    return FunctionCommand(act, (), {})


def later() -> FunctionCommand:
    """A change that a dry run announces, and whose content only the real run can know."""
    return FunctionCommand(_nothing, (), {})


def _nothing(state: State, host: Host) -> bool:  # noqa: ARG001  # pyinfra looks for these two names
    return True
