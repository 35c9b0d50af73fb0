"""Irregular work, ``pp.irregular``: what users call, and where it is.

==============  ========================================================================================================
`convex_hull`   convex_hull
`knn`           knn
`nbody`         nbody
`uts`           uts, Tree
==============  ========================================================================================================

Each is one source for every executor, in a file of its own. `points` looks at what is given, and puts points in order
along a curve.
"""

from portapar.algorithms.irregular.convex_hull import convex_hull
from portapar.algorithms.irregular.knn import knn
from portapar.algorithms.irregular.nbody import nbody
from portapar.algorithms.irregular.uts import Tree, uts

__all__ = ["Tree", "convex_hull", "knn", "nbody", "uts"]

#: those that take a policy
ALGORITHMS = (convex_hull, knn, nbody, uts)


def __dir__() -> list[str]:
    return [*__all__]
