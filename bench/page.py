"""The front page of the dashboard: one HTML file without scripts, made from asv's results.

Speeds are shown relative to native code, above 1: portapar is faster. asv keeps times divided by native times, the
reciprocal. A value that is None failed; one that is NaN, or is not there, was not measured on that machine.
"""

from __future__ import annotations

import ast
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Benchmarks beside native code: their headings, and the least relative speed by executor, or of all
SUITES: dict[str, tuple[str, dict[str, float]]] = {
    "bench_stream.Stream": ("STREAM", {"": 1.0, "opencl": 0.98, "cuda": 0.98}),
    "bench_algorithms.Algorithms": ("Algorithms", {"": 1.0}),
    "bench_kinds.Kinds": ("Kinds of loops", {"": 0.8}),
    "bench_pareval.Pareval": ("ParEval beside serial C++", {"": 1.0}),
}
LONGEST_FIRST_CALL = 1.5  # seconds
CLIFF = 1.6  # how much more an element may cost at the next size
COLOURS = ("#2166ac", "#d95f02", "#1b7f5c", "#7b3fa0", "#b8860b", "#c51b7d", "#444444", "#00a0b0")

Key = tuple[str, ...]


@dataclass
class Run:
    """What was measured of one commit: for each benchmark its values by parameters."""

    commit: str
    date: float
    values: dict[str, dict[Key, float | None]] = field(default_factory=dict)

    def get(self, benchmark: str, key: Key) -> float | None:
        return self.values.get(benchmark, {}).get(key, math.nan)


@dataclass
class History:
    """All runs on one machine, the oldest commit first; by benchmark the parameters' names and asv's texts."""

    machine: dict[str, Any]
    runs: list[Run]
    names: dict[str, list[str]]
    written: dict[str, list[dict[str, str]]]


def load(folder: Path, machine: str) -> History:
    """Read asv's results of one machine, as far as they are of the benchmarks as they are now."""
    known = json.loads((folder / "benchmarks.json").read_text())
    known = {name: about for name, about in known.items() if isinstance(about, dict)}
    runs: dict[str, Run] = {}
    files = sorted((folder / machine).glob("*-*.json"), key=lambda file: file.stat().st_mtime)
    for file in files:
        saved = json.loads(file.read_text())
        if "commit_hash" not in saved:
            continue
        run = runs.setdefault(saved["commit_hash"], Run(saved["commit_hash"], saved["date"] / 1000))
        for name, row in saved["results"].items():
            found = dict(zip(saved["result_columns"], row, strict=False))
            if name in known and found.get("version") in (None, known[name]["version"]):
                run.values[name] = dict(_flat(found.get("result"), found.get("params") or []))
    about = folder / machine / "machine.json"
    return History(
        json.loads(about.read_text()) if about.exists() else {"machine": machine},
        sorted(runs.values(), key=lambda run: run.date),
        {name: about["param_names"] for name, about in known.items()},
        {name: [{plain(v): v for v in values} for values in about["params"]] for name, about in known.items()},
    )


def plain(parameter: str) -> str:
    """A parameter's value as text; asv has it as Python writes it."""
    try:
        return str(ast.literal_eval(parameter))
    except (ValueError, SyntaxError):
        return parameter


def _flat(values: Sequence[float | None] | None, params: list[list[str]]) -> Iterator[tuple[Key, float | None]]:
    """asv's list of values, the last parameter fastest, as pairs."""
    keys: list[Key] = [()]
    for choices in params:
        keys = [(*key, plain(choice)) for key in keys for choice in choices]
    yield from zip(keys, [None] * len(keys) if values is None else values, strict=False)


# pieces of HTML -----------------------------------------------------------------------------------------


def tag(name: str, *content: str, **attributes: Any) -> str:
    """An element; its content is HTML already, its attributes are escaped here."""
    written = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(str(v))}"' for k, v in attributes.items())
    return f"<{name}{written}>{''.join(content)}</{name}>"


def graph(history: History, benchmark: str, key: Key) -> str:
    """The address of asv's graph of a benchmark with those parameters, as asv writes them."""
    written = zip(history.names[benchmark], history.written[benchmark], key, strict=False)
    given = "&".join(f"p-{quote(n, safe='')}={quote(as_is.get(v, v), safe='')}" for n, as_is, v in written)
    return f"asv/index.html#{quote(benchmark, safe='')}" + (f"?{given}" if given else "")


def seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def short(value: float) -> str:
    """A number for an axis."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def usable(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def colour(speed: float) -> tuple[str, str]:
    """Background and text for a relative speed: orange below 1, blue above, full at a factor of 4."""
    at = max(-1.0, min(1.0, math.log2(speed) / 2))
    end = (33, 102, 172) if at > 0 else (200, 80, 0)
    red, green, blue = (round(246 + (c - 246) * abs(at) ** 0.75) for c in end)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    return f"rgb({red},{green},{blue})", "#fff" if dark else "#111"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], **attributes: Any) -> str:
    """A table of cells that are HTML already; the first of each row is its heading."""
    top = tag("tr", *(tag("th", text, scope="col") for text in head))
    body = []
    for first, *cells in rows:
        body.append(tag("tr", tag("th", first, scope="row"), *(c if c[:3] == "<td" else tag("td", c) for c in cells)))
    return tag("div", tag("table", tag("thead", top), tag("tbody", *body), **attributes), class_="wide")


def lines(curves: dict[str, list[tuple[float, float, str]]], what: str, log_x: bool, x_label: Callable[[float], str]
          ) -> str:  # fmt: skip
    """A chart of several curves of (x, y, title), y on a logarithmic scale; one point is drawn as such."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return ""
    width, height, left, right, top, bottom = 760, 260, 56, 24, 12, 34
    place = (lambda x: math.log10(x)) if log_x else (lambda x: x)
    x0, x1 = min(place(p[0]) for p in points), max(place(p[0]) for p in points)
    y0, y1 = math.log10(min(p[1] for p in points)) - 0.05, math.log10(max(p[1] for p in points)) + 0.05
    at_x = lambda x: left + (width - left - right) * ((place(x) - x0) / (x1 - x0) if x1 > x0 else 0.5)
    at_y = lambda y: top + (height - top - bottom) * (1 - (math.log10(y) - y0) / (y1 - y0))
    drawn = []
    for k in range(math.floor(y0), math.ceil(y1) + 1):
        for y in (10.0**k, 2 * 10.0**k, 5 * 10.0**k):
            if y0 <= math.log10(y) <= y1:
                drawn.append(f'<line x1="{left}" x2="{width - right}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>')
                drawn.append(f'<text x="{left - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{short(y)}</text>')
    xs = sorted({point[0] for point in points})
    for x in xs[:: max(1, len(xs) // 8)]:
        text = tag("text", escape(x_label(x)), x=f"{at_x(x):.1f}", y=height - 14, text_anchor="middle")
        drawn.append(text)
    key = []
    for (name, curve), stroke in zip(curves.items(), COLOURS * (1 + len(curves) // len(COLOURS)), strict=False):
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y, _ in curve)
        drawn.append(tag("polyline", points=path, fill="none", stroke=stroke, stroke_width=1.5))
        for x, y, title in curve:
            circle = tag("circle", tag("title", escape(title)), cx=f"{at_x(x):.1f}", cy=f"{at_y(y):.1f}", r=3,
                         fill=stroke)  # fmt: skip
            drawn.append(circle)
        key.append(tag("span", tag("i", style=f"background:{stroke}"), escape(name)))
    picture = tag("svg", *drawn, viewBox=f"0 0 {width} {height}", role="img", aria_label=what, class_="chart")
    return tag("figure", picture, tag("figcaption", escape(what) + ": ", " ".join(key)))


# sections -----------------------------------------------------------------------------------------------


def target(suite: str, key: Key, targets: dict[str, float]) -> float:
    """The least relative speed of a row: its own, its executor's, or its suite's."""
    by_executor = SUITES[suite][1] if suite in SUITES else {"": 1.0}
    return targets.get(key[-1], by_executor.get(key[0], by_executor[""]))


def speeds(run: Run, suite: str) -> dict[Key, float]:
    """The relative speeds that were measured."""
    found = run.values.get(f"{suite}.track_ratio", {})
    return {key: 1 / value for key, value in found.items() if value is not None and usable(value)}


def column(key: Key) -> str:
    return ", ".join(key[:-1])


def mean(values: Iterable[float]) -> float:
    return statistics.geometric_mean(values)


def suites(history: History) -> list[str]:
    """Benchmarks beside native code: the known ones first."""
    found = [name.removesuffix(".track_ratio") for name in history.names if name.endswith(".track_ratio")]
    return sorted(found, key=lambda suite: (list(SUITES).index(suite) if suite in SUITES else len(SUITES), suite))


def title(suite: str) -> str:
    return SUITES[suite][0] if suite in SUITES else suite


def heat(history: History, run: Run, suite: str, targets: dict[str, float]) -> str:
    """Relative speeds by row and column, coloured; each cell leads to its graph."""
    benchmark, timed = f"{suite}.track_ratio", f"{suite}.track_seconds"
    values = run.values.get(benchmark, {})
    kept = {key: value for key, value in values.items() if value is None or not math.isnan(value)}
    columns = list(dict.fromkeys(key[:-1] for key in kept))
    absent = dict.fromkeys(column(key) for key in values if key[:-1] not in columns)
    if not columns:
        return tag("p", "Not measured.")
    rows = []
    for name in dict.fromkeys(key[-1] for key in values):
        cells = []
        for first in columns:
            key = (*first, name)
            value, ours = run.get(benchmark, key), run.get(timed, key)
            if value is None:
                cells.append(tag("td", "failed", class_="failed"))
            elif not usable(value):
                cells.append(tag("td", "–", class_="none"))
            else:
                back, text = colour(1 / value)
                wanted = target(suite, key, targets)
                missed = 1 / value < wanted
                tip = f"target {wanted:g}"
                if ours is not None and usable(ours):
                    tip = f"portapar {seconds(ours)}, native {seconds(ours / value)}, {tip}"
                link = tag("a", f"{1 / value:.2f}", href=graph(history, benchmark, key), title=tip)
                style = f"background:{back};color:{text}"
                cells.append(tag("td", link, style=style, class_="missed" if missed else "met"))
        rows.append([escape(name), *cells])
    found = speeds(run, suite)
    means = []
    for first in columns:
        some = [speed for key, speed in found.items() if key[:-1] == first]
        means.append(tag("td", f"{mean(some):.2f}" if some else "–", class_="mean"))
    rows.append(["geometric mean", *means])
    note = tag("p", f"Not on this machine: {escape(', '.join(absent))}.") if absent else ""
    return table(["", *(escape(", ".join(first)) for first in columns)], rows, class_="heat") + note


def summary(history: History, run: Run, targets: dict[str, float]) -> str:
    """One line for each suite and column."""
    rows = []
    for k, suite in enumerate(suites(history)):
        found = speeds(run, suite)
        for name in dict.fromkeys(map(column, found)):
            some = {key: speed for key, speed in found.items() if column(key) == name}
            least = min(some, key=some.__getitem__)
            under = sum(speed < target(suite, key, targets) for key, speed in some.items())
            back, text = colour(mean(some.values()))
            middle = tag("td", f"{mean(some.values()):.2f}", style=f"background:{back};color:{text}")
            link = tag("a", escape(title(suite)), href=f"#heat{k}")
            rows.append([link, escape(name), middle, f"{some[least]:.2f} ({escape(least[-1])})", str(len(some)),
                         str(under)])  # fmt: skip
    head = ["", "on", "geometric mean", "least", "rows", "under target"]
    return table(head, rows, class_="texts") if rows else tag("p", "Nothing was measured beside native code.")


def missed(history: History, run: Run, targets: dict[str, float]) -> str:
    """The rows under their targets, the farthest first, and what failed."""
    rows, failed = [], []
    for suite in suites(history):
        benchmark = f"{suite}.track_ratio"
        for key, speed in speeds(run, suite).items():
            wanted = target(suite, key, targets)
            if speed < wanted:
                link = tag("a", escape(key[-1]), href=graph(history, benchmark, key))
                cells = [link, escape(title(suite)), escape(column(key)), f"{speed:.2f}", f"{wanted:g}"]
                rows.append((speed / wanted, cells))
    for benchmark, values in run.values.items():
        failed += [escape(" ".join((benchmark, *key))) for key, value in values.items() if value is None]
    rows.sort(key=lambda row: row[0])
    head = ["what", "of", "on", "relative speed", "target"]
    text = table(head, [row[1] for row in rows[:15]], class_="texts") if rows else tag("p", "None.")
    if len(rows) > 15:
        rest = table(head, [row[1] for row in rows[15:]], class_="texts")
        text += tag("details", tag("summary", f"{len(rows) - 15} more"), rest)
    if failed:
        text += tag("h3", "Failed") + tag("ul", *(tag("li", name) for name in failed))
    return text


def stream(history: History, run: Run) -> str:
    """GB/s of STREAM's kernels as bars."""
    benchmark = "bench_stream.Stream.track_rate"
    rates = {key: v for key, v in run.values.get(benchmark, {}).items() if v is not None and usable(v)}
    if not rates:
        return tag("p", "Not measured.")
    most = max(rates.values())
    rows = []
    for key, rate in rates.items():
        speed = speeds(run, "bench_stream.Stream").get(key)
        bar = tag("div", style=f"width:{100 * rate / most:.1f}%", class_="bar")
        link = tag("a", escape(key[-1]), href=graph(history, benchmark, key))
        rows.append([escape(key[0]), link, f"{rate:.1f}", "–" if speed is None else f"{speed:.2f}",
                     tag("td", bar, class_="bars")])  # fmt: skip
    return table(["on", "kernel", "GB/s", "relative speed", ""], rows, class_="texts")


def cliffs(run: Run) -> str:
    """What an element costs by size, and where the next size costs more."""
    values = run.values.get("bench_sizes.Sizes.track_seconds", {})
    curves: dict[Key, list[tuple[float, float, str]]] = {}
    for key, value in values.items():
        if value is not None and usable(value):
            n = float(key[-1])
            name = ", ".join(key[:-1])
            curves.setdefault(key[:-1], []).append((n, value / n * 1e9, f"{name}, n = {n:g}: {value / n * 1e9:.3g} ns"))
    if not curves:
        return tag("p", "Not measured.")
    found, charts = [], []
    for key, curve in curves.items():
        curve.sort()
        for (n, before, _), (more, after, _) in zip(curve, curve[1:], strict=False):
            if n > 1000 and after > CLIFF * before:
                where = f"{n:g} to {more:g}"
                found.append([escape(", ".join(key)), where, f"{before:.3g}", f"{after:.3g}", f"{after / before:.2f}"])
    for first in dict.fromkeys(key[0] for key in curves):
        part = {", ".join(key[1:]): curve for key, curve in curves.items() if key[0] == first}
        charts.append(lines(part, f"ns per element by number of elements, {first}", True, short))
    head = ["what", "from n to n", "ns", "ns", "factor"]
    text = tag("p", f"Steps at which an element costs more than {CLIFF:g} times as much, above n = 1000:")
    return "".join(charts) + text + (table(head, found, class_="texts") if found else tag("p", "None."))


def costs(history: History, run: Run) -> str:
    """Small calls, imports and memory; first calls by algorithm and executor."""
    kinds = {"bench_compile.Calls.track_first": "first call", "bench_compile.Calls.track_later": "later call"}
    rows = []
    for benchmark, values in sorted(run.values.items()):
        if benchmark.rpartition(".")[0] in (*suites(history), "bench_compile.Calls", "bench_sizes.Sizes"):
            continue
        for key, value in values.items():
            shown = "failed" if value is None else "–"
            if value is not None and usable(value):
                shown = f"{value / 2**20:.1f} MiB" if benchmark.endswith("memory") else seconds(value)
            link = tag("a", escape(benchmark), href=graph(history, benchmark, key))
            rows.append([link, escape(", ".join(key)), shown])
    text = table(["what", "", ""], rows, class_="texts") if rows else ""
    columns: dict[tuple[str, str], dict[str, float | None]] = {}
    for benchmark in kinds:
        for (on, name), value in run.values.get(benchmark, {}).items():
            columns.setdefault((benchmark, on), {})[name] = value
    columns = {place: found for place, found in columns.items() if any(map(usable, found.values()))}
    if columns:
        sums = [sum(v for v in found.values() if v is not None and usable(v)) for found in columns.values()]
        body = [["all", *(tag("td", seconds(value), class_="mean") for value in sums)]]
        for name in dict.fromkeys(name for found in columns.values() for name in found):
            cells = []
            for (benchmark, on), found in columns.items():
                value = found.get(name, math.nan)
                over = value is not None and benchmark.endswith("first") and value > LONGEST_FIRST_CALL
                shown = "failed" if value is None else seconds(value) if usable(value) else "–"
                link = tag("a", shown, href=graph(history, benchmark, (on, name)))
                cells.append(tag("td", link, class_="over" if over else ""))
            body.append([escape(name), *cells])
        text += tag("h3", "Every algorithm on 60 elements: its first call, nothing compiled before, and later ones")
        text += table(["", *(f"{kinds[benchmark]}, {escape(on)}" for benchmark, on in columns)], body)
    return text or tag("p", "Not measured.")


def over_time(history: History) -> str:
    """Geometric means of relative speeds by commit, over the rows that all commits have."""
    text = ""
    commit = lambda k: history.runs[int(k)].commit[:8]
    for suite in suites(history):
        found = [speeds(run, suite) for run in history.runs]
        curves: dict[str, list[tuple[float, float, str]]] = {}
        for name in dict.fromkeys(column(key) for some in found for key in some):
            here = [{key[-1]: s for key, s in some.items() if column(key) == name} for some in found]
            rows = set.intersection(*(set(some) for some in here if some))
            for k, some in enumerate(here):
                if rows and some:
                    value = mean(some[row] for row in rows)
                    curves.setdefault(name, []).append((float(k), value, f"{name}, {commit(k)}: {value:.2f}"))
        text += lines(curves, f"{title(suite)}, relative speed by commit", False, commit)
    if len(history.runs) < 2:
        text += tag("p", "One commit has been measured: a point each; asv's grid draws lines only.")
    return text


STYLE = """
:root { color-scheme: light; font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff }
body { max-width: 70rem; margin: 0 auto; padding: 1rem 1.25rem 4rem }
h1 { margin-bottom: .2rem } h2 { margin-top: 2.4rem; border-bottom: 1px solid #ddd } a { color: #174f8a }
nav a { margin-right: 1rem } .note { background: #fff4d6; padding: .5rem .8rem; border-left: 4px solid #d9a400 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:first-child, table.texts :is(th, td):nth-child(2) { text-align: left } th[scope=row] { font-weight: normal }
.heat td { min-width: 4.2rem; border: 1px solid #fff } .heat td a { color: inherit; text-decoration: none }
.heat td a { display: block } .heat td a:hover { text-decoration: underline }
td.missed { box-shadow: inset 0 -3px #a40000 }
td.failed, td.over { background: #a40000; color: #fff } td.over a { color: inherit } td.none { color: #888 }
.mean, tr:has(.mean) th { font-weight: bold } .bars { width: 20rem } .bar { background: #2166ac; height: .8em }
figure { margin: 1rem 0 } .chart { width: 100%; max-width: 60rem } .chart line { stroke: #e4e4e4 }
.chart text { font-size: 11px; fill: #555 } figcaption span { margin-left: .8rem; white-space: nowrap }
figcaption i { display: inline-block; width: .8em; height: .8em; margin-right: .3em }
"""


def page(history: History, notes: Sequence[str] = (), targets: dict[str, float] | None = None) -> str:
    """The page for the newest commit of a history.

    Parameters
    ----------
    notes : sequence of str
        What a reader should know first.
    targets : dict, optional
        Relative speeds that rows should have, by name, where they differ from the suite's.
    """
    about = history.machine
    machine = [str(about[key]) for key in ("machine", "cpu", "num_cpu", "os") if about.get(key)]
    if machine and about.get("num_cpu"):
        machine[2] += " CPUs"
    parts = [tag("h1", "portapar: speed beside native code"), tag("p", escape(", ".join(machine)))]
    parts += [tag("p", escape(note), class_="note") for note in notes]
    if not history.runs:
        parts.append(tag("p", "Nothing has been measured on this machine."))
    else:
        run = history.runs[-1]
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.date))
        parts.append(tag("p", f"Commit {tag('code', escape(run.commit[:12]))} of {day}. Relative speeds: above 1 "
                         "portapar is faster than native code on the same data, measured in turns."))  # fmt: skip
        sections = [
            ("summary", "Relative speeds", summary(history, run, targets or {})),
            ("missed", "Missed targets", missed(history, run, targets or {})),
            ("stream", "STREAM in GB/s", stream(history, run)),
            *(
                (f"heat{k}", title(suite), heat(history, run, suite, targets or {}))
                for k, suite in enumerate(suites(history))
            ),
            ("sizes", "Sizes", cliffs(run)),
            ("costs", "Costs", costs(history, run)),
            ("commits", "By commit", over_time(history)),
        ]
        links = [tag("a", escape(name), href=f"#{place}") for place, name, _ in sections]
        pages = (("", "grid"), ("summarylist", "list"), ("regressions", "regressions"))
        links += [tag("a", f"asv: {name}", href=f"asv/index.html#{'/' + where}") for where, name in pages]
        parts.append(tag("nav", *links))
        for place, name, text in sections:
            parts.append(tag("section", tag("h2", escape(name)), text, id=place))
    head = tag("title", "portapar: speed") + tag("style", STYLE) + '<link rel="icon" href="asv/swallow.ico">'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width">{head}</head>\n<body>{"".join(parts)}</body></html>\n'
    )
