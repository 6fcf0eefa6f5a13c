from guardrail.evaluation.curves import family_curves, spreads
from guardrail.evaluation.figures import histogram_section, reliability_section, roc_section
from guardrail.evaluation.plots import Charts
from tests.evaluation.parts import result, row
from tests.evaluation.test_page import Checked

_ROWS = [row("1"), row("2"), row("3", "allow")]
_RESULTS = [result("1", sexual_nudity=0.9), result("2", sexual_nudity=0.7), result("3", sexual_nudity=0.8)]


def test_roc_curves_have_areas_and_what_they_catch_in_a_table() -> None:
    made = roc_section(Charts(), family_curves(_ROWS, _RESULTS), [])
    found = Checked(made)
    assert found.met.count("figure") == found.met.count("table") == 1
    assert "Areas: sexual 0.500." in found.text
    assert "caught at 0.1%" in found.text
    assert '<th scope="row">sexual</th>' in made
    assert "50.0%" in found.text


def test_every_signal_has_its_diagram_and_histogram_with_counts() -> None:
    drawn = spreads(_ROWS, _RESULTS, {})
    made = Checked(reliability_section(Charts(), drawn))
    assert "3 of 3 rows carry it; ECE 0.400; 1 of 3 bins off. True: labelled block; not: labelled allow" in made.text
    assert made.met.count("circle") == 3
    histogram = Checked(histogram_section(Charts(), drawn))
    assert histogram.met.count("rect") == 40
    assert "2 rows labelled block; 1 rows labelled allow" in histogram.text


def test_one_side_alone_can_be_drawn() -> None:
    drawn = spreads(_ROWS[:1], _RESULTS[:1], {})
    assert Checked(histogram_section(Charts(), drawn)).met.count("rect") == 40
    assert "1 of 1 rows carry it" in Checked(reliability_section(Charts(), drawn)).text
