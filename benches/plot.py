"""Draws the figures of end_to_end.py as bars, one group per batch."""

from html import escape

COLOURS = {"floor": "#9aa5b1", "pipeline": "#2f6f4f", "pipeline, NDJSON": "#6fae8f", "DuckDB + psql": "#d9a441"}
BAR, GAP, LEFT, WIDTH = 22, 26, 190, 720


def svg(figures):
    groups = {name: one for name, one in figures.items() if isinstance(one, dict) and "floor" in one}
    longest = max((one[who]["wall"] for one in groups.values() for who in COLOURS if who in one), default=1)
    parts, y = [], 24
    for name, one in groups.items():
        title = f"{name}: {one['input'] / 1e6:,.0f} MB, {one['rows']:,} rows; seconds, median"
        parts.append(f'<text x="8" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 12
        for who, colour in COLOURS.items():
            if who not in one:
                continue
            wall = one[who]["wall"]
            length = (WIDTH - LEFT - 70) * wall / longest
            parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(who)}</text>')
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 4}" fill="{colour}"/>')
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}">{wall:.2f}</text>')
            y += BAR
        y += GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y}" fill="white"/>', *parts, "</svg>\n"])
