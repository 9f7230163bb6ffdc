"""One HTML page of headings, sentences, tables and pictures; everything that is text is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from closedloop_tools.machine import describe_machine

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #26323c; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; border-bottom: 1px solid #d8dee3; text-align: right }
th:first-child, td:first-child { text-align: left } img { max-width: 100% } footer { color: #6b7780; font-size: .85rem }
"""


class Heading(NamedTuple):
    text: str


class Text(NamedTuple):
    text: str


class Table(NamedTuple):
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """file: beside the page."""

    file: str
    text: str


Part = Heading | Text | Table | Picture


def write(file: Path, title: str, parts: Sequence[Part]) -> Path:
    machine = ", ".join(f"{name} {value}" for name, value in describe_machine().items())
    body = "\n".join(_html(part) for part in parts)
    text = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>\n'
        f"{body}\n<footer>{html.escape(machine)}</footer></html>\n"
    )
    file.write_text(text, encoding="utf-8")
    return file


def _html(part: Part) -> str:
    match part:
        case Heading():
            return f"<h2>{html.escape(part.text)}</h2>"
        case Text():
            return f"<p>{html.escape(part.text)}</p>"
        case Table():
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in part.head)
            rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in part.rows)
            return f"<table><tr>{head}</tr>\n{rows}</table>"
        case Picture():
            return f'<p><img src="{html.escape(part.file)}" alt="{html.escape(part.text)}"></p>'
