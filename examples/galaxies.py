"""Two galaxies that meet, by Barnes and Hut.

    python examples/galaxies.py [picture.png] [bodies] [steps]

Discs of stars, each around a heavy middle, fall past each other; what was far apart pulls as one body. With Matplotlib
the stars are drawn at four times.
"""

import sys

import numpy as np

import portapar as pp

SOFTENING, THETA, STEP = 0.1, 0.6, 0.01


def disc(rng, n, centre, velocity, turn):
    """Stars on circles around a middle of mass 1: positions, velocities, masses."""
    radius, angle = np.sqrt(rng.uniform(0.05, 1.0, n)), rng.uniform(0, 2 * np.pi, n)
    x = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), 0.02 * rng.normal(size=n)])
    speed = turn * np.sqrt((1 + 0.1 * radius**2) / radius)
    v = speed[:, None] * np.column_stack([-np.sin(angle), np.cos(angle), np.zeros(n)])
    x[0], v[0] = 0, 0
    masses = np.full(n, 0.1 / n)
    masses[0] = 1.0
    return x + centre, v + velocity, masses


def energy(x, v, masses, potentials):
    return 0.5 * (masses * ((v * v).sum(1) + potentials)).sum()


def draw(pictures, file):
    """The stars from above."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, all_axes = pyplot.subplots(1, len(pictures), figsize=(4 * len(pictures), 4), layout="constrained")
    for axes, (time, x) in zip(all_axes, pictures, strict=True):
        axes.scatter(*x[:, :2].T, s=0.3, c=np.arange(len(x)) < len(x) // 2, cmap="coolwarm", linewidths=0)
        axes.set(title=f"t = {time:.1f}", aspect="equal", xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[])
    figure.savefig(file, dpi=150)


def main(picture=None, bodies="20000", steps="600"):
    n, steps, rng = int(bodies) // 2, int(steps), np.random.default_rng(1)
    sides = disc(rng, n, (-1.5, -0.6, 0), (0.45, 0, 0), 1), disc(rng, n, (1.5, 0.6, 0), (-0.45, 0, 0), -1)
    x, v, masses = (np.concatenate(pair) for pair in zip(*sides, strict=True))

    def pulls():
        return pp.irregular.nbody(pp.par, x, masses, softening=SOFTENING, theta=THETA, potentials=True)

    pull, potentials = pulls()
    start, pictures = energy(x, v, masses, potentials), [(0.0, x.copy())]
    for step in range(1, steps + 1):  # leapfrog: half a kick, a drift, half a kick
        v += STEP / 2 * pull
        x += STEP * v
        pull, potentials = pulls()
        v += STEP / 2 * pull
        if step % max(1, steps // 3) == 0 and len(pictures) < 4:
            pictures.append((step * STEP, x.copy()))
    lost = abs(energy(x, v, masses, potentials) / start - 1)
    print(f"{2 * n} stars, {steps} steps: the energy is off by {lost:.1e}")
    if picture:
        draw(pictures, picture)


if __name__ == "__main__":
    main(*sys.argv[1:4])
