from html.parser import HTMLParser

from guardrail.evaluation.page import area_text, document, figure, folded, grid, paragraph, rate_text, section, table

_VOID = {"meta", "circle", "line", "rect", "polyline"}


class Checked(HTMLParser):
    """Fails on an element that is not closed in order; keeps what was met."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_well_formed_and_asks_for_nothing() -> None:
    page = document("a <b>", [section("<s>", paragraph("<p>", faint=True), grid([figure("f", "<svg></svg>", "x")]))])
    found = Checked(page)
    assert "script" not in found.met
    assert not {name for name, _ in found.attributes} & {"src", "href", "style", "onclick"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    assert "prefers-color-scheme:dark" in page
    assert "url(" not in page
    assert "@import" not in page


def test_what_is_text_is_escaped() -> None:
    for made in (paragraph("<i>"), table("<i>", ["<i>"], [["<i>"]]), folded("<i>", ""), figure("<i>", "", "")):
        assert "i" not in Checked(made).met
        assert "<i>" in Checked(made).text


def test_a_table_says_what_its_cells_belong_to() -> None:
    made = table("c", ["name", "note", "n"], [["a", "b", "1"]], words=2)
    assert '<th scope="row">a</th><td>b</td><td class="n">1</td>' in made
    assert '<th scope="col">name</th><th scope="col">note</th><th scope="col" class="n">n</th>' in made
    assert 'role="region" tabindex="0" aria-label="c"' in made


def test_figures_come_with_their_interval_or_say_that_there_are_none() -> None:
    assert rate_text({"n": 4, "share": 0.5, "low": 0.15, "high": 0.85}) == "50.0% [15.0%, 85.0%]"
    assert rate_text({"n": 0, "share": 0, "low": 0, "high": 1}) == "no rows"
    assert area_text({"value": 0.9, "low": 0.8, "high": 1.0}) == "0.900 [0.800, 1.000]"
    assert area_text(None) == ""
