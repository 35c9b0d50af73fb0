"""nbody: what bodies pull each other, by all pairs or by a tree.

Sixteen bodies at a time, in vector lanes, are pulled by one after the other. With an opening angle bodies are put in
order along a Morton curve, with a binary tree of boxes around them, and what is far away pulls as one body at its
centre of mass. J. Barnes, P. Hut, "A hierarchical O(N log N) force-calculation algorithm", 1986; the criterion and the
bound of its error are those of J. K. Salmon, M. S. Warren, "Skeletons from the treecode closet", 1994.
"""

from __future__ import annotations

import numbers
from typing import Any, Final

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.find import find_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.points import (
    LEAF,
    NONE,
    Boxes,
    Curve,
    bounded,
    check_finite,
    check_points,
    check_squares,
)
from portapar.errors import ArgumentError, flags
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, check_policy

_LANES: Final = 16  #: bodies that are pulled at a time
_DEEP: Final = 64  #: boxes that wait: one for each level of the tree


def nbody(
    policy: Policy | None,
    positions: Any,
    masses: Any,
    *,
    softening: float = 0.0,
    theta: float = 0.0,
    potentials: bool = False,
) -> Any:
    """How bodies are accelerated by each other's gravity, with a gravitational constant of 1.

    Parameters
    ----------
    policy : Policy
    positions : array of float32 or float64, (n, 2) or (n, 3)
    masses : array of the same dtype, (n,)
        Not negative.
    softening : float
        The length e in the force ``m * d / (|d|**2 + e**2)**1.5``. Bodies at one place do not pull each other.
    theta : float
        The opening angle, from 0 below 1; 0 sums over all pairs.
    potentials : bool
        Return the potentials too.

    Returns
    -------
    accelerations : array, (n, 2) or (n, 3)
    potentials : array, (n,)
        If asked for: of each body ``-sum(m / sqrt(|d|**2 + e**2))`` over all others; those at one place only with a
        softening. With ``policy.task`` a Future of what is returned.

    Raises
    ------
    ArgumentError
        Wrong shapes, dtypes or values, or squares of distances that overflow.

    Notes
    -----
    The same bits on every executor. O(n**2) work by all pairs. With `theta` O(n log n): a box whose matter lies within
    b of its centre of mass, at a distance d from the box of a body with ``b < theta * d``, pulls as one body; without
    softening that is wrong by at most ``3 * theta**2 / (1 - theta)**2`` of ``m / d**2``, and much less in the mean: for
    5000 bodies in a cube and a theta of 0.5 by 0.4 % of the acceleration.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> positions = np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> pp.irregular.nbody(pp.par, positions, np.array([1.0, 8.0]))
    array([[ 2.  ,  0.  ],
           [-0.25, -0.  ]])
    """
    flags("irregular.nbody", potentials=potentials)
    name = "irregular.nbody"
    check_policy(policy, name)
    positions, masses = check_points(name, "positions", positions), arrays.normal(masses, "masses")
    n = len(positions)
    if getattr(masses, "shape", None) != (n,) or masses.dtype != positions.dtype:
        found = f"has shape {masses.shape} and dtype {masses.dtype}" if hasattr(masses, "dtype") else f"is {masses!r}"
        raise ArgumentError(f"{name}: masses {found}: must have shape ({n},) and dtype {positions.dtype}")
    widest = float(np.finfo(positions.dtype).max) ** 0.5 / 4
    for label, value, most in (("softening", softening, widest), ("theta", theta, 1)):
        if not isinstance(value, numbers.Real) or not 0 <= value < most:
            raise ArgumentError(f"{name}: {label} is {value!r}: must be a number from 0 below {most:.3g}")

    def carry_out(p: Parts) -> Any:
        part = p.alone()
        given = p.replicated(positions, "positions")[part], p.replicated(masses, "masses")[part]
        found = _pulls(part, name, *given, float(softening), float(theta), bool(potentials))
        found = tuple(map(arrays.asnumpy, found)) if p.kind == "numpy" else found
        return found if potentials else found[0]

    return parts.run(name, policy, (positions, masses), carry_out)


