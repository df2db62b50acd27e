"""The report is one file, and no text in it can do anything but be read."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.report import (
    MAX_BYTES,
    Stage,
    bars,
    escape,
    funnel,
    histogram,
    samples,
    section,
    table,
    tiles,
    write_report,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</span></section><iframe src=//evil>",
    "javascript:alert(1)",
    "\u202edesrever\u202c",
    "a\x00b\ud83dc",
    "&lt;b&gt;",
    "{{7*7}} ${x} %s {title}",
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(path, *texts):
    text = "".join(texts)
    write_report(
        path,
        text,
        text,
        [
            section(text, tiles({text: text}), funnel([Stage(text, 10), Stage(text, 3, {text: 7})]), note=text),
            section("more", bars({text: 3}), histogram(text, [1.0, 2.0, 5.0], text), table([text], [[text], [1.5]])),
            section("samples", samples([{"#fact": text, text: text}])),
        ],
    )
    return path.read_text(encoding="utf-8")


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return tags


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(tmp_path, text):
    page, plain = page_of(tmp_path / "a.html", text), page_of(tmp_path / "b.html", "plain")
    assert parsed(page).tags == parsed(plain).tags and parsed(page).attributes == parsed(plain).attributes
    assert "script" not in parsed(page).tags and not {"src", "href", "onerror"} & parsed(page).attributes
    assert "default-src 'none'" in page


@given(st.text(st.characters()))
def test_escaped_text_has_no_mark_up_no_control_and_can_be_encoded(text):
    safe = escape(text)
    assert not set('<>"\x00\u202e') & set(safe)
    safe.encode()


def test_a_report_of_many_long_samples_stays_under_two_megabytes(tmp_path):
    sections = [section(str(number), samples([{"text": "字" * 5000}] * 200)) for number in range(20)]
    write_report(tmp_path / "big.html", "big", "", sections)
    page = (tmp_path / "big.html").read_bytes()
    assert len(page) <= MAX_BYTES and "would not fit" in page.decode()
    parsed(page.decode())


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.integers(1, 40))
def test_a_histogram_holds_every_value(values, bins):
    drawn = histogram("x", values, "units", bins)
    counts = [int(part.split("</title>")[0].rsplit(": ", 1)[1].replace(",", "")) for part in drawn.split("<title>")[1:]]
    assert sum(counts) == len(values)
