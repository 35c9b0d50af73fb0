"""The dashboard's front page from results as asv writes them, with all that may be missing; both pages in a browser."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import page, perf_check  # noqa: E402

NAN = math.nan
COLUMNS = ["result", "params", "version"]
EXECUTORS = ["'threads'", "'simd'", "'cuda'"]
AWKWARD = "a<b> & \"it's\""  # a name that must be escaped in texts, in attributes and in addresses


def results(folder, machine, commits, **changes):
    """Results as asv saves them: ratios of two kernels on three executors, of which one is absent; one failed."""
    known = {
        "bench_stream.Stream.track_ratio": (["executor", "kernel"], [EXECUTORS, ["'copy'", repr(AWKWARD)]]),
        "bench_stream.Stream.track_rate": (["executor", "kernel"], [EXECUTORS, ["'copy'", repr(AWKWARD)]]),
        "bench_kinds.Kinds.track_ratio": (["executor", "elements", "loop"], [["'threads'"], ["'1e5'"], ["'gas'"]]),
        "bench_sizes.Sizes.track_seconds": (
            ["executor", "algorithm", "elements"], [["'threads'"], ["'reduce'"], ["'100'", "'2000'", "'4000'"]]
        ),
        "bench_compile.Calls.track_first": (["executor", "algorithm"], [["'threads'"], ["'sort'", "'fill'"]]),
        "bench_overhead.Baseline.time_numpy_add": ([], []),
        "bench_overhead.Small.time_call": (["algorithm", "n"], [["'sort'"], ["100", "f at 0x1"]]),
    }  # fmt: skip
    values = {
        "bench_stream.Stream.track_ratio": [0.5, 2.0, 1.25, None, NAN, NAN],
        "bench_stream.Stream.track_rate": [20.0, 10.0, NAN, None, NAN, NAN],
        "bench_kinds.Kinds.track_ratio": None,  # what asv saves where setup_cache failed
        "bench_sizes.Sizes.track_seconds": [1e-6, 2e-5, 8e-5],
        "bench_compile.Calls.track_first": [2.5, 0.125],
        "bench_overhead.Baseline.time_numpy_add": [4e-7],
        "bench_overhead.Small.time_call": [5e-6, 6e-6],
        **changes,
    }
    (folder / machine).mkdir(parents=True)
    about = {name: {"param_names": names, "params": p, "version": "v"} for name, (names, p) in known.items()}
    (folder / "benchmarks.json").write_text(json.dumps({**about, "version": 2}))
    (folder / machine / "machine.json").write_text(json.dumps({"machine": machine, "cpu": "A & B", "num_cpu": "2"}))
    for k, commit in enumerate(commits):
        rows = {name: [values[name], params, "v"] for name, (_, params) in known.items() if name in values}
        saved = {"commit_hash": commit, "date": 1e12 + k * 1e9, "result_columns": COLUMNS, "results": rows}
        (folder / machine / f"{commit[:8]}-existing.json").write_text(json.dumps(saved))
    return page.load(folder, machine)


class Parsed(HTMLParser):
    """The elements of a page; every one is closed in its turn."""

    EMPTY = {"meta", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in attributes.items())]


@pytest.mark.parametrize("commits", [["a" * 40], ["a" * 40, "b" * 40, "c" * 40]])
def test_the_page_shows_what_there_is(tmp_path, commits):
    history = results(tmp_path, "here", commits)
    text = page.page(history, ["a note <script>alert(1)</script>"], {"copy": 2.5})
    found = Parsed(text)
    assert not found.all("script") and not found.all("img") and not found.all("iframe")
    links = [a["href"] for a in found.all("a")]
    assert links and all(link.startswith(("#", "asv/index.html#")) for link in links)
    ids = {a["id"] for _, a in found.elements if "id" in a}
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    texts = " ".join(found.texts)
    assert commits[-1][:12] in texts and "A & B, 2 CPUs" in texts and AWKWARD in found.texts
    assert "Not on this machine: cuda." in texts
    heat = [a for t, a in found.elements if t == "td" and a.get("class") in ("met", "missed", "failed", "none")]
    assert [a["class"] for a in heat].count("missed") == 3  # copy by its own target, and the slow one by STREAM's
    assert "failed" in [a["class"] for a in heat]
    assert {"2.00", "0.50", "0.80"} <= set(found.texts)
    dots = found.all("circle")
    assert len(dots) == 3 + 2 * len(commits) and all(math.isfinite(float(a["cx"])) for a in dots)
    assert found.texts.count("2000 to 4000") == 1 and "100 to 2000" not in found.texts
    assert len(found.all("td", **{"class": "over"})) == 1


def test_links_lead_to_the_graph_of_those_parameters(tmp_path):
    history = results(tmp_path, "here", ["a" * 40])
    found = Parsed(page.page(history))
    graphs = [unquote(a["href"].partition("#")[2]) for a in found.all("a") if "?" in a["href"]]
    assert f"bench_stream.Stream.track_ratio?p-executor='threads'&p-kernel={AWKWARD!r}" in graphs
    assert {f"bench_overhead.Small.time_call?p-algorithm='sort'&p-n={n}" for n in ("100", "f at 0x1")} <= set(graphs)
    raw = [a["href"] for a in found.all("a") if "Stream.track_ratio?" in a["href"]]
    assert all(link.count("&") == 1 and link.count("=") == 2 for link in raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"bench_stream.Stream.track_ratio": [NAN] * 6},
        {"bench_stream.Stream.track_ratio": [None] * 6, "bench_stream.Stream.track_rate": None},
        {"bench_stream.Stream.track_ratio": [0.0, -1.0, math.inf, 1e300, 1e-300, 1.0]},
        {"bench_stream.Stream.track_ratio": []},
        {"bench_kinds.Kinds.track_ratio": [1.0], "bench_sizes.Sizes.track_seconds": [NAN, NAN, 1e-6]},
        {"bench_compile.Calls.track_first": None, "bench_sizes.Sizes.track_seconds": None},
    ],
)
def test_anything_may_be_missing(tmp_path, changes):
    text = page.page(results(tmp_path, "here", ["a" * 40], **changes))
    Parsed(text)
    assert "nan" not in text.lower() and "inf<" not in text


def test_nothing_measured(tmp_path):
    results(tmp_path, "here", ["a" * 40])
    text = page.page(page.load(tmp_path, "elsewhere"))
    Parsed(text)
    assert "Nothing has been measured" in text


def test_results_of_older_benchmarks_are_left_out(tmp_path):
    results(tmp_path, "here", ["a" * 40])
    (file,) = (tmp_path / "here").glob("*-existing.json")
    saved = json.loads(file.read_text())
    for row in saved["results"].values():
        row[2] = "older"
    file.write_text(json.dumps(saved))
    assert page.load(tmp_path, "here").runs[0].values == {}


# perf-check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "verdict"),
    [
        ([1.0] * 9, "same"),
        ([1.2] * 9, "slower"),
        ([0.8] * 9, "faster"),
        ([1.04] * 9, "same"),  # less than what counts
        ([1.2, 1.21, 1.19, 9.0, 1.2, 1.2, 0.1, 1.2, 1.2], "slower"),  # whatever the outliers are
        ([0.5, 1.9, 1.2, 0.7, 2.2, 1.3, 0.6, 1.1, 1.5], "same"),  # all noise
    ],
)
def test_verdicts(here, verdict):
    drift = [1.0 + k for k in range(9)]  # of the machine: both sides have it
    one = perf_check.Compared("x", drift, [a * b for a, b in zip(drift, here, strict=True)])
    assert one.verdict == verdict and verdict in perf_check.line(one)


def test_what_could_not_be_measured_says_why():
    one = perf_check.Compared("x", [], [], "base: AttributeError: no such thing")
    assert one.verdict == "not measured" and "no such thing" in perf_check.line(one)


@pytest.mark.parametrize(
    "arguments", [["nothing-of-that-name"], ["HEAD", "--only", "nothing"], ["HEAD", "--rounds", "1"]]
)
def test_perf_check_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        perf_check.main(arguments)
    assert ended.value.code == 2 and arguments[0 if len(arguments) == 1 else 1] in capsys.readouterr().err


@pytest.mark.extra
def test_perf_check_compares(capsys):
    """The tree with its own commit: what is measured appears, and nothing is left behind."""
    if subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("not a git checkout")
    assert perf_check.main(["HEAD", "--rounds", "3", "--only", "count_if, n = 100"]) in (0, 1)
    assert "count_if, n = 100 " in capsys.readouterr().out
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert not (perf_check.FOLDER / commit[:12]).exists()


# everything, in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the pages after a run of the smallest benchmarks, and their folder."""
    pytest.importorskip("asv", reason="asv is not installed")
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "bench.dashboard", "--quick", "--port", "0", "--folder", str(home / "asv")]
    command += ["--bench", "bench_overhead", "--bench", "bench_stream"]
    env = {**os.environ, "HOME": str(home)}  # where asv keeps its machine file: there is none yet
    log = home / "log"
    with open(log, "w") as told:
        running = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told, text=True
        )
    said = []
    for line in running.stdout:
        said.append(line)
        if line.startswith("serving "):
            break
    try:
        assert said and said[-1].startswith("serving "), "".join(said[-30:]) + log.read_text()[-2000:]
        yield re.search("http://[^ ]+", said[-1])[0], home / "asv" / "html"
        running.send_signal(signal.SIGINT)
        assert running.wait(600) == 0  # Ctrl-C ends it, and every benchmark had run
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