def _pulls(
    part: LocalPart, name: str, positions: Any, masses: Any, softening: float, theta: float, potentials: bool
) -> tuple[Any, ...]:
    (n, d), how, T = positions.shape, part.how, positions.dtype.type
    pull = part.empty((n, d), T)
    deep = part.empty(n, T) if potentials else None
    found = (pull, deep) if potentials else (pull,)
    if n == 0:
        return found
    low, high = bounded(how, name, "positions", positions)
    check_squares(name, "positions", low, high)
    check_finite(how, name, "masses", masses)
    at = int(find_if(how, masses, _negative))
    if at < n:
        raise ArgumentError(f"{name}: masses[{at}] is {arrays.asnumpy(masses[at : at + 1])[0]}: must not be negative")
    soft = T(softening) * T(softening)
    bodies = part.empty((n, 4), T)
    if not theta:
        for_each(how, n, _body, positions, masses, bodies)
        for_each(how._dealt(1), -(-n // _LANES), _all_pairs(T), soft, bodies, pull, deep)
        return found
    place = part.empty((n, 3), T)
    for_each(how, n, _in_space, positions, place)
    low, high = (np.concatenate([x, np.zeros(3 - d, T)]) for x in (low, high))
    _, order = Curve.through(low, high).sorted(part, place)
    tree = Boxes.around(part, place, order)
    leaves = tree.leaves
    heavy, centres = part.empty((leaves, LEAF), T), part.empty((2 * leaves, 5), T)
    for_each(how, leaves, _weigh, leaves, tree.points, tree.order, masses, heavy, tree.bounds, centres)
    level = leaves // 2
    while level:
        for_each(how, level, _join, level, tree.bounds, centres)
        level //= 2
    for_each(
        how._dealt(4), -(-n // LEAF), _by_tree(T), soft, T(theta), leaves, tree.points, heavy, tree.order, tree.bounds,
        centres, pull, deep,
    )  # fmt: skip
    return found


# kernels ------------------------------------------------------------------------------------------


def _negative(m: Any) -> Any:
    return m < 0


def _body(i: Any, positions: Any, masses: Any, bodies: Any) -> None:
    """A row of four; in the plane the third is 0."""
    for a in range(positions.shape[1]):
        bodies[i, a] = positions[i, a]
    if positions.shape[1] == 2:
        bodies[i, 2] = 0
    bodies[i, 3] = masses[i]


def _in_space(i: Any, positions: Any, place: Any) -> None:
    for a in range(positions.shape[1]):
        place[i, a] = positions[i, a]
    if positions.shape[1] == 2:
        place[i, 2] = 0


def _all_pairs(T: Any) -> Any:
    def all_pairs(b: Any, soft: Any, bodies: Any, pull: Any, deep: Any) -> None:
        n = len(bodies)
        x, y, z = np.empty(_LANES, T), np.empty(_LANES, T), np.empty(_LANES, T)
        ax, ay, az = np.zeros(_LANES, T), np.zeros(_LANES, T), np.zeros(_LANES, T)
        phi = np.zeros(_LANES, T)
        first = _LANES * b
        for t in range(_LANES):
            i = min(first + t, n - 1)
            x[t], y[t], z[t] = bodies[i, 0], bodies[i, 1], bodies[i, 2]
        for j in range(n):
            bx, by, bz, m = bodies[j, 0], bodies[j, 1], bodies[j, 2], bodies[j, 3]
            for t in range(_LANES):
                dx, dy, dz = bx - x[t], by - y[t], bz - z[t]
                square = dx * dx + dy * dy + dz * dz + soft
                root = np.sqrt(square)
                w = m / (square * root) if square > 0 else T(0)
                ax[t] += w * dx
                ay[t] += w * dy
                az[t] += w * dz
                if deep is not None:
                    phi[t] += T(0) if j == first + t else w * square
        for t in range(min(_LANES, n - first)):
            pull[first + t, 0], pull[first + t, 1] = ax[t], ay[t]
            if pull.shape[1] == 3:
                pull[first + t, 2] = az[t]
            if deep is not None:
                deep[first + t] = -phi[t]

    return all_pairs


def _weigh(k: Any, leaves: Any, points: Any, order: Any, masses: Any, heavy: Any, bounds: Any, centres: Any) -> None:
    """The centre of mass of a leaf, its mass, and how far away from there the box reaches."""
    v, total = leaves + k, masses[0] * 0
    for t in range(LEAF):
        i = order[LEAF * k + t]
        m = masses[0] * 0
        if i != NONE:
            m = masses[np.uint64(i)]
        else:
            for a in range(3):
                points[k, a, t] = 0
        heavy[k, t] = m
        total += m
    for a in range(3):
        moment = total * 0
        for t in range(LEAF):
            moment += heavy[k, t] * points[k, a, t]
        centres[v, a] = moment / total if total > 0 else total * 0
    centres[v, 3] = total
    _reach(v, bounds, centres)


def _join(k: Any, level: Any, bounds: Any, centres: Any) -> None:
    v = level + k
    one, other = centres[2 * v, 3], centres[2 * v + 1, 3]
    total = one + other
    for a in range(3):
        moment = one * centres[2 * v, a] + other * centres[2 * v + 1, a]
        centres[v, a] = moment / total if total > 0 else total * 0
    centres[v, 3] = total
    _reach(v, bounds, centres)


def _reach(v: Any, bounds: Any, centres: Any) -> None:
    """The square of the distance of the farthest corner."""
    square = centres[v, 3] * 0
    for a in range(3):
        off = max(centres[v, a] - bounds[v, a], bounds[v, 3 + a] - centres[v, a])
        square += off * off
    centres[v, 4] = square


def _by_tree(T: Any) -> Any:
    def by_tree(
        b: Any,
        soft: Any,
        theta: Any,
        leaves: Any,
        points: Any,
        heavy: Any,
        order: Any,
        bounds: Any,
        centres: Any,
        pull: Any,
        deep: Any,
    ) -> None:
        """All that pulls the bodies of one leaf."""
        waiting = np.empty(_DEEP, np.int32)
        x, y, z = np.empty(LEAF, T), np.empty(LEAF, T), np.empty(LEAF, T)
        ax, ay, az = np.zeros(LEAF, T), np.zeros(LEAF, T), np.zeros(LEAF, T)
        phi = np.zeros(LEAF, T)
        for t in range(LEAF):
            x[t], y[t], z[t] = points[b, 0, t], points[b, 1, t], points[b, 2, t]
        waiting[0], count = 1, 1
        while count > 0:
            count -= 1
            v = np.int64(waiting[count])
            if centres[v, 3] > 0:
                square = soft * 0
                for a in range(3):
                    c = centres[v, a]
                    off = max(max(bounds[leaves + b, a] - c, c - bounds[leaves + b, 3 + a]), soft * 0)
                    square += off * off
                far = centres[v, 4] < theta * theta * square
                if not far and v < leaves:
                    waiting[count], waiting[count + 1] = 2 * v + 1, 2 * v
                    count += 2
                else:
                    for s in range(1 if far else LEAF):
                        bx, by, bz, m = centres[v, 0], centres[v, 1], centres[v, 2], centres[v, 3]
                        own = -1
                        if not far:
                            k = v - leaves
                            bx, by, bz, m = points[k, 0, s], points[k, 1, s], points[k, 2, s], heavy[k, s]
                            own = s if k == b else -1
                        for t in range(LEAF):
                            dx, dy, dz = bx - x[t], by - y[t], bz - z[t]
                            square = dx * dx + dy * dy + dz * dz + soft
                            root = np.sqrt(square)
                            w = m / (square * root) if square > 0 else T(0)
                            ax[t] += w * dx
                            ay[t] += w * dy
                            az[t] += w * dz
                            if deep is not None:
                                phi[t] += T(0) if t == own else w * square
        for t in range(LEAF):
            i = order[LEAF * b + t]
            if i != NONE:
                pull[np.uint64(i), 0], pull[np.uint64(i), 1] = ax[t], ay[t]
                if pull.shape[1] == 3:
                    pull[np.uint64(i), 2] = az[t]
                if deep is not None:
                    deep[np.uint64(i)] = -phi[t]

    return by_tree
