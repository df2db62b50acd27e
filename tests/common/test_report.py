"""The report: all texts are escaped, nothing is fetched, it stays small. A browser looks at it in tests/peers."""

import random
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from common import manifest, report
from common.report import overview
from common.rows import write_rows

HOSTILE = [
    "<script>alert(1)</script>",
    "</span></div><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "&lt;b&gt; &amp; <!-- --> ]]> </style><style>*{display:none}",
    "<iframe src=https://example.org></iframe><a href=javascript:alert(1)>x</a>",
    "\x00\x07\ud800\ufffe\u202eevil\u2066",
    "\u2028\u2029 🙂 中文 العربية",
    "{title} {body} %s",
]


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in ("meta", "rect", "line", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page_of(texts: list[str], path) -> str:
    first, last = texts[0], texts[-1]
    sections = [
        report.section(first, report.tiles({text: text for text in texts}), note=last),
        report.section("a", report.funnel([report.Stage(text, 5, {text: 2}) for text in texts])),
        report.section("b", report.bars({text: 3 for text in texts})),
        report.section("c", report.side_by_side(report.histogram(first, {first: [1, 2, 3.5], last: [2]}, last))),
        report.section("d", report.table(texts, [[text, 7] for text in texts])),
        report.section("e", report.samples([{"#": text, f"#{text}": text, text: text} for text in texts])),
    ]
    report.write_report(path, first, last, sections)
    return path.read_text(encoding="utf-8")


KNOWN_TAGS = set("html head meta title style body main h1 h2 h3 p section div span b i ul li figure figcaption".split())
KNOWN_TAGS |= set("svg polyline circle rect line text table thead tbody tr th td article header".split())
ATTRIBUTES = set("lang charset http-equiv content name class style dir x y x1 x2 y1 y2 width height rx".split())
ATTRIBUTES |= {"viewbox", "role", "aria-label", "text-anchor", "points", "cx", "cy", "r"}


@given(st.lists(st.one_of(st.text(), st.sampled_from(HOSTILE)), min_size=1, max_size=4))
def test_no_text_becomes_markup(tmp_path_factory, texts):
    parsed = Tags(page_of(texts, tmp_path_factory.getbasetemp() / "report.html"))
    assert parsed.open == []
    assert parsed.tags <= KNOWN_TAGS and parsed.attributes <= ATTRIBUTES


def test_hostile_texts_are_shown_as_they_are(tmp_path):
    parsed = Tags(page_of(HOSTILE, tmp_path / "report.html"))
    for text in HOSTILE[:5]:
        assert text in parsed.text
    assert "[U+0000][U+0007][U+D800][U+FFFE][U+202E]evil[U+2066]" in parsed.text
    assert "🙂 中文 العربية" in parsed.text and "{title} {body} %s" in parsed.text


def test_nothing_is_fetched_and_no_script_may_run(tmp_path):
    page = page_of(["a"], tmp_path / "report.html")
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|//|@import|url\(|<script|<link|<img|\bon\w+=", page.replace("<!DOCTYPE html>", ""))
    assert "prefers-color-scheme: dark" in page


def test_a_report_stays_under_two_megabytes(tmp_path):
    cards = [{"user": "<" * 5000, "assistant": "&" * 5000}] * 40
    sections = [report.section(f"part {n}", report.samples(cards)) for n in range(9)]
    report.write_report(tmp_path / "report.html", "t", "s", sections)
    page = (tmp_path / "report.html").read_bytes()
    assert len(page) < report.MAX_BYTES and b"part 0" in page and b"The report was cut" in page
    assert Tags(page.decode()).open == []


def test_a_long_text_is_cut_and_says_how_long_it_was():
    assert report.clip("x" * 2000, 10) == "x" * 10 + " … [2,000 characters]"
    assert report.clip("short", 10) == "short"


@given(st.text(st.characters()))
def test_escaped_text_has_no_mark_up_no_control_and_can_be_encoded(text):
    safe = report.escape(text)
    assert not set('<>"\x00\u202e') & set(safe)
    safe.encode()


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.integers(1, 40))
def test_a_histogram_holds_every_value(values, bins):
    drawn = report.histogram("x", values, "units", bins)
    counts = [int(count.replace(",", "")) for count in re.findall(r": ([\d,]+)</title>", drawn)]
    assert sum(counts) == len(values)


