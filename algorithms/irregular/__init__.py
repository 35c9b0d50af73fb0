"""Irregular work, ``pp.irregular``: what users call, and where it is.

==============  ========================================================================================================
`convex_hull`   convex_hull
`knn`           knn
`nbody`         nbody
`suffix_array`  suffix_array
`uts`           uts, Tree
`word_count`    word_count
==============  ========================================================================================================

Each is one source for every executor, in a file of its own. `points` looks at what is given, and puts points in order
along a curve; `cells` puts them into a grid.
"""

from portapar.algorithms.irregular.convex_hull import convex_hull
from portapar.algorithms.irregular.knn import knn
from portapar.algorithms.irregular.nbody import nbody
from portapar.algorithms.irregular.suffix_array import suffix_array
from portapar.algorithms.irregular.uts import Tree, uts
from portapar.algorithms.irregular.word_count import word_count
from portapar.policy import policy_first

__all__ = ["Tree", "convex_hull", "knn", "nbody", "suffix_array", "uts", "word_count"]

#: those that take a policy
ALGORITHMS = (convex_hull, knn, nbody, suffix_array, uts, word_count)
for _algorithm in ALGORITHMS:
    policy_first(_algorithm, "irregular.")


def __dir__() -> list[str]:
    return [*__all__]
