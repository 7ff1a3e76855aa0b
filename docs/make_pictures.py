#!/usr/bin/env python3
"""Draws docs/pictures/session.svg: the terminal session of the tutorial's first pages.

    python3 docs/make_pictures.py            write the picture
    python3 docs/make_pictures.py --check    write nothing; exit 1 if the picture is out of date

The text comes from the tutorial, whose commands a test runs, so the picture shows what the program prints.
"""

import sys
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "pictures" / "session.svg"

# In pixels; the width of a character is that of the common monospaced fonts, 0.6 of their size.
FONT_SIZE = 13
CHARACTER = FONT_SIZE * 0.6
LINE = 19
MARGIN = 18
TITLE_BAR = 34


def blocks(page, kind):
    """The contents of the fenced blocks of a kind, each as a list of lines."""
    found, opened = [], None
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if opened is None and line.startswith("```"):
            opened, block = line[3:], []
        elif line.startswith("```"):
            if opened == kind:
                found.append(block)
            opened = None
        elif opened is not None:
            block.append(line)
    return found


def session():
    """What stands on the terminal: a run, then a query."""
    run = blocks("tutorial/first-run.md", "console")[0]
    query = blocks("tutorial/look-at-the-data.md", "")[0]
    rows = blocks("tutorial/look-at-the-data.md", "text")[0]
    return run + [""] + [f"$ {line}" for line in query] + rows


def wrapped(lines, width):
    """Long commands continue on the next line, as a terminal would have it."""
    for line in lines:
        while len(line) > width:
            cut = line.rfind(" ", 0, width) if " " in line[40:width] else width
            yield line[:cut]
            line = "    " + line[cut:].lstrip()
        yield line


def svg(lines):
    lines = list(wrapped(lines, 112))
    columns = max(len(line) for line in lines)
    width = round(columns * CHARACTER + 2 * MARGIN)
    height = TITLE_BAR + len(lines) * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-label="A terminal: pipeline run loads four batches, and a query shows masked names">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#1d2430"/>',
    ]
    for nth, colour in enumerate(["#e0645c", "#e6b450", "#7fb45f"]):
        parts.append(f'<circle cx="{MARGIN + nth * 18}" cy="17" r="5" fill="{colour}"/>')
    parts.append(
        f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{FONT_SIZE}" xml:space="preserve"'
        ' style="white-space: pre">'
    )
    command = False
    for nth, line in enumerate(lines):
        command = line.startswith("$ ") or (command and line.startswith("    "))
        colour = "#8fd18b" if command else "#d7dde6"
        if not line:
            continue
        y = TITLE_BAR + nth * LINE + FONT_SIZE
        # The length keeps the columns of the tables straight in whatever font the reader has.
        length = f'textLength="{len(line) * CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs"'
        text = escape(line, quote=False)
        parts.append(f'<text x="{MARGIN}" y="{y}" {length} fill="{colour}">{text}</text>')
    parts.append("</g>")
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main():
    drawn = svg(session())
    if "--check" in sys.argv[1:]:
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
            print("docs/pictures/session.svg is out of date: run python3 docs/make_pictures.py", file=sys.stderr)
            return 1
        return 0
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
