"""The modules that everything here rests on: PageRank of the import graph of the installed packages.

    python examples/import_graph.py [picture.png]

A module leads to those that it imports, read from the texts of all packages of this Python; so a module's rank says how
often one comes to it who follows imports at random. With Matplotlib the packages that rank highest are drawn, too.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

import portapar as pp

IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE)


def modules():
    """Name → file of every module that is installed."""
    paths = sysconfig.get_paths()
    found = {}
    for root in dict.fromkeys(Path(paths[name]) for name in ("purelib", "platlib", "stdlib")):
        for file in sorted(root.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if "site-packages" not in parts and not {"test", "tests"} & set(parts):
                found.setdefault(".".join(parts[:-1] if parts[-1] == "__init__" else parts), file)
    return found


def imported(name, file):
    """The modules that a text imports, as they are written."""
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    for relative, several in IMPORT.findall(file.read_text(errors="ignore")):
        for told in [relative] if relative else [part.split(" as ")[0] for part in several.split(",")]:
            told = told.strip()
            dots = len(told) - len(told.lstrip("."))
            base = package[: len(package) - dots + 1] if dots else []
            yield ".".join([*base, *([told[dots:]] if told[dots:] else [])])


def graph(files):
    """The names, and who imports whom; a module that is not here stands for the package that it is of."""
    number = {name: k for k, name in enumerate(files)}
    edges = []
    for name, file in files.items():
        for told in imported(name, file):
            while told and told not in number:
                told = told.rpartition(".")[0]
            if told and told != name:
                edges.append((number[name], number[told]))
    sources, targets = np.array(edges).T
    return list(number), pp.graph.Graph.from_edges(pp.par, sources, targets, n=len(number), directed=True)


def draw(names, rank, file):
    """The packages whose modules rank highest together."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    total = {}
    for name, share in zip(names, rank.tolist(), strict=True):
        total[name.split(".")[0]] = total.get(name.split(".")[0], 0.0) + share
    best = sorted(total.items(), key=lambda item: item[1])[-25:]
    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    axes.barh([name for name, _ in best], [share for _, share in best])
    axes.set_xlabel("PageRank of all modules of a package")
    figure.savefig(file, dpi=150)


def main(picture=None):
    names, g = graph(modules())
    rank = pp.graph.pagerank(pp.par, g, tolerance=1e-9, dangling="spread", dtype=np.float64)
    parts = pp.graph.strongly_connected_components(pp.par, g)
    circle = np.bincount(parts).argmax()
    print(f"{g.num_vertices} modules, {g.num_edges} imports")
    for v in np.argsort(-rank)[:15]:
        print(f"{rank[v]:8.4f}  {names[v]}")
    print(f"the most modules that import each other in circles: {np.bincount(parts).max()}, such as {names[circle]}")
    if picture:
        draw(names, rank, picture)


if __name__ == "__main__":
    main(*sys.argv[1:2])
