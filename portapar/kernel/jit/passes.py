"""Numba's passes one after the other, without what it does between them for tools and for passes of others.

After each pass Numba finds out anew where variables live, tells its event listeners, and looks for what a pass must not
leave behind. The passes that are used here do the first themselves where they need it, and nobody listens.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from llvmlite.binding import ffi
from numba.core import errors, postproc, transforms, untyped_passes
from numba.core.compiler_machinery import PassManager, _pass_registry
from numba.core.registry import cpu_target
from numba.core.targetconfig import TargetConfig
from numba.core.typed_passes import IRLegalization, NopythonRewrites
from numba.core.types import BaseFunction

from portapar.cache import Bounded
from portapar.kernel.jit.unassigned import Mark

#: what is for statements that kernels cannot have: `with`, `raise`, nested functions, isinstance(), Numba's own names,
#: expressions of arrays; and for memory that is given back where a variable is no longer needed, which they never have
_IDLE = {
    IRLegalization,
    NopythonRewrites,
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
        if not whole:
            after = next(k for k, (step, _) in enumerate(self.passes) if step is untyped_passes.IRProcessing)
            self.passes.insert(after + 1, (Mark, "variables that may have no value"))
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
def undisturbed() -> Iterator[None]:
    """Numba's registries are looked through now, and not again at every turn; to be called under Numba's lock.

    Nothing of what a compiler makes is garbage before it has done: Python need not look. Nobody listens to the events
    that every call of LLVM is. Flags are compared by what was set in them, not one by one. Sizes of types are kept.
    Where variables live is found out only if somebody asks, and what a function returns for some types once.
    """
    typing, target = cpu_target.typing_context, cpu_target.target_context
    typing.refresh()
    target.refresh()
    listening = getattr(getattr(ffi.lib, "_lock", None), "_cblist", [])
    listeners = listening[:]
    enabled, values, process = gc.isenabled(), TargetConfig.values, postproc.PostProcessor.run
    called = BaseFunction.get_call_type
    if "load_additional_registries" in vars(target):  # a compilation inside of another one
        yield
        return
    gc.disable()
    listening.clear()
    TargetConfig.values, postproc.PostProcessor.run = _values, _processed
    BaseFunction.get_call_type = _called
    typing.load_additional_registries = lambda: None
    first = next(iter(target._registries))  # where Numba puts what it makes of intrinsics
    target.load_additional_registries = lambda: target.install_registry(first)
    target.get_abi_sizeof = _sizes(target)
    try:
        yield
    finally:
        del typing.load_additional_registries, target.load_additional_registries, target.get_abi_sizeof
        TargetConfig.values, postproc.PostProcessor.run = values, process
        BaseFunction.get_call_type = called
        listening[:0] = listeners
        if enabled:
            gc.enable()


@functools.cache
def _sizes(target: Any) -> Callable[[Any], int]:
    return functools.lru_cache(maxsize=4096)(target.get_abi_sizeof)


_process = postproc.PostProcessor.run


def _processed(self: Any, emit_dels: bool = False, extend_lifetimes: bool = False) -> None:
    function = self.func_ir
    if emit_dels or function.is_generator:  # a function of Numba's own
        _process(self, emit_dels, extend_lifetimes)
        return
    function.blocks = transforms.canonicalize_cfg(function.blocks)
    function.variable_lifetime, function.generator_info = postproc.VariableLifetime(function.blocks), None


_call = BaseFunction.get_call_type
_calls = Bounded()  #: signatures by function and types of arguments


def _called(self: Any, context: Any, args: Any, kws: Any) -> Any:
    key = self, tuple(args), *kws.items()
    found = _calls.get(key)
    if found is None:
        found = _call(self, context, args, kws)
        if found is not None:
            _calls[key] = found
    return found


def _values(flags: Any) -> dict[str, Any]:
    kind: Any = type(flags)
    return _defaults(kind) | flags._values


@functools.cache
def _defaults(kind: Any) -> dict[str, Any]:
    return {name: option.default for name, option in kind.options.items()}
