"""How far one gets from the middle of a town: shortest paths in a grid of streets, some of which are slow.

    python examples/roads.py [picture.png] [streets]

Every crossing has streets to its four neighbours. A drive along one takes 30 to 90 seconds, along each tenth row and
column 10, and there are no bridges over a river but two. The picture shows the minutes to each crossing, and the
fastest way to a corner. Needs Matplotlib for the picture.
"""

import sys

import numpy as np

import portapar as pp

NEVER = np.iinfo(np.int64).max


def town(n):
    """The streets between n × n crossings, with the seconds that each takes."""
    at = np.arange(n * n).reshape(n, n)
    seconds = np.random.default_rng(1).integers(30, 91, (2, n, n))
    seconds[0, ::10], seconds[1, :, ::10] = 10, 10
    east = at[:, :-1].ravel(), at[:, 1:].ravel(), seconds[0, :, :-1].ravel()
    north = at[:-1].ravel(), at[1:].ravel(), seconds[1, :-1].ravel()
    u, v, w = (np.concatenate(pair) for pair in zip(east, north, strict=True))
    river = (u // n == n // 3) & (v // n == n // 3 + 1) & ~np.isin(u % n, (n // 5, 4 * n // 5))
    return pp.graph.Graph.from_edges(pp.par, u[~river], v[~river], w[~river], n=n * n)


def way(streets, far, end):
    """Back along streets that are on a fastest way, to where it begins."""
    found = [end]
    while far[found[-1]] > 0:
        row = slice(*streets.offsets[found[-1] : found[-1] + 2])
        before, seconds = streets.targets[row], streets.weights[row]
        found.append(int(before[np.argmax(far[before] + seconds == far[found[-1]])]))
    return np.array(found[::-1])


def draw(far, path, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
    figure.colorbar(axes.imshow(far / 60, origin="lower", cmap="viridis"), label="minutes")
    axes.plot(path % len(far), path // len(far), color="white")
    axes.set(xticks=[], yticks=[])
    figure.savefig(file, dpi=150)


def main(picture=None, streets="300"):
    n = int(streets)
    roads = town(n)
    far = pp.graph.sssp(pp.par, roads, n // 2 * n + n // 2)
    pp.graph.verify_sssp(roads, n // 2 * n + n // 2, far)
    path = way(roads, far, 0)
    reached = int((far < NEVER).sum())
    print(f"{reached} of {n * n} crossings are reached, the last one in {far[far < NEVER].max() / 60:.0f} minutes")
    print(f"to the corner: {len(path) - 1} streets, {far[0] / 60:.1f} minutes")
    if picture:
        draw(far.reshape(n, n), path, picture)


if __name__ == "__main__":
    main(*sys.argv[1:3])
