"""The control flow of a function as a graph: loops, dominators, and the order in which to write its blocks."""

from __future__ import annotations

from typing import Any

from numba.core import ir


def joined(blocks: dict[int, ir.Block]) -> dict[int, ir.Block]:
    """The blocks without those that nothing but one empty block leads to, which get what is in them.

    The header of a loop whose body takes many bytes of Python's code is such a one.
    """
    sources: dict[int, list[int]] = {}
    for label, block in blocks.items():
        for target in _targets(block.body[-1]):
            sources.setdefault(target, []).append(label)
    found = dict(blocks)
    for label in sorted(blocks, reverse=True):
        body = found[label].body
        if len(body) == 1 and isinstance(body[0], ir.Jump) and sources[body[0].target] == [label]:
            found[label] = found.pop(body[0].target)
    return found


class Graph:
    """The blocks of a function: their order, which dominates which, and the loops.

    Attributes
    ----------
    order : dict of int to int
        Reachable blocks in reverse postorder, each with its place in it.
    children : dict of int to list of int
        The dominator tree, in that order.
    loops : dict of int to set of int
        For every loop, by its header, the blocks in it.
    merges : set of int
        Blocks that are reached in more than one way from before.
    """

    def __init__(self, blocks: dict[int, ir.Block]) -> None:
        successors = {label: _targets(block.body[-1]) for label, block in blocks.items()}
        entry = min(blocks)
        self.entry = entry
        self.order = {label: k for k, label in enumerate(_reverse_postorder(entry, successors))}
        before: dict[int, list[int]] = {label: [] for label in self.order}
        for label in self.order:
            for target in successors[label]:
                before[target].append(label)
        self._parents = self._immediate_dominators(before)
        self.children: dict[int, list[int]] = {label: [] for label in self.order}
        for label in self.order:
            if label != entry:
                self.children[self._parents[label]].append(label)
        self.loops: dict[int, set[int]] = {}
        self.merges: set[int] = set()
        self.reducible = True
        for label, sources in before.items():
            back = [s for s in sources if self.order[s] >= self.order[label]]
            if len(sources) - len(back) > 1:
                self.merges.add(label)
            if back:
                self.reducible &= all(self.dominates(label, s) for s in back)
                body, work = {label}, list(back)
                while work:
                    block = work.pop()
                    if block not in body:
                        body.add(block)
                        work += before[block]
                self.loops[label] = body
        self._hoist()

    def _hoist(self) -> None:
        """Write what follows a loop behind it, even where it is a block inside that leads there.

        A single block (such as what comes before a `break`) stays where it is.
        """
        for label in reversed(self.order):
            parent = self._parents[label]
            left = [h for h, body in self.loops.items() if parent in body and label not in body]
            if left and (label in self.merges or self.children[label]):
                outermost = min(left, key=self.order.__getitem__)
                self.children[parent].remove(label)
                self.children[outermost].append(label)
                self.children[outermost].sort(key=self.order.__getitem__)

    def _immediate_dominators(self, before: dict[int, list[int]]) -> dict[int, int]:
        """Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001)."""
        parents = {self.entry: self.entry}
        changed = True
        while changed:
            changed = False
            for label in self.order:
                if label == self.entry:
                    continue
                known = [p for p in before[label] if p in parents]
                parent = known[0]
                for other in known[1:]:
                    while parent != other:
                        if self.order[parent] > self.order[other]:
                            parent = parents[parent]
                        else:
                            other = parents[other]
                changed |= parents.get(label) != parent
                parents[label] = parent
        return parents

    def size(self, label: int) -> int:
        """The number of blocks that a block dominates, itself among them."""
        found, work = 0, [label]
        while work:
            found += 1
            work += self.children[work.pop()]
        return found

    def dominates(self, label: int, other: int) -> bool:
        """Whether every way to `other` leads through `label`."""
        while other not in (label, self.entry):
            other = self._parents[other]
        return other == label


def _targets(last: Any) -> list[int]:
    if isinstance(last, ir.Branch):
        return [last.truebr, last.falsebr]
    return [last.target] if isinstance(last, ir.Jump) else []


def _reverse_postorder(entry: int, successors: dict[int, list[int]]) -> list[int]:
    found, seen = [], {entry}
    stack = [(entry, iter(successors[entry]))]
    while stack:
        label, rest = stack[-1]
        target = next((t for t in rest if t not in seen), None)
        if target is None:
            found.append(label)
            stack.pop()
        else:
            seen.add(target)
            stack.append((target, iter(successors[target])))
    return found[::-1]
