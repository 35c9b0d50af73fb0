"""empty_like: room for intermediate results where an algorithm's data live."""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.call import make_out, resolve
from portapar.policy import Policy, check_policy


def empty_like(policy: Policy | None, x: Any, shape: int | tuple[int, ...] | None = None, dtype: Any = None) -> Any:
    """An uninitialised array of the kind of `x`: NumPy for NumPy, a device's own for a device's.

    Parameters
    ----------
    policy : Policy
    x : array
    shape : int or tuple of int, optional
        That of `x` by default.
    dtype : dtype, optional
        That of `x` by default.

    Returns
    -------
    array

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.empty_like(pp.par, np.zeros(5), (2, 3)).shape
    (2, 3)
    """
    x = arrays.normal(x, "x")
    shape = x.shape if shape is None else arrays.shape_of("empty_like", shape)
    dtype = x.dtype if dtype is None else arrays.dtype_of("empty_like", dtype)
    if type(x) is np.ndarray:  # wherever the policy would run it
        check_policy(policy, "empty_like")
        return np.empty(shape, dtype)
    return make_out(resolve(policy, (x,), "empty_like")[1])(shape, dtype, (x,))
