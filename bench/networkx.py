"""``python -m bench.networkx``: functions of networkx through the backend, beside networkx's own.

Both get the same graphs of 10^5 nodes; the conversion is part of every call, since what is kept of the call before is
dropped. Functions of all pairs of nodes, which take networkx hours there, get smaller ones, and those that the backend
leaves to networkx unless the graph is converted already are left out. Results are compared in `tests/test_networkx.py`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx

from portapar.networkx.backend import FUNCTIONS, should_run

_FEW = 1000  #: nodes for functions of all pairs
_PAIRS = {
    "all_pairs_dijkstra_path_length", "all_pairs_shortest_path_length", "average_shortest_path_length", "center",
    "closeness_centrality", "diameter", "eccentricity", "floyd_warshall_numpy", "global_efficiency",
    "harmonic_centrality", "periphery", "radius", "wiener_index",
}  # fmt: skip


def made(n: int, directed: bool) -> Any:
    """A graph of n nodes and 8 n edges, in which small worlds' short cuts join neighbours on a circle."""
    graph = nx.connected_watts_strogatz_graph(n, 16, 0.1, seed=1)
    return nx.DiGraph(graph) if directed else graph


def given(name: str, graph: Any) -> tuple[Any, ...]:
    """The arguments besides the graph."""
    if name == "descendants_at_distance":
        return 0, 3
    if name.startswith(("ancestors", "bfs", "descendants", "node_connected", "single")):
        return (0,)
    if name == "has_path":
        return 0, 1
    if name in ("jaccard_coefficient", "adamic_adar_index", "preferential_attachment", "resource_allocation_index"):
        return (list(graph.edges),)
    if name == "katz_centrality":
        return (0.03,)  # below the inverse of the largest eigenvalue
    return (2,) if name == "betweenness_centrality" else ()


def seconds(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    begin = clock()
    result = call()
    if isinstance(result, Iterator):
        for _ in result:
            pass
    return clock() - begin


def measure(name: str, graph: Any, rounds: int, clock: Callable[[], float]) -> tuple[float, float]:
    """The least seconds of the backend, and of networkx."""
    ours, theirs, function, args = [], [], getattr(nx, name), given(name, graph)
    for turn in range(rounds + 1):  # the first compiles
        graph.__networkx_cache__.clear()
        ours.append(seconds(lambda: function(graph, *args, backend="portapar"), clock))
        if turn:
            theirs.append(seconds(lambda: function(graph, *args), clock))
    return min(ours[1:]), min(theirs)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.networkx", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--only", help="functions, with commas between")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="the time of all threads: for machines that do other work")
    asked = parser.parse_args(arguments)
    graphs: dict[tuple[int, bool], Any] = {}
    ratios = []
    clock = time.process_time if asked.cpu else time.perf_counter
    for name in asked.only.split(",") if asked.only else sorted(FUNCTIONS):
        key = (_FEW if name in _PAIRS else asked.nodes, FUNCTIONS[name].kind == "directed" or name == "ancestors")
        if key not in graphs:
            graphs[key] = made(*key)
        graphs[key].__networkx_cache__.clear()
        if not asked.only and should_run(name, (graphs[key], *given(name, graphs[key])), {}) is not True:
            continue
        ours, theirs = measure(name, graphs[key], asked.rounds, clock)
        ratios.append(theirs / ours)
        print(f"{name:38}{key[0]:8}{ours * 1e3:11.1f} ms {theirs * 1e3:11.1f} ms {ratios[-1]:8.1f}", flush=True)
    print(f"{'geometric mean':72}{statistics.geometric_mean(ratios):8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
