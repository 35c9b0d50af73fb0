"""Worklist: what is still to be done, found while doing it; for frontiers of graphs and other irregular work.

Level-synchronous: the items of the present frontier are worked on in parallel, and what they push is the
next frontier. Pushing is an atomic addition to the length and a store, so that the order of a frontier's
items is that of chance; a result that does not depend on it is the same on every executor. Method: the two
queues of Leiserson, Schardl, "A work-efficient parallel breadth-first search algorithm", 2010, each in one
array as in Merrill, Garland, Grimshaw, "Scalable GPU graph traversal", 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.bodies import captures
from portapar.call import resolve
from portapar.errors import DeviceMemoryError, KernelError, PlacementError
from portapar.executor import Executor
from portapar.kernel.front import atomic
from portapar.kernel.front.lift import lift
from portapar.kernel.front.sources import function
from portapar.parts import Parts
from portapar.policy import Policy, par


def push(items: Any, tail: Any, value: Any) -> None:
    """Put a value at the end of a list; for kernels.

    Parameters
    ----------
    items : array
        Where the values are.
    tail : array of int64
        How many there are, in element 0; goes on counting when `items` is full, where nothing is stored.
    value : number
    """
    place = atomic.add(tail, 0, 1)
    if place < len(items):
        items[place] = value


class Worklist:
    """Items to work on, and those that the work finds, to be worked on next.

    Parameters
    ----------
    where : Policy or Executor
        Where it lives, and the policy of `for_each` where that is given none.
    capacity : int
        Items in one frontier at most.
    dtype : data-type, optional
        Of an item.

    Attributes
    ----------
    items, tail : array
        What `push` puts the next frontier's items into.

    Notes
    -----
    A step costs O(items) and the work of its body, whatever `capacity` is; memory is two times `capacity`.

    Of several parts (hybrids, ranks) each works on its share of the frontier, and pushes to a list of its own where
    they share no memory; these are put one after the other, told to all. Ranks must add the same values. There a body
    must not use what `pp.atomic` gives back, which counts what other parts do: it reads what was found in earlier
    steps, and lowers what is found in this one by `pp.atomic.min`, in another array. Items may then be there twice.

    Examples
    --------
    Breadth-first search: `depth` of every vertex of a graph in the CSR format, whose vertex v has the edges
    ``starts[v]`` to ``starts[v + 1]``.

    >>> import numpy as np, portapar as pp
    >>> def visit(v, items, tail, starts, targets, depth, level):
    ...     for edge in range(starts[v], starts[v + 1]):
    ...         w = targets[edge]
    ...         if pp.atomic.cas(depth, w, -1, level) == -1:
    ...             pp.push(items, tail, w)
    >>> def bfs(policy, starts, targets, source):
    ...     depth = np.full(len(starts) - 1, -1)
    ...     depth[source] = level = 0
    ...     work = pp.Worklist(policy, len(depth))
    ...     work.add(source)
    ...     while work.swap():
    ...         level += 1
    ...         work.for_each(policy, visit, starts, targets, depth, level)
    ...     return depth
    >>> starts, targets = np.array([0, 2, 4, 6, 8]), np.array([1, 2, 0, 3, 0, 3, 1, 2])
    >>> bfs(pp.par, starts, targets, 0)
    array([0, 1, 1, 2])
    """

    def __init__(self, where: Policy | Executor, capacity: int, dtype: Any = np.int64) -> None:
        self._how, self.executor = resolve(where if isinstance(where, Policy) else par.on(where), (), "Worklist")
        self._shared = len(self.executor.members) > 1  #: its parts work on shares of one frontier, in the host's memory
        self.capacity = arrays.whole_number("Worklist: capacity", capacity)
        self.dtype = arrays.dtype_of("Worklist", dtype)
        place = np.empty if self._shared else self.executor.empty
        self._now, self.items = (place(self.capacity, self.dtype) for _ in range(2))
        self._length = 0
        self._reset()

    def __len__(self) -> int:
        """Items in the present frontier."""
        return self._length

    def __repr__(self) -> str:
        return f"pp.Worklist({self._length} of at most {self.capacity} items, {self.dtype}, on={self.executor!r})"

    @property
    def frontier(self) -> np.ndarray:
        """The present frontier, in the order of chance; a copy on the host."""
        return np.array(arrays.asnumpy(self._now)[: self._length])

    def add(self, values: Any) -> None:
        """Put values into the next frontier from outside of kernels.

        Parameters
        ----------
        values : number or one-dimensional array_like

        Raises
        ------
        DeviceMemoryError
            There is no room; nothing is added.
        """
        found = np.atleast_1d(np.asarray(values))
        if found.ndim != 1 or not np.can_cast(found.dtype, self.dtype, "same_kind"):
            raise PlacementError(
                f"Worklist.add: values have shape {found.shape} and dtype {found.dtype}: must be a number or a "
                f"one-dimensional array of {self.dtype}"
            )
        count = self._pushed()
        if count + len(found) > self.capacity:
            raise self._full(count + len(found), "Nothing was added.")
        if self._shared:
            self.items[count : count + len(found)] = found
            self.tail[0] = count + len(found)
        elif len(found):
            for_each(self._device, len(found), _put, self.items, self.tail, found.astype(self.dtype), count)

    def swap(self) -> int:
        """Make the next frontier the present one, and the next one empty.

        Returns
        -------
        int
            Items of the present frontier: 0 when there is nothing left to do.
        """
        self._length = self._pushed()
        self._now, self.items = self.items, self._now
        self._reset()
        return self._length

    def for_each(self, policy: Policy | None, body: Any, *args: Any) -> Any:
        """Call ``body(item, items, tail, *args)`` for every item of the present frontier, in any order.

        Parameters
        ----------
        policy : Policy
            ``schedule="dynamic"`` suits items of unequal work. Without an executor it runs where the work lives.
        body : callable
            A kernel; ``pp.push(items, tail, value)`` puts a value into the next frontier.
        *args : array or number
            Passed on to `body`. On a device, arrays that many steps need should live there:
            ``executor.asarray(x)``.

        Returns
        -------
        None, or with ``policy.task`` a Future of None

        Raises
        ------
        DeviceMemoryError
            More was pushed than `capacity`. The next frontier is empty then, the present one as it was; what
            else `body` wrote stays.
        """
        kernel, _ = lift(body)
        wanted, given = len(kernel.params), 3 + len(args)
        if wanted != given:
            raise KernelError(
                f"Worklist.for_each: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
                f"and the call gives {given}: an item, items, tail, and {len(args)} more"
            )
        names = "".join(f", a{k}" for k in range(len(args)))
        text = f"def step(k, now, items, tail{names}): body(now[k], items, tail{names})"
        step = function(text, body=body)
        how = self._how if policy is None else policy
        how = how if how.executor is not None else how.on(self.executor)

        def carry_out(p: Parts) -> None:
            for_each(p.how, self._length, step, self._now, self.items, self.tail, *args)
            self._pushed()

        return parts.run("Worklist.for_each", how, (self._now,), carry_out, own=lambda: [x for _, x in captures(body)])

    @property
    def _device(self) -> Policy:
        return par.on(self.executor)

    def _reset(self) -> None:
        tail = np.zeros(1, np.int64)
        self.tail = tail if self._shared else self.executor.asarray(tail)

    def _pushed(self) -> int:
        """Items of the next frontier."""
        count = int(arrays.asnumpy(self.tail)[0])
        if count > self.capacity:
            self._reset()
            raise self._full(count, "The next frontier is empty now.")
        return count

    def _full(self, count: int, state: str) -> DeviceMemoryError:
        return DeviceMemoryError(
            f"Worklist: {count} items for the next frontier, and its capacity is {self.capacity}. {state} "
            f"Make it with a larger capacity, or push every item once"
        )


def _put(k: Any, items: Any, tail: Any, values: Any, first: Any) -> None:
    items[first + k] = values[k]
    if k == 0:
        tail[0] = first + len(values)
