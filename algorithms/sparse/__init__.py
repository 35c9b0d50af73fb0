"""Sparse matrices, ``pp.sparse``: what users call, and where it is.

===========  ===========================================
`from_coo`   from_coo
`spgemm`     spgemm
`spmm`       spmm
`spmv`       spmv
`transpose`  transpose
`trisolve`   trisolve, levels, Levels
===========  ===========================================

Matrices are those of SciPy, in and out. `matrix` is what is taken for one, and what is wrong with one.
"""

from portapar.algorithms.sparse.from_coo import from_coo
from portapar.algorithms.sparse.spgemm import spgemm
from portapar.algorithms.sparse.spmm import spmm
from portapar.algorithms.sparse.spmv import spmv
from portapar.algorithms.sparse.transpose import transpose
from portapar.algorithms.sparse.trisolve import Levels, levels, trisolve
from portapar.policy import policy_first

__all__ = ["Levels", "from_coo", "levels", "spgemm", "spmm", "spmv", "transpose", "trisolve"]

#: those that take a policy
ALGORITHMS = from_coo, levels, spgemm, spmm, spmv, transpose, trisolve
for _algorithm in ALGORITHMS:
    policy_first(_algorithm, "sparse.")


def __dir__() -> list[str]:
    return [*__all__]
