"""Irregular work, ``pp.irregular``: what users call, and where it is.

==============  ========================================================================================================
`knn`           knn
==============  ========================================================================================================

Each is one source for every executor, in a file of its own. `points` looks at what is given, and puts points in order
along a curve.
"""

from portapar.algorithms.irregular.knn import knn

__all__ = ["knn"]

#: those that take a policy
ALGORITHMS = (knn,)


def __dir__() -> list[str]:
    return [*__all__]