def test_a_histogram_of_nothing_and_of_one_value():
    assert "no values" in report.histogram("h", [], "u")
    assert "3 to 3 u: 2</title>" in report.histogram("h", [3, 3], "u", 1)


def test_the_number_of_bins_fits_the_rows():
    few, many = (report.histogram("h", list(range(count)), "u").count("<rect") for count in (12, 10_000))
    assert few == 5 and many == 30


def test_groups_lie_over_one_another_with_axes_and_values_on_hover():
    drawn = report.histogram("h", {"kept": [1, 2, 2], "dropped": [5] * 8}, "u")
    assert drawn.count("<svg") == 1 and 'class="group0"' in drawn and 'class="group1"' in drawn
    counts = re.findall(r"<title>(kept|dropped), [^<]*: (\d+)</title>", drawn)
    assert sum(int(count) for name, count in counts if name == "kept") == 3
    assert sum(int(count) for name, count in counts if name == "dropped") == 8
    assert "100%</text>" in drawn and len(re.findall(r'text-anchor="middle">', drawn)) >= 3


def test_a_curve_says_the_values_of_its_points():
    drawn = report.curve("f1", {"all": [(0, 0.1), (3, 0.8)]}, "by threshold")
    assert "<title>all: 3, 0.8</title>" in drawn and "<polyline" in drawn
    assert "no values" in report.curve("f1", {"all": []}, "by threshold")
    alone = report.curve("mean rating", {"all": [(0, 1.46)]}, "")
    assert "one value: 1.46 at 0" in alone and "<svg" not in alone
    assert report.bars({}) == ""


def test_reasons_stand_under_their_stage_most_frequent_first():
    drawn = report.funnel([report.Stage("pages", 10), report.Stage("left", 4, {"rare": 1, "often": 5})])
    assert drawn.index("often") < drawn.index("rare") and "40.0%" in drawn and "−5" in drawn


def test_a_fair_draw_keeps_the_order_and_takes_each_as_often_as_another():
    taken = Counter()
    for seed in range(400):
        found = report.fair_draw(iter(range(10)), 3, random.Random(seed))
        assert found == sorted(found) and len(set(found)) == 3
        taken.update(found)
    assert set(taken) == set(range(10)) and all(80 < count < 160 for count in taken.values())  # 120 each, on average
    assert report.fair_draw(range(2), 3, random.Random(0)) == [0, 1]


def test_the_overview_shows_three_rows_and_links_the_report(tmp_path):
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "report.html").touch()
    rows = [{"page": f"page {n} <b>", "score": n / 2} for n in range(5)] + [{"page": "without a score"}]
    write_rows(tmp_path / "kept.jsonl", rows)
    show = ["a run", tmp_path / "sub dir" / "report.html", tmp_path / "kept.jsonl", "page", "score"]
    command = [sys.executable, "-m", "common.report.overview", "--save_path", tmp_path / "index.html", "--show", *show]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    assert done.stdout.count("-> score") == 3 and "page 2 <b>" in done.stdout
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="./sub%20dir/report.html"' in page and "page 2 &lt;b&gt;" in page and "page 3" not in page


def test_the_overview_says_what_the_model_answered(tmp_path, monkeypatch, capsys):
    """Of a step whose rows were set aside, and of a run that left nothing."""
    for name, answered in (("good", 3), ("bad", 1)):
        output = tmp_path / f"{name}.jsonl"
        facts = {"llm": {"model": "models/tiny"}, "counts": {"in": 3, "done": answered}, "seconds": 1.0}
        manifest.write(output, inputs={}, outputs={}, **facts)
    never_asked = {"index": 0, "reason": "near-duplicate", "row": {}}
    no_mark = [{"index": n, "reason": "no mark", "row": {}, "answer": "Hm."} for n in (1, 3)]
    write_rows(tmp_path / "bad.jsonl.rejected.jsonl", [never_asked, *no_mark])
    show = ["a run", tmp_path / "none.html", tmp_path / "none.jsonl", "page", "score"]
    words = ["overview.py", "--save_path", tmp_path / "index.html", "--folder", tmp_path, "--show", *show]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    overview.main()
    said = capsys.readouterr().out
    assert "no rows came out" in said and "good.jsonl: tiny answered 3 of 3 in the asked form\n" in said
    assert "bad.jsonl: tiny answered 1 of 3 in the asked form; most often: no mark" in said
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "the whole report" not in page and "no mark" in page
