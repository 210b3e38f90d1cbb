"""Check the built pages without a network: nothing is loaded from elsewhere, no link is broken."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Tags whose addresses a browser loads by itself.
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
#: Relations of <link> that a browser does not load.
NAMED = {"canonical", "index", "search", "genindex", "next", "prev", "author", "copyright"}


class Page(HTMLParser):
    """Anchors, links and loaded addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        relations = set((found.get("rel") or "").split())
        if tag in LOADS and found.get(LOADS[tag]) and not relations & NAMED:
            self.loads.append(found[LOADS[tag]])


def problems(site: Path) -> list[str]:
    """One line for each fault."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        if where.parts[0] == "_modules":
            continue
        for address in page.loads + page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in page.loads and parts.scheme != "data":
                    found.append(f"{where} loads {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{where} points to {address}, which is not there")
            elif "_modules" in target.parts:
                continue  # listings of source: some places on them get no anchor
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors | {""}:
                found.append(f"{where}: no such place on the page: {address}")
    examples = list((site / "gallery").glob("*/plot_*.html"))
    if len(examples) < 25:
        found.append(f"the gallery has {len(examples)} pages")
    return found


if __name__ == "__main__":
    faults = problems(Path(sys.argv[1]).resolve())
    print(*faults, sep="\n")
    sys.exit(bool(faults))
