"""docs/inventory.md: the prose of reference.md.j2, and every field as the models have it.

What the page shows of files (that one loads, what another is told, which addresses follow) is made by loading them.
"""

from __future__ import annotations

import json
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inventory.spec import advice, boards, rules, yaml_tree
from inventory.spec.errors import LabError
from inventory.spec.lab import Lab
from inventory.spec.language import fields, file, links, nodes, patterns, serves, sources
from inventory.spec.language.base import Spec
from inventory.spec.load import load

WIDTH = 120
EXAMPLES = Path(__file__).parents[1] / "examples"

_STRINGS = {"ipv4": "an IPv4 address", "ipv4network": "an IPv4 network", "path": "an absolute path"}
_PATTERNS = {
    **{pattern: text.removeprefix("must be ") for pattern, text in patterns.PATTERNS.items()},
    patterns.NAME: "a name",
    patterns.TEXT: "text",
    patterns.LOCATION: "text that does not begin with a dash or a space",
    "^[0-9]+GiB$": f"a size in GiB, 1GiB to {fields.LARGEST_GIB}GiB",
}


def reference() -> str:
    """The text of docs/inventory.md."""
    environment = Environment(  # noqa: S701  # Markdown, not HTML
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"accepted": accepted, "refused": refused}
    return environment.get_template("reference.md.j2").render(
        describe=describe, example=example, checks=checks(), rules=rules_by_subject()
    )


def describe(name: str, besides: str = "") -> str:
    """Every field of a model of the language, but for those that it has of the model `besides`."""
    kind = models()[name]
    inherited = models()[besides].model_fields if besides else {}
    return "\n".join(_field(kind, key) for key in kind.model_fields if key not in inherited).rstrip()


def models() -> dict[str, type[Spec]]:
    """Every model of the language by its name."""
    found = [value for module in (file, nodes, links, sources, serves) for value in vars(module).values()]
    return {kind.__name__: kind for kind in found if isinstance(kind, type) and issubclass(kind, Spec)}


def _field(kind: type[Spec], key: str) -> str:
    schema = kind.model_json_schema()
    said, required = schema["properties"][key], key in schema.get("required", ())
    shown = " or ".join(f"`{flow({key: each})}`" for each in kind.model_fields[key].examples or ())
    head = f"**`{key}`**: {words(said)}. {_presence(said, required=required)}"
    return f"{_wrapped(head)}\n{_wrapped(said['description'])}\nExample: {shown}\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _presence(said: dict[str, Any], *, required: bool) -> str:
    if required:
        return "Required."
    if "default" not in said:
        return "Required: on the node, in its group or in `defaults`."
    default = said["default"]
    return "Optional." if "$ref" in said or default in (None, [], {}) else f"Default: `{flow(default)}`."


def words(schema: dict[str, Any]) -> str:
    """A JSON schema as people say it. KeyError where this has no words for it."""
    if "anyOf" in schema:
        return " or ".join(words(each) for each in schema["anyOf"] if each != {"type": "null"})
    if "oneOf" in schema or "$ref" in schema:
        return "a mapping"
    return _WORDS[schema["type"]](schema)


def _text(schema: dict[str, Any]) -> str:
    if choices := schema.get("enum"):
        return "a board of inventory/boards.yml" if choices == sorted(boards.known()) else _either(choices)
    if "pattern" in schema:
        return _PATTERNS[schema["pattern"]]
    return _STRINGS[schema["format"]]


def _either(choices: list[str]) -> str:
    *others, last = (f"`{choice}`" for choice in choices)
    return f"{', '.join(others)} or {last}"


def _number(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    steps = f", a multiple of {schema['multipleOf']}" if "multipleOf" in schema else ""
    ends = f" from {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""
    return f"a whole number{ends}{steps}"


def _list(schema: dict[str, Any]) -> str:
    each = words(schema["items"])
    return {"a name": "a list of names", "a mapping": "a list of mappings"}.get(each, f"a list, each {each}")


def _boolean(_: dict[str, Any]) -> str:
    return "`true` or `false`"


def _mapping(_: dict[str, Any]) -> str:
    return "a mapping by name"


_WORDS = {"string": _text, "integer": _number, "array": _list, "object": _mapping, "boolean": _boolean}


def flow(value: Any) -> str:
    """YAML on one line, as `yaml_tree` reads it; without the braces of a mapping that has one key."""
    text = _flow(value)
    return text[1:-1] if isinstance(value, dict) and len(value) == 1 else text


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value) if _reads_as(str(value), value) else json.dumps(value)


def _reads_as(text: str, value: Any) -> bool:
    try:
        return bool(yaml_tree.read(f"[{text}]").data == [value])
    except yaml_tree.YamlError:
        return False


def example(name: str) -> Lab:
    """One of inventory/examples."""
    return load(EXAMPLES / f"{name}.yml")


def accepted(text: str) -> str:
    """The text of a file that loads without a warning. Raises LabError where it does not."""
    if warnings := _loaded(text).warnings:
        raise LabError(warnings)
    return text


def refused(text: str) -> str:
    """What is said of the text of a file that has errors. Raises ValueError where it has none."""
    try:
        _loaded(text)
    except LabError as error:
        return str(LabError(replace(each, file="inventory/lab.yml") for each in error.errors))
    raise ValueError("an example of a broken file is not broken")


def _loaded(text: str) -> Lab:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.yml"
        path.write_text(text)
        return load(path)


def checks() -> list[str]:
    """The names of the warnings."""
    return [check.__name__.removeprefix("_") for check in advice.CHECKS]


def rules_by_subject() -> dict[str, list[str]]:
    """The names of the rules about several fields at once."""
    subjects = ("nodes", "ranges", "links", "serves", "sources")
    modules = {subject: getattr(rules, subject) for subject in subjects}
    return {subject: [rule.__name__.removeprefix("_") for rule in each.RULES] for subject, each in modules.items()}
