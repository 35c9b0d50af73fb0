"""Numba's passes one after the other, without what it does between them for tools and for passes of others.

After each pass Numba finds out anew where variables live, tells its event listeners, and looks for what a pass must not
leave behind. The passes that are used here do the first themselves where they need it, and nobody listens.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from typing import Any

from numba.core import errors, untyped_passes
from numba.core.compiler_machinery import PassManager, _pass_registry

#: what is for statements that kernels cannot have: `with`, `raise`, nested functions, isinstance(), Numba's own names
_IDLE = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.InlineInlinables,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
}


class Passes(PassManager):
    """A pipeline of these (pass, description); `whole` where its functions are not kernels."""

    def __init__(self, name: str, passes: Iterable[tuple[Any, str]], whole: bool = False) -> None:
        super().__init__(name)
        self.passes = [step for step in passes if whole or step[0] not in _IDLE]
        self.finalize()

    def run(self, state: Any) -> None:
        for step, text in self.passes:
            instance = _pass_registry.get(step).pass_inst
            instance.analysis = self._analysis
            try:
                instance.run_initialization(state)
                instance.run_pass(state)
                instance.run_finalizer(state)
            except errors.NumbaError as error:
                self._patch_error(f"Failed in {self.pipeline_name} mode pipeline (step: {text})", error)
                raise


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Nothing of what a compiler makes is garbage before it has done: Python need not look."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
