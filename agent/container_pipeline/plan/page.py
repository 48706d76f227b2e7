"""Pieces of HTML pages that Jenkins shows. Pure: text in, text out; what comes in is escaped here and nowhere else.

Jenkins shows archived pages under ``Content-Security-Policy: sandbox; default-src 'none'; style-src 'self'``: no script
and no inline style gets through. So a page is plain tables; colours are attributes, and a drawing is SVG with presentation attributes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

#: Each reads well on white and on the fill of a table's head (WCAG AA), and below white text.
GREEN, RED, AMBER, GREY = "#2e7d32", "#c62828", "#8a5a00", "#616161"


def document(title: str, body: str) -> str:
    """Return a whole page; ``title`` is plain text, ``body`` is HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title></head>\n'
        f'<body bgcolor="#ffffff" text="#212121">\n{body}\n</body>\n</html>\n'
    )


def verdict(colour: str, content: str) -> str:
    """Return the one sentence that heads a page, white on a colour."""
    return (
        f'<table width="100%" cellpadding="12" cellspacing="0"><tr><td bgcolor="{colour}">'
        f'<font size="5" color="#ffffff"><b>{content}</b></font></td></tr></table>'
    )


def table(rows: Sequence[Sequence[str]], attributes: str = "") -> str:
    """Return a table whose cells are HTML."""
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f'<table border="1" cellpadding="4" cellspacing="0"{attributes}>\n' + "\n".join(lines) + "\n</table>"


def coloured(colour: str, content: str) -> str:
    """Return HTML in bold and a colour."""
    return f'<font color="{colour}"><b>{content}</b></font>'


def link(address: str, content: str) -> str:
    """Return HTML that links to an address of the web; the HTML alone if the address is another."""
    if not address.startswith(("http://", "https://")):
        return content
    return f'<a href="{escape(address, quote=True)}">{content}</a>'


def text(value: str) -> str:
    """Return ``value`` as HTML that may wrap after punctuation and within long words."""
    pieces = re.findall(r"[^/:@.,_-]{1,16}[/:@.,_-]?|[/:@.,_-]", value)
    return "<wbr>".join(escape(piece) for piece in pieces)


def words(sentence: str) -> str:
    """Return a sentence or a log line as HTML; only long words may wrap within."""
    return " ".join(text(word) if len(word) > 24 else escape(word) for word in sentence.split(" "))
