"""Convex hull of points in the plane: Andrew's monotone chain, the lower and the upper one at the same time.

A. M. Andrew, "Another efficient algorithm for convex hulls in two dimensions", 1979.
"""

import numpy as np

import portapar as pp


def chain(upper, x, y, order, hull, count):
    """The lower (0) or upper (1) hull of points that are in the order of x."""
    sign = 1 - 2 * upper
    top = -1
    for k in range(len(order)):
        p = order[k]
        if top >= 0 and x[p] == x[hull[upper, top]]:
            if sign * y[p] >= sign * y[hull[upper, top]]:
                continue
            top -= 1
        while top > 0:
            b, a = hull[upper, top], hull[upper, top - 1]
            if sign * ((x[b] - x[a]) * (y[p] - y[a]) - (y[b] - y[a]) * (x[p] - x[a])) > 0:
                break
            top -= 1
        top += 1
        hull[upper, top] = p
    count[upper] = top + 1


def geometry_convex_hull(policy, x, y):
    """The indices of the vertices of the convex hull of the points (x[i], y[i]), collinear ones dropped."""
    order = pp.argsort(policy, x)
    hull = pp.empty_like(policy, order, (2, len(x)))
    count = pp.empty_like(policy, order, 2)
    pp.for_each(policy.with_(schedule="dynamic", chunk_size=1), 2, chain, x, y, order, hull, count)
    hull, (lower, upper) = pp.asnumpy(hull), pp.asnumpy(count)
    return np.unique(np.concatenate([hull[0, :lower], hull[1, :upper]]))  # both chains have the same ends