@pytest.fixture(scope="module")
def browser():
    """Chromium: Playwright's own, or the system's."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        own = running.chromium.executable_path
        found = own if os.path.exists(own) else shutil.which("chromium") or shutil.which("google-chrome")
        if found is None:
            pytest.skip("there is no Chromium: playwright install chromium, or the system's package")
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.extra
def test_the_site(site):
    """Whatever the page links to is there: benchmarks by name with those parameters, and their graphs have points."""
    _, folder = site
    text = (folder / "index.html").read_text()
    known = json.loads((folder / "asv" / "index.json").read_text())["benchmarks"]
    links = [a["href"].partition("#")[2] for a in Parsed(text).all("a") if "asv/" in a["href"]]
    graphs = [link for link in links if "track_" in link or "time_" in link]
    assert len(graphs) > 20
    for link in graphs:
        name, _, query = unquote(link).partition("?")
        about = known[name]
        for pair in filter(None, query.split("&")):
            parameter, _, value = pair.removeprefix("p-").partition("=")
            assert value in about["params"][about["param_names"].index(parameter)]
        files = list((folder / "asv" / "graphs").glob(f"**/machine-*/**/{name}.json"))
        assert files and json.loads(files[0].read_text())


@pytest.mark.extra
def test_the_front_page_in_a_browser(site, browser):
    address, _ = site
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    errors, asked = [], []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    assert opened.goto(address).ok
    assert opened.locator("h1").inner_text() and opened.locator("svg circle").count() > 0
    assert opened.locator("table.heat td a").count() >= 12
    for box in opened.locator("svg circle").all()[:5]:
        assert box.bounding_box()["width"] > 0
    opened.locator("nav a").nth(1).click()
    assert opened.url.endswith("#missed")
    assert not errors and all(url.startswith(address) for url in asked)
    opened.close()


#: The packages that have what asv's pages load from elsewhere, and where in them.
SCRIPTS = {
    "jquery@3.3.1": {"jquery-3.3.1.min.js": "dist/jquery.min.js"},
    "jquery.flot@0.8.3": {
        f"jquery.flot{name}.min.js": f"jquery.flot{name}.js" for name in ("", ".time", ".selection", ".categories")
    },
    "flot-orderbars@1.0.0": {"jquery.flot.orderBars.js": "js/jquery.flot.orderBars.js"},
    "stupid-table-plugin@1.1.3": {"stupidtable.min.js": "stupidtable.min.js"},
    "blueimp-md5@2.19.0": {"md5.min.js": "js/md5.min.js"},
    "bootstrap@3.1.1": {f"bootstrap.min.{kind}": f"dist/{kind}/bootstrap.min.{kind}" for kind in ("js", "css")},
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """File name → text of the scripts that asv's pages load from elsewhere, out of npm's packages."""
    if shutil.which("npm") is None:
        pytest.skip("asv's pages load scripts from elsewhere, and there is no npm to bring them")
    folder, found = tmp_path_factory.mktemp("npm"), {}
    for package, files in SCRIPTS.items():
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, capture_output=True, timeout=60)
        if done.returncode:
            pytest.skip(f"asv's pages load scripts from elsewhere, and npm cannot bring {package}")
        with tarfile.open(next(folder.glob("*.tgz"))) as packed:
            found |= {name: packed.extractfile(f"package/{path}").read().decode() for name, path in files.items()}
        next(folder.glob("*.tgz")).unlink()
    return found


@pytest.mark.extra
def test_asvs_pages_in_a_browser(site, browser, scripts):
    """What our page links to loads without errors, and draws a line of one point at least."""
    address, _ = site
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    errors = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))

    def answer(route):
        url = route.request.url
        if url.partition("?")[0].endswith("/asv/index.html"):  # not the same bytes as the sums in it are of
            text = re.sub(r' (integrity|crossorigin)="[^"]*"', "", route.fetch().text())
            route.fulfill(body=text, content_type="text/html")
        elif url.startswith(address):
            route.continue_()
        else:
            name = url.rpartition("/")[2]
            kind = "text/css" if name.endswith("css") else "text/javascript"
            route.fulfill(body=scripts[name], content_type=kind)

    opened.route("**/*", answer)
    opened.goto(address)
    opened.locator("table.heat td a").first.click()
    drawn = "window.$ !== undefined && $('#main-graph').data('plot') !== undefined"  # scripts may still be on their way
    opened.wait_for_function(drawn, timeout=20_000)
    points = "$('#main-graph').data('plot').getData().map(line => line.data.length)"
    assert sum(opened.evaluate(points)) > 0
    for where in ("/", "/summarylist", "/regressions"):
        opened.goto(f"{address}asv/index.html#{where}")
        opened.wait_for_timeout(300)
    assert not errors
    opened.close()
