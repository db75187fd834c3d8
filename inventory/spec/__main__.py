"""`python -m inventory.spec check PATH` checks a file and exits 0 or 2; `... schema` and `... reference` print the JSON
schema and docs/inventory.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from inventory.spec import LabError, LabFile, load
from inventory.spec.reference import reference


def schema() -> str:
    """The text of inventory/schema.json."""
    return json.dumps(LabFile.model_json_schema(), indent=2) + "\n"


def check(path: Path) -> int:
    """0 and a word, or 2 and the report."""
    try:
        lab = load(path)
    except LabError as refused:
        print(refused, file=sys.stderr)
        return 2
    for warning in lab.warnings:
        print(warning, file=sys.stderr)
    print(f"{path}: ok: {len(lab.nodes)} nodes, {len(lab.links)} links, {len(lab.spec.serves)} serves")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m inventory.spec")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("schema", help="print the JSON schema of lab.yml")
    verbs.add_parser("reference", help="print docs/inventory.md")
    verbs.add_parser("check", help="check a file").add_argument("path", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "check":
        return check(arguments.path)
    print(schema() if arguments.verb == "schema" else reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
