"""Heat that spreads over a mesh of triangles: finite elements, by atomic sums that have the same bits in every run.

    python examples/heat_on_a_mesh.py [picture.png] [vertices]

A ring is hot inside and cold outside. Triangles add what they have to their vertices and edges, then in every step the
edges add what flows along them to their ends. Several add to one vertex at the same time, which pp.atomic.add allows,
and with ``deterministic=True`` what they add is summed in a fixed order. Needs SciPy, and Matplotlib for the picture.
"""

import sys

import numpy as np
from scipy.spatial import Delaunay

import portapar as pp

POLICY = pp.par.with_(deterministic=True)


def mesh(n):
    """Points of a ring from radius 0.3 to 1, its triangles, its edges, and the edge across from each corner."""
    rng = np.random.default_rng(1)
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(0.11, 0.96, n))
    around = np.linspace(0, 2 * np.pi, int(4 * n**0.5), endpoint=False)
    angle = np.concatenate([angle, around, around])
    radius = np.concatenate([radius, np.full(len(around), 0.3), np.ones(len(around))])
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    triangles = Delaunay(points).simplices.astype(np.int64)
    triangles = triangles[(points[triangles].mean(1) ** 2).sum(1) > 0.3**2]
    sides = np.sort(triangles[:, [[1, 2], [2, 0], [0, 1]]], axis=2).reshape(-1, 2)
    edges, number = np.unique(sides, axis=0, return_inverse=True)
    return points, radius, triangles, edges, number.reshape(-1, 3)


def assemble(t, points, triangles, across, mass, weights):
    """Linear elements: a third of the area for each corner, half the cotangent of its angle for the edge across."""
    for k in range(3):
        a, b, c = triangles[t, k], triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
        ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        vx, vy = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
        double = abs(ux * vy - uy * vx)
        pp.atomic.add(mass, a, double / 6)
        pp.atomic.add(weights, across[t, k], 0.5 * (ux * vx + uy * vy) / double)


def flow(e, edges, weights, heat, change):
    """What flows along an edge leaves one end and comes to the other."""
    a, b = edges[e, 0], edges[e, 1]
    amount = weights[e] * (heat[b] - heat[a])
    pp.atomic.add(change, a, amount)
    pp.atomic.sub(change, b, amount)


def spread(points, triangles, edges, across, held, steps):
    """The heat after so many steps."""
    mass, weights = np.zeros(len(points)), np.zeros(len(edges))
    pp.for_each(POLICY, len(triangles), assemble, points, triangles, across, mass, weights)
    rate = np.bincount(edges.ravel(), np.repeat(abs(weights), 2), len(points)) / mass
    step = 0.9 / np.median(rate)  # vertices where that is too large a step do as much as they may
    own = np.where(held >= 0, 0.0, np.minimum(step, 0.9 / rate) / mass)
    heat = np.where(held >= 0, held, 0.0)
    for _ in range(steps):
        change = np.zeros(len(points))
        pp.for_each(POLICY, len(edges), flow, edges, weights, heat, change)
        pp.transform(pp.par, heat, own, change, out=heat, op=lambda h, w, c: h + w * c)
    return heat


def draw(points, triangles, heat, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
    figure.colorbar(axes.tripcolor(*points.T, triangles, heat, shading="gouraud", cmap="inferno"))
    axes.set(aspect="equal", xticks=[], yticks=[])
    figure.savefig(file, dpi=150)


def main(picture=None, vertices="4000"):
    points, radius, triangles, edges, across = mesh(int(vertices))
    held = np.where(radius == 0.3, 1.0, np.where(radius == 1.0, 0.0, -1.0))
    steps = 4 * int(vertices)
    heat = spread(points, triangles, edges, across, held, steps)
    wrong = abs(heat - np.log(radius) / np.log(0.3)).max()  # of what it settles to
    short = [spread(points, triangles, edges, across, held, 20).tobytes() for _ in range(3)]
    print(f"{len(points)} vertices, {len(edges)} edges, {steps} steps: off by {wrong:.1e} at most")
    print(f"the same bits in every run: {len(set(short)) == 1}")
    if picture:
        draw(points, triangles, heat, picture)


if __name__ == "__main__":
    main(*sys.argv[1:3])
