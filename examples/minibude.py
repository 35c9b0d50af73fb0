"""Molecular docking: how strongly a small molecule binds to a protein, in many poses at once, one pose per index.

    python examples/minibude.py [poses] [executor ...]

A pose turns and moves the ligand as a rigid body. Its energy is a sum over all pairs of an atom of the ligand and one
of the protein, of three terms of the gap between the surfaces of the two (negative where they overlap), as in the
Bristol University Docking Engine: steric repulsion of atoms that overlap; charges, which fade out linearly within 2 or
4 Å; and the cost or gain of the water that is driven away, which fades out within 1 or 5.5 Å. The molecules are made
up. It runs on every executor here, and is compared with NumPy.

S. McIntosh-Smith, J. Price, R. B. Sessions, A. A. Ibarra, "High performance in silico virtual drug screening on
many-core processors", International Journal of High Performance Computing Applications 29(2), 2015.
"""

import math
import sys
import time
from typing import Final

import numpy as np

import portapar as pp

FORMAL: Final = 70  # an atom with a formal charge;
EITHER: Final = 69  # one that gives and takes hydrogen bonds, which always attract
HARDNESS: Final = np.float32(76)  # energy of two atoms whose centres meet
CHARGES: Final = np.float32(45)  # energy of two unit charges that touch
NEAR: Final = np.float32(2)  # where charges end,
FAR: Final = np.float32(4)  # and formal ones
WET: Final = np.float32(1)  # where the drive of water ends,
DRY: Final = np.float32(5.5)  # and between greasy atoms

ATOM = np.dtype([("x", "f4"), ("y", "f4"), ("z", "f4"), ("kind", "i4")])
KIND = np.dtype([("bonds", "i4"), ("radius", "f4"), ("water", "f4"), ("charge", "f4")])  # water: greasy below 0


def energy(i, poses, ligand, protein, kinds, energies):
    """The energy of pose `i`: three angles, then the place."""
    sx, cx = math.sin(poses[0, i]), math.cos(poses[0, i])
    sy, cy = math.sin(poses[1, i]), math.cos(poses[1, i])
    sz, cz = math.sin(poses[2, i]), math.cos(poses[2, i])
    total = np.float32(0)
    for k in range(len(ligand)):
        atom = ligand[k]
        a = kinds[atom.kind]
        x = poses[3, i] + atom.x * cy * cz + atom.y * (sx * sy * cz - cx * sz) + atom.z * (cx * sy * cz + sx * sz)
        y = poses[4, i] + atom.x * cy * sz + atom.y * (sx * sy * sz + cx * cz) + atom.z * (cx * sy * sz - sx * cz)
        z = poses[5, i] - atom.x * sy + atom.y * sx * cy + atom.z * cx * cy
        for m in range(len(protein)):
            other = protein[m]
            b = kinds[other.kind]
            touching = a.radius + b.radius
            part = 1 / touching
            fade = 1 / (FAR if a.bonds == FORMAL and b.bonds == FORMAL else NEAR)
            charge = CHARGES * a.charge * b.charge
            if a.bonds == EITHER or b.bonds == EITHER:
                charge = -abs(charge)
            dries = 1 / (DRY if a.water < 0 and b.water < 0 else WET)
            drive = abs(a.water - b.water) if a.water * b.water < 0 else a.water + b.water
            if b.water == 0 or (a.water >= 0 and b.water >= 0):
                drive = np.float32(0)

            dx, dy, dz = x - other.x, y - other.y, z - other.z
            distance = math.sqrt(dx * dx + dy * dy + dz * dz)
            gap = distance - touching
            total += HARDNESS * (1 - distance * part) if gap < 0 else np.float32(0)
            total += charge * (1 - max(gap, 0) * fade) if gap * fade < 1 else np.float32(0)
            total += drive * (1 - max(gap, 0) * dries) if gap * dries < 1 else np.float32(0)
    energies[i] = total / 2


