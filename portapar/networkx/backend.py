"""What networkx loads as its backend: two conversions, `can_run`, `should_run`, and every function by its name."""

from __future__ import annotations

from typing import Any

from portapar.networkx import centrality, pairs, search, structure
from portapar.networkx.graphs import convert_from_nx, convert_to_nx
from portapar.networkx.served import FUNCTIONS, can_run, should_run

__all__ = [
    "FUNCTIONS", "can_run", "centrality", "convert_from_nx", "convert_to_nx", "pairs", "search", "should_run",
    "structure",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    try:
        return FUNCTIONS[name]
    except KeyError:
        raise AttributeError(f"portapar has no {name} for networkx") from None


def __dir__() -> list[str]:
    return [*__all__, *FUNCTIONS]
