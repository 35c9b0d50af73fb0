"""How a function of networkx is registered here: what it fits, and what becomes of other calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from portapar.errors import ArgumentError
from portapar.networkx.graphs import Converted, Unsupported, unread

_SMALL = 500  #: nodes of a graph for which networkx is as fast

FUNCTIONS: dict[str, Served] = {}  #: by name


@dataclass(frozen=True)
class Served:
    """A function of networkx.

    Attributes
    ----------
    call : callable
        The function, of a `Converted` graph and networkx's own arguments.
    kind : {"any", "directed", "undirected"}
        Of graphs that it takes.
    fits : callable, optional
        Whether other arguments, by name, are such that it takes them.
    light : bool or callable
        Networkx is done before the graph is converted: worth it for a converted graph only. Or what tells, of the
        arguments, whether networkx is done so soon that it is not worth it at all.
    """

    name: str
    body: Callable[..., Any]
    kind: str
    fits: Callable[..., bool] | None
    light: bool | Callable[..., bool]

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.body)

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        return {name: x.default for name, x in self.signature.parameters.items()}

    def given(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """Arguments by name, with their defaults; TypeError as of a call."""
        found = self.defaults | dict(zip(self.defaults, args, strict=False)) | kwargs
        if len(found) > len(self.defaults) or len(args) > len(found) or inspect.Parameter.empty in found.values():
            self.signature.bind(*args, **kwargs)  # says what is wrong
        if not kwargs.keys().isdisjoint(list(self.defaults)[: len(args)]):
            self.signature.bind(*args, **kwargs)
        return found

    def refuses(self, args: Any, kwargs: Any) -> str:
        """Why a call is left to networkx; empty if it is not."""
        try:
            given = self.given(args, kwargs)
        except TypeError as error:
            return str(error)
        graph = given.pop("G")
        if not isinstance(graph, Converted) and (why := unread(graph)):
            return why
        if self.kind != "any" and graph.is_directed() != (self.kind == "directed"):
            return f"the graph is {'' if graph.is_directed() else 'not '}directed"
        if self.fits is not None and not self.fits(graph, **given):
            return "these arguments are networkx's"
        return ""

    def __call__(self, G: Converted, *args: Any, **kwargs: Any) -> Any:
        if len(G) and not self.refuses((G, *args), kwargs):
            try:
                return self.body(G, *args, **kwargs)
            except (Unsupported, ArgumentError):  # networkx may do it, or say in its own words why not
                pass
        return self._by_networkx(G.origin, *args, **kwargs)

    def _by_networkx(self, graph: Any, *args: Any, **kwargs: Any) -> Any:
        from networkx.utils import backends

        return backends._registered_algorithms[self.name].orig_func(graph, *args, **kwargs)


def served(
    kind: Literal["any", "directed", "undirected"] = "any", fits: Callable[..., bool] | None = None,
    light: bool | Callable[..., bool] = False,
) -> Callable[[Callable[..., Any]], Served]:  # fmt: skip
    """Register a function by its name."""

    def register(body: Callable[..., Any]) -> Served:
        made = FUNCTIONS[body.__name__] = Served(body.__name__, body, kind, fits, light)
        return made

    return register


def can_run(name: str, args: Any, kwargs: Any) -> bool | str:
    """True, or why a graph cannot be converted; a call that is not done here is networkx's own, see `Served`."""
    graph = args[0] if args else kwargs["G"]
    return True if isinstance(graph, Converted) else unread(graph) or True


def should_run(name: str, args: Any, kwargs: Any) -> bool | str:
    """True, or why networkx does it, or is likely as fast."""
    if why := FUNCTIONS[name].refuses(args, kwargs):
        return why
    graph = args[0] if args else kwargs["G"]
    if isinstance(graph, Converted):
        return True
    if len(graph) < _SMALL:
        return "the graph is small"
    function = FUNCTIONS[name]
    if callable(function.light):
        light = function.light(**function.given(args, kwargs))
    else:
        cache = getattr(graph, "__networkx_cache__", None) or {}
        light = function.light and not cache.get("backends", {}).get("portapar")
    return "networkx is done sooner" if light else True


def soon(G: Any, **others: Any) -> bool:
    """Whether networkx is done soon, since it looks at all edges once, which are few."""
    return len(G) < 4 * _SMALL


def early(**others: Any) -> bool:
    """Of functions of which networkx ends as soon as it has found something."""
    return True