def deck(poses, ligand=26, protein=938, kinds=34, seed=1):
    """Made-up molecules of as many atoms, and poses: the arguments of `energy`."""
    rng = np.random.default_rng(seed)
    table = np.zeros(kinds, KIND)
    table["bonds"] = rng.choice([0, FORMAL, EITHER], kinds, p=[0.6, 0.2, 0.2])
    table["radius"] = rng.uniform(1, 2.2, kinds)
    table["water"] = rng.choice([-1, 0, 1], kinds) * rng.uniform(0.2, 1.5, kinds)
    table["charge"] = rng.choice([0, 1], kinds) * rng.uniform(-1, 1, kinds)

    def molecule(count, size):
        """Atoms in a ball."""
        found = np.zeros(count, ATOM)
        way = rng.normal(size=(count, 3))
        way *= (size * rng.random(count) ** (1 / 3) / np.linalg.norm(way, axis=1))[:, None]
        found["x"], found["y"], found["z"] = way.T
        found["kind"] = rng.integers(0, kinds, count)
        return found

    size = 1.5 * protein ** (1 / 3)
    turns = rng.uniform(-np.pi, np.pi, (3, poses))
    places = rng.normal(size=(3, poses))
    places *= rng.uniform(size, size + 6, poses) / np.linalg.norm(places, axis=0)  # on its surface
    where = np.concatenate([turns, places]).astype(np.float32)
    return where, molecule(ligand, 5), molecule(protein, size), table, np.zeros(poses, np.float32)


def checked(poses, ligand, protein, kinds):
    """The same energies by NumPy, in double precision, an atom of the ligand at a time."""
    sx, sy, sz = np.sin(poses[:3].astype(float))
    cx, cy, cz = np.cos(poses[:3].astype(float))
    turn = np.array([
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ])  # fmt: skip
    b = kinds[protein["kind"]]
    total = np.zeros(poses.shape[1])
    for atom in ligand:
        a = kinds[atom["kind"]]
        place = poses[3:] + np.einsum("ijp,j->ip", turn, [atom[name] for name in "xyz"])
        distance = np.sqrt(sum((place[k][:, None] - protein[name]) ** 2 for k, name in enumerate("xyz")))
        gap = distance - a["radius"] - b["radius"]
        inside = np.maximum(gap, 0)
        total += np.sum(HARDNESS * np.maximum(0, -gap) / (a["radius"] + b["radius"]), 1)

        charge = CHARGES * a["charge"] * b["charge"]
        charge = np.where((a["bonds"] == EITHER) | (b["bonds"] == EITHER), -abs(charge), charge)
        reach = np.where((a["bonds"] == FORMAL) & (b["bonds"] == FORMAL), FAR, NEAR)
        total += np.sum(charge * np.maximum(0, 1 - inside / reach), 1)

        greasy = (a["water"] < 0).astype(int) + (b["water"] < 0)
        drive = a["water"] * np.where((a["water"] < 0) & (b["water"] > 0), -1, 1)
        drive = drive + b["water"] * np.where((b["water"] < 0) & (a["water"] > 0), -1, 1)
        drive = drive * ((greasy > 0) & (b["water"] != 0))
        total += np.sum(drive * np.maximum(0, 1 - inside / np.where(greasy == 2, DRY, WET)), 1)
    return total / 2


def main(poses="4096", *executors):
    arguments = deck(int(poses))
    *given, energies = arguments
    some = slice(0, 64)
    wanted = checked(given[0][:, some], *given[1:])
    for name in executors or [info.name for info in pp.available() if info.available and info.name != "mpi"]:
        where = pp.executor(name)
        placed = [where.asarray(x) for x in arguments]
        taken = []
        for _ in range(3):
            begin = time.perf_counter()
            pp.for_each(pp.par_unseq.on(where), len(energies), energy, *placed)
            where.synchronize()
            taken.append(time.perf_counter() - begin)
        found = pp.asnumpy(placed[-1])
        np.testing.assert_allclose(found[some], wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
        pairs = len(energies) * len(given[1]) * len(given[2])
        print(f"{name:10} {pairs / min(taken) / 1e9:7.3f} billion pairs of atoms a second")


if __name__ == "__main__":
    main(*sys.argv[1:])
