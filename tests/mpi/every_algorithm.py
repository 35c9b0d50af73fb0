"""Every algorithm on ranks: right, or refused in words by all of them; what lives on one rank is always right."""

import sys
from pathlib import Path

import numpy as np
import pytest

import portapar as pp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from every import EVERY, same

where = pp.mpi()


@pytest.mark.parametrize("name", EVERY)
def test_every_algorithm(name):
    call, expected = EVERY[name]
    for put in (where.asarray, np.copy):
        try:
            assert same(call(pp.par.on(where), put), expected)
        except pp.PlacementError as error:
            alone = where.group.size == 1 and put is not np.copy
            if alone or not any(part in str(error) for part in ("parts", "rows", "copies")):
                raise
