"""Pages in a browser: nothing runs that is not labkit's, nothing is loaded, and filter, search, folds and keyboard work."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import Browser, browser, html_validate, needs_chromium, needs_node_modules

from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.capture import create, open_capture
from labkit.cli import run

HOSTILE = "<script>document.title='run'</script>\"'&\x1b[31m\u202e]]>--><img src=x onerror=alert(1)>"
"""Markup, quotation marks, an escape sequence and a mark of direction."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as session:
        yield session


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faulty(name: str = "faulty.pcapng", scenario: str = "document") -> Path:
    inject(Scenario.load(scenario).play(), ["ack-of-unsent-data"]).write(name)
    return Path(name)


def noted() -> Path:
    """A capture with an error and several notes."""
    return faulty(scenario="fast-retransmit-sack")


def page(*arguments: str, capsys: pytest.CaptureFixture[str], name: str = "page.html") -> Path:
    """The page that a command prints."""
    code = run(arguments)
    captured = capsys.readouterr()
    assert code in (0, 1), captured.err
    Path(name).write_text(captured.out, "utf-8")
    return Path(name)


@contextmanager
def narrow(chromium: Browser) -> Iterator[None]:
    """A window as wide as a telephone's."""
    chromium.command("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    try:
        yield
    finally:
        chromium.command("Emulation.clearDeviceMetricsOverride")


def verify_page(capture: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Path:
    return page("verify", "--format", "html", str(capture), *more, capsys=capsys)


def test_a_page_is_the_same_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    faulty()
    first = verify_page(Path("faulty.pcapng"), capsys).read_bytes()
    assert verify_page(Path("faulty.pcapng"), capsys).read_bytes() == first


def test_a_page_forbids_everything_else(capsys: pytest.CaptureFixture[str]) -> None:
    text = verify_page(faulty(), capsys).read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"(src|href)=\"(https?:|//)", text)


def test_verdict_findings_and_rules_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    text = verify_page(faulty(), capsys).read_text("utf-8")
    for part in (
        ">FAIL<",
        'href="#rule-ACK01-ack-of-unsent-data"',
        'id="rule-ACK01-ack-of-unsent-data"',
        "RFC 9293",
        "<svg",
        "expected",
        "packets[",
        "opened by a handshake",
    ):
        assert part in text, part


@pytest.mark.parametrize(("level", "shown"), [("none", ""), ("actual", "actual"), ("full", "actual expected")])
def test_reveal_hides_right_numbers_everywhere(level: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    capture = faulty()
    run(["verify", "--format", "json", str(capture)])
    finding = next(
        each for each in json.loads(capsys.readouterr().out)["captures"][0]["findings"] if each["severity"] == "error"
    )
    right, wrong = finding["expected"], finding["actual"]
    assert right is not None
    assert finding["mend"]
    for format_ in ("json", "jsonl", "text", "csv", "sarif", "junit", "html"):
        run(["verify", "--format", format_, "--reveal", level, str(capture)])
        text = capsys.readouterr().out
        assert finding["code"] in text
        told = finding["should_be"] in text.replace("&#x27;", "'")
        assert told == ("expected" in shown), format_
    run(["verify", "--format", "json", "--reveal", level, str(capture)])
    value = json.loads(capsys.readouterr().out)
    assert value["reveal"] == level
    found = next(each for each in value["captures"][0]["findings"] if each["code"] == finding["code"])
    assert found.keys() == finding.keys()
    assert found["actual"] == (wrong if "actual" in shown else None)
    assert found["expected"] == (right if "expected" in shown else None)
    assert (found["mend"] == "") == ("expected" not in shown)


def test_many_captures_have_an_index_and_a_page_each(capsys: pytest.CaptureFixture[str]) -> None:
    faulty("one.pcapng")
    Path("two").mkdir()
    faulty("two/one.pcapng")
    Scenario.load("handshake").play().write("index.pcapng")
    Path("broken.pcap").write_bytes(b"\xd4\xc3\xb2\xa1")
    assert (
        run(["verify", "--format", "html", "-o", "out", "one.pcapng", "two/one.pcapng", "index.pcapng", "broken.pcap"])
        == 3
    )
    capsys.readouterr()
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"index.html", "one.pcapng.html", "one.pcapng-2.html", "index.pcapng.html", "broken.pcap.html"}
    text = Path("out/index.html").read_text("utf-8")
    assert all(f'href="{name}"' in text for name in names - {"index.html"})
    assert 'href="index.html"' in Path("out/one.pcapng.html").read_text("utf-8")


def test_an_unwritable_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    faulty("a.pcapng")
    faulty("b.pcapng")
    Path("file").write_text("")
    assert run(["verify", "--format", "html", "-o", "file", "a.pcapng", "b.pcapng"]) == 3
    assert "labkit: file: cannot be created: File exists" in capsys.readouterr().err


def hostile_capture() -> Path:
    """A capture whose file name, host names, comments and payload hold markup."""
    trace = inject(Scenario.load("document").play(), ["ack-of-unsent-data"])
    trace.write("plain.pcapng")
    name = HOSTILE.replace("/", "_")[:100] + ".pcapng"
    with open_capture("plain.pcapng") as plain:
        frames = list(plain)
    names = {"192.0.2.10": HOSTILE, "192.0.2.20": "]]><svg onload=alert(1)>"}
    with create(name, link=1, comment=HOSTILE, names=names, interface_name=HOSTILE) as writer:
        for frame in frames:
            writer.write(frame.time, frame.data, comments=[HOSTILE])
    return Path(name)


@needs_chromium
class TestInTheBrowser:
    """What only a browser can tell."""

    def test_nothing_is_loaded_and_nothing_complains(
        self, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chromium.requests()
        chromium.messages()
        chromium.open(verify_page(faulty(), capsys))
        own = ("file:", "chrome:", "data:")  # Chromium's first page loads parts of Chromium
        assert [url for url in chromium.requests() if not url.startswith(own)] == []
        assert chromium.messages() == []

    @pytest.mark.parametrize("command", ["verify", "show", "draw"])
    def test_hostile_texts_stay_texts(
        self, command: str, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chromium.messages()
        shown = page(command, "--format", "html", str(hostile_capture()), capsys=capsys)
        chromium.open(shown)
        assert chromium.messages() == []
        assert chromium.run("return document.scripts.length") == 1
        assert chromium.run("return document.querySelectorAll('img, svg[onload], [onerror]').length") == 0
        assert chromium.run("return document.title") != "run"
        text = chromium.run("return document.body.textContent")
        assert "<script>document.title=" in text
        assert "\u202e" not in text
        assert "\x1b" not in text

    def test_filter_and_search(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        chromium.open(verify_page(noted(), capsys))
        visible = "return [...document.querySelectorAll('article')].filter((each) => !each.hidden).map((each) => each.className)"
        assert set(chromium.run(visible)) == {"error"}
        chromium.point("input[data-shows=note]", click=True)
        assert "note" in chromium.run(visible)
        chromium.press("/")
        chromium.press(*"zzzz")
        assert chromium.run(visible) == []
        assert chromium.run("return document.querySelector('#count').textContent").startswith("0 / ")
        chromium.press("Escape")
        assert len(chromium.run(visible)) > 1

    def test_the_keyboard_moves_through_findings(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        chromium.open(verify_page(noted(), capsys))
        chromium.point("input[data-shows=note]", click=True)
        active = "return document.activeElement.id"
        chromium.press("j")
        first = chromium.run(active)
        chromium.press("j")
        assert first.startswith("finding-")
        assert chromium.run(active) != first
        chromium.press("k")
        assert chromium.run(active) == first

    def test_a_segment_shows_everything_under_the_pointer_and_with_the_focus(
        self, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chromium.open(verify_page(faulty(), capsys))
        inspector = "const e = document.querySelector('#inspector'); return e.hidden ? null : e.textContent"
        assert chromium.run(inspector) is None
        chromium.point("article.error svg .segment:nth-of-type(2) text")
        assert "raw: seq" in chromium.run(inspector)
        chromium.press("Escape")
        assert chromium.run(inspector) is None
        chromium.run("document.querySelector('article.error svg .segment').focus()")
        assert "packet" in chromium.run(inspector)

    def test_folds_open(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        Scenario.load("slow-start").play().write("long.pcapng")
        chromium.open(page("show", "--format", "html", "long.pcapng", capsys=capsys))
        segments = (
            "return [...document.querySelectorAll('svg .segment')].filter((each) => each.checkVisibility()).length"
        )
        before = chromium.run(segments)
        assert "in order" in chromium.run("return document.querySelector('details.fold summary').textContent")
        chromium.press("e")
        assert chromium.run(segments) > before
        chromium.press("e")
        assert chromium.run(segments) == before
        chromium.point("details.fold summary", click=True)
        assert chromium.run(segments) > before

    def test_a_long_table_is_folded_and_searched(
        self, chromium: Browser, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("labkit.report.draw._segments_page.MAX_OPEN_ROWS", 6)
        chromium.open(page("show", "--format", "html", str(faulty()), capsys=capsys))
        rows = "return [...document.querySelectorAll('tbody tr')].filter((each) => each.checkVisibility()).length"
        assert chromium.run(rows) == 6
        assert chromium.run("return document.querySelector('details.rows summary').textContent") == "packets 7 to 10"
        chromium.press("/", *"fin-wait-2")
        assert chromium.run(rows) == 1

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize("command", ["verify", "show"])
    @needs_node_modules
    def test_accessible_in_both_themes(
        self, command: str, theme: str, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shown = page(command, "--format", "html", str(noted()), capsys=capsys)
        chromium.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        chromium.open(shown)
        chromium.run("for (const each of document.querySelectorAll('input[data-shows]')) each.checked || each.click()")
        assert chromium.axe() == []

    @needs_node_modules
    def test_the_index_is_accessible(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        faulty("a.pcapng")
        faulty("b.pcapng")
        run(["verify", "--format", "html", "-o", "out", "a.pcapng", "b.pcapng"])
        capsys.readouterr()
        chromium.open(Path("out/index.html"))
        assert chromium.axe() == []
        chromium.point("tbody a", click=True)
        assert "FAIL" in chromium.run("return document.title")

    def test_a_narrow_window_scrolls_only_pictures_and_tables(
        self, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shown = verify_page(faulty(), capsys)
        with narrow(chromium):
            chromium.open(shown)
            assert chromium.run("return document.documentElement.scrollWidth <= window.innerWidth")


@needs_chromium
class TestCurves:
    """The page of curves: drawn, zoomed, told."""

    INK = """
        return [...document.querySelectorAll('canvas')].map((canvas) =>
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((each) => each > 0))
    """

    def curves(self, capsys: pytest.CaptureFixture[str]) -> Path:
        return page("draw", "--what", "time-sequence", "--format", "html", str(noted()), capsys=capsys)

    def test_all_plots_are_drawn_and_nothing_complains(
        self, chromium: Browser, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chromium.messages()
        chromium.open(self.curves(capsys))
        assert chromium.messages() == []
        ink = chromium.run(self.INK)
        assert len(ink) >= 4
        assert all(ink)

    def test_they_zoom_together(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        chromium.open(self.curves(capsys))
        span = "return curves.view.to - curves.view.from"
        whole = chromium.run(span)
        chromium.run("document.querySelector('canvas').focus()")
        chromium.press("+")
        assert chromium.run(span) == pytest.approx(whole / 2)
        chromium.press("-")
        chromium.press("+", "+")
        chromium.press("0")
        assert chromium.run(span) == pytest.approx(whole)

    def test_the_nearest_mark_is_told(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        chromium.open(self.curves(capsys))
        chromium.point("canvas")
        told = chromium.run("return document.querySelector('output').textContent")
        assert re.search(r"[\d.]+ s, [\d,]+.*packet \d+", told)

    def test_a_click_leads_to_the_segment_and_back(self, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        chromium.open(self.curves(capsys))
        chosen = "return [...document.querySelectorAll('svg .chosen')].map((each) => Number(each.dataset.packet))"
        time = "return curves.view.chosen"
        (fault,) = chromium.run("return curves.findings.map((each) => each.time)")
        chromium.point("ol.links button", click=True)
        assert chromium.run(time) == fault
        assert chromium.run(chosen) == [4]
        chromium.point("canvas", click=True)
        (packet,) = chromium.run(chosen)
        later = chromium.run(time)
        assert packet > 4
        assert later > fault
        assert chromium.run("return document.querySelector('svg .chosen').getBoundingClientRect().top > 0")
        chromium.point("ol.links button", click=True)
        chromium.point(f"svg [data-packet='{packet}'] text", click=True)
        assert chromium.run(time) == later
        chromium.run("document.querySelector('canvas').focus()")
        chromium.press("Escape")
        assert chromium.run(time) is None

    @needs_node_modules
    @pytest.mark.parametrize("what", ["time-sequence", "states", "header", "layers"])
    def test_accessible_and_valid(self, what: str, chromium: Browser, capsys: pytest.CaptureFixture[str]) -> None:
        shown = page("draw", "--what", what, "--format", "html", str(hostile_capture()), capsys=capsys)
        with narrow(chromium):
            chromium.open(shown)
            assert chromium.axe() == []
            assert chromium.run("return document.documentElement.scrollWidth <= window.innerWidth")
        chromium.open(shown)
        assert html_validate(shown) == ""


@needs_node_modules
def test_valid_html(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.report.draw._segments_page.MAX_OPEN_ROWS", 6)
    hostile = hostile_capture()
    faulty("b.pcapng")
    shown = [
        page("verify", "--format", "html", str(hostile), capsys=capsys, name="one.html"),
        page("verify", "--format", "html", str(hostile), "b.pcapng", capsys=capsys, name="many.html"),
        page("show", "--format", "html", str(hostile), capsys=capsys, name="show.html"),
        page("draw", "--format", "html", str(hostile), capsys=capsys, name="draw.html"),
    ]
    assert html_validate(*shown) == ""


@needs_node_modules
def test_the_validator_finds_faults() -> None:
    Path("bad.html").write_text("<!DOCTYPE html><html><p id=a><p id=a></html>", "utf-8")
    assert "error" in html_validate(Path("bad.html"))
