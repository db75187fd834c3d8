"""Plain text that keeps to a width: tables, and words that are wrapped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

WIDTH = 100
"""Columns of a line. Only a single word may be wider."""

_BELOW = 4
"""How much further in the rest of a line stands."""


def fill(indent: int, words: Sequence[str], *, below: int | None = None) -> Iterator[str]:
    """The words, as many on a line as fit. below: where the following lines begin."""
    below = indent + _BELOW if below is None else below
    line, start = "", indent
    for word in words:
        if line and start + len(line) + 1 + len(word) > WIDTH:
            yield " " * start + line
            line, start = "", below
        line = f"{line} {word}" if line else word
    if line:
        yield " " * start + line


def table(indent: int, rows: Sequence[Sequence[str]], *, breaks: Collection[int] = ()) -> Iterator[str]:
    """The rows with aligned columns. What does not fit on a line stands on the next one, aligned too. breaks: columns
    that then begin a line in any case."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    bands = list(_bands(indent, widths, ()))
    if len(bands) > 1:
        bands = list(_bands(indent, widths, breaks))
    for row in rows:
        for number, band in enumerate(bands):
            line = "  ".join(row[column].ljust(widths[column]) for column in band).rstrip()
            start = indent + _BELOW * (number > 0)
            if start + len(line) > WIDTH:  # one column alone, as the bands go
                yield from fill(start, line.split())
            elif line:
                yield " " * start + line


def _bands(indent: int, widths: Sequence[int], breaks: Collection[int]) -> Iterator[list[int]]:
    """The columns that stand on one line, those of the next, and so on. An empty column stands nowhere."""
    band: list[int] = []
    used = indent
    for column, width in enumerate(widths):
        if not width:
            continue
        if band and (used + width > WIDTH or column in breaks):
            yield band
            band, used = [], indent + _BELOW
        band.append(column)
        used += width + 2
    if band:
        yield band


def listed(names: Sequence[str]) -> list[str]:
    """With commas between them."""
    return [f"{name}," for name in names[:-1]] + list(names[-1:])
