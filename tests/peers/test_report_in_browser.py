"""The report of a WebR run in headless Chromium, light and dark: it is drawn, nothing in it runs.

Needs `chromium` on the path (Debian: apt-get install chromium fonts-noto-cjk). The pictures stay in pytest's folder.
"""

import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import pytest

from common import report
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from tests.webr.conftest import SAMPLE, run_all  # noqa: F401

pytestmark = pytest.mark.peers

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><style>main{display:none}"
)


@pytest.fixture
def page(tmp_path, run_all):  # noqa: F811
    """The report on the sample with one more hostile page."""
    rows = list(read_rows(SAMPLE))
    rows[0]["webpage"] = f"{HOSTILE}\n{rows[0]['webpage']}"
    write_rows(tmp_path / "pages.jsonl", rows)
    with standin_server() as url:
        run_all(tmp_path, url, pages=tmp_path / "pages.jsonl")
    return tmp_path / "report.html"


def chromium(page: Path, *flags: str) -> str:
    program = shutil.which("chromium")
    assert program, "chromium is not installed; apt-get install chromium"
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-sync", "--window-size=1200,2600"]
    command += [f"--user-data-dir={page.parent / 'profile'}", *flags, f"file://{page}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_it_is_drawn_light_and_dark(page):
    pictures = {}
    for name, scheme in {"light": 1, "dark": 0}.items():
        target = page.parent / f"{name}.png"
        chromium(page, f"--screenshot={target}", f"--blink-settings=preferredColorScheme={scheme}")
        pictures[name] = matplotlib.image.imread(target)[:, :, :3]
    for name, picture in pictures.items():
        assert picture.shape[:2] == (2600, 1200)
        corner = picture[5, 5].mean()
        assert corner > 0.9 if name == "light" else corner < 0.2
        blue = picture[:, :, 2] - picture[:, :, 0] > 0.3  # bars
        assert blue.mean() > 0.01
        ink = abs(picture.mean(axis=2) - corner) > 0.4
        assert 0.005 < ink.mean() < 0.5  # text, and not a block of one colour


def test_no_script_ran_and_no_style_of_a_page_applied(page):
    drawn = chromium(page, "--dump-dom")
    assert "<title>WebR</title>" in drawn and "document.title" in drawn
    assert "<script" not in drawn and "<img" not in drawn and drawn.count("<style") == 1


def test_an_empty_report_opens(tmp_path):
    report.write_report(tmp_path / "empty.html", "Nothing", "0 pages", [])
    assert "<h1>Nothing</h1>" in chromium(tmp_path / "empty.html", "--dump-dom")
