"""Pieces of a self-contained HTML page: no scripts, nothing fetched, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1c1c1e;--faint:#5c5c66;--rule:#d9d9de;--panel:#f6f6f8;
--c0:#1f5fbf;--c1:#b3480f;--c2:#1b7a4b;--c3:#8a2d8f;--c4:#7a5c00;--c5:#0e7490;--c6:#b4235a;--c7:#4d4d57}
@media(prefers-color-scheme:dark){:root{--back:#16161a;--text:#ececf0;--faint:#a9a9b4;--rule:#3a3a42;--panel:#1f1f25;
--c0:#7fb0ff;--c1:#ffa26b;--c2:#6fd6a0;--c3:#e094e6;--c4:#e2c04f;--c5:#67d3ea;--c6:#ff8fb4;--c7:#c9c9d4}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:80rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
h1,h2,h3{line-height:1.2;margin:2rem 0 .5rem}h1{margin-top:0}p{max-width:48rem}
.faint{color:var(--faint)}
.wide{overflow-x:auto;margin-bottom:1.5rem}
table{border-collapse:collapse;font-size:.9rem}
caption{text-align:left;color:var(--faint);padding-bottom:.25rem}
th,td{padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
tbody th{font-weight:400}td:nth-child(2):not(.n){min-width:10rem}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0;padding:1rem;background:var(--panel);border:1px solid var(--rule);border-radius:6px;min-width:0}
figcaption{font-weight:600;margin-bottom:.5rem}
figure>svg{width:100%;height:auto;display:block}
svg{overflow:visible}svg text{fill:var(--text);font:12px system-ui,sans-serif}
.grid{stroke:var(--rule)}.diagonal{stroke:var(--faint);stroke-dasharray:4 4}
.line{fill:none;stroke-width:2}.whisker{stroke-width:2}.dot{stroke:none}.key{width:28px;height:10px;margin-right:.4rem}
.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 3}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.5rem 0 0;padding:0;font-size:.85rem}
details{margin-top:.5rem}summary{cursor:pointer;color:var(--faint)}
""" + "".join(
    f".line.s{n},.whisker.s{n}{{stroke:var(--c{n})}}.dot.s{n},.bar.s{n}{{fill:var(--c{n})}}" for n in range(8)
)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page. The parts are HTML already; the title is text."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A section under a heading; the parts are HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, *, faint: bool = False) -> str:
    """Text as a paragraph."""
    mark = ' class="faint"' if faint else ""
    return f"<p{mark}>{escape(text)}</p>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table of text; the first `words` columns are text, the others are figures and stand to the right."""

    def line(row: Sequence[str], heading: bool) -> str:
        cells = []
        for at, text in enumerate(row):
            scope = ' scope="col"' if heading else ' scope="row"' if at == 0 else ""
            tag, look = "th" if scope else "td", "" if at < words else ' class="n"'
            cells.append(f"<{tag}{scope}{look}>{escape(text)}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(line(row, False) for row in rows)
    name = escape(caption)
    # A region that scrolls sideways must be reachable without a mouse.
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{name}"><table><caption>{name}</caption>\n'
        f"<thead>{line(head, True)}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def figure(title: str, chart: str, figures: str) -> str:
    """A chart under its title, with a table of its figures to open."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{chart}{folded('The figures', figures)}</figure>"


def folded(summary: str, content: str) -> str:
    """HTML that opens on a click or a key."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def grid(figures: Iterable[str]) -> str:
    """Figures side by side where there is room."""
    return f'<div class="charts">{"".join(figures)}</div>'


def rate_text(row: Mapping[str, Any]) -> str:
    """A share with its interval, from the dict of a `Rate`."""
    return f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]" if row["n"] else "no rows"


def area_text(found: Mapping[str, float] | None) -> str:
    """An area with its interval, from the dict of an `Area`; empty for None."""
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else ""
