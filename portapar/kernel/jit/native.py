"""Machine code for the CPU: compiled by Numba once, kept as object code, loaded without Numba.

A native function here has C linkage, arguments of 64 bits each (integers and addresses), and an
int64 result. A second process loads the object code with llvmlite alone, so that a cached kernel
starts faster than Numba itself can be imported.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from portapar import cache, config, forks
from portapar.errors import KernelError
from portapar.kernel.interrupts import held_back
from portapar.kernel.jit import vecmath
from portapar.kernel.jit.narrowing import narrowed

_lock = forks.lock()
_RESULT = ctypes.create_string_buffer(64)


@functools.cache
def _target() -> str:
    """What object code depends on besides its source: the CPU, the compilers, and our own renderers."""
    from importlib.metadata import version

    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    versions = [version(name) for name in ("llvmlite", "numba", "numpy")]
    return "|".join((llvm.get_host_cpu_name(), features, *versions, *vecmath.vectors(features).values(), renderers()))


@functools.cache
def slow_gathers() -> bool:
    """Whether the CPU gathers more slowly than it loads one number at a time, as all of AMD's do up to Zen 5."""
    import llvmlite.binding as llvm

    return bool(llvm.get_host_cpu_name().startswith("znver"))


@functools.cache
def renderers() -> str:
    """A digest of the front end and the renderers: other sources, other code."""
    from pathlib import Path

    files = sorted(Path(__file__).parent.parent.rglob("*.py"))
    return config.digest(b"".join(file.read_bytes() for file in files), 8).hex()


@functools.cache
def _engine() -> Any:
    """The engine that holds loaded object code for the life of the process."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), jit=True
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def native(key: str, make: Callable[[], Any], arity: int, direct: bool = False) -> Callable[..., int]:
    """A native function of `arity` 64-bit arguments, from the cache or compiled now.

    Parameters
    ----------
    key : str
        Names the source and the types: equal keys mean equal code.
    make : callable
        Gives the Python function to compile when it is not cached.
    arity : int
        How many int64 arguments it takes.
    direct : bool
        It returns its result itself, as functions of C do; only native code and Python may call it then, by its
        ``address``.

    Returns
    -------
    callable
        A ctypes function; calling it releases the GIL. Its ``address`` attribute is for native callers.
    """
    digest = config.digest(f"{key}|{_target()}".encode(), 20).hex()
    name = f"{digest}.o"
    payload = cache.load(name)
    if payload is not None:
        with _lock:
            return _callable(_load(payload), arity)
    with cache.alone(name), _lock:  # in this order: other threads can load while this one waits
        payload = cache.load(name, counts=False)  # another process had it in work
        if payload is not None:
            return _callable(_load(payload), arity)
        import numba  # noqa: F401  as a whole first

        with held_back():
            address, symbol, code, helpers = compile_native(make(), arity, direct)
        header = f"{symbol} {'numba' if helpers else 'libc'}".encode()
        cache.store(name, header + b"\n" + code)
    return _callable(address, arity)


def _load(payload: bytes) -> int:
    header, _, code = payload.partition(b"\n")
    symbol, needs = header.decode().split()
    if needs == "numba":
        _helpers()
    return _added(code, symbol)


@functools.cache
def _helpers() -> None:
    """Tell LLVM of Numba's helper functions, which code calls by their names; Numba does so when it compiles."""
    import llvmlite.binding as llvm
    import numba  # noqa: F401  as a whole first
    from numba import _helperlib

    for name, address in _helperlib.c_helpers.items():
        llvm.add_symbol(f"numba_{name}", address)


def _added(code: bytes, symbol: str) -> int:
    """The address of a function in object code, which stays loaded."""
    import llvmlite.binding as llvm

    engine = _engine()
    with held_back():
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return int(engine.get_function_address(symbol))


def _callable(address: int, arity: int) -> Callable[..., int]:
    """Numba's own calling convention is C's with two pointers before the arguments."""
    result = ctypes.c_int64
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *[result] * (arity + 2))
    function = prototype(address)

    def call(*arguments: int) -> int:
        value = result()
        if function(ctypes.addressof(value), _SCRATCH, *arguments):
            raise failure()
        return value.value

    call.address = address  # type: ignore[attr-defined]
    call.raw = function  # type: ignore[attr-defined]
    return call


_SCRATCH = ctypes.addressof(_RESULT)


def failure(what: str = "a kernel") -> KernelError:
    """The error for native code that did not reach its end: nothing that a kernel may do should lead to it."""
    return KernelError(f"{what} stopped early, at what raises an exception in Python; its outputs are undefined")


def compile_native(function: Any, arity: int, direct: bool = False) -> tuple[int, str, bytes, bool]:
    """Compile `function` of int64 arguments: (address, symbol, object code, needs Numba's helpers)."""
    with _lock:
        library, symbol = lower(function, arity)
        symbol = _direct(library, symbol, arity) if direct else symbol
        code = library.codegen._tm.emit_object(library._final_module)
        address = _added(code, symbol)
        process = ctypes.CDLL(None)  # what any process has: libc, libm
        outside = [f.name for f in library._final_module.functions if f.is_declaration]
        helpers = any(not (name.startswith("llvm.") or hasattr(process, name)) for name in outside)
    return address, symbol, code, helpers


@functools.cache
def _callee_compiler(once: bool) -> Any:
    """Numba's pipeline, short of what only a caller in Python needs: wrappers and machine code.

    `once`: what LLVM does to callers is enough.
    """
    import numba  # noqa: F401  as a whole first
    from numba.core import compiler
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.compiler_machinery import register_pass
    from numba.core.typed_passes import NativeLowering, NopythonTypeInference

    from portapar.kernel.jit.inference import Inference
    from portapar.kernel.jit.lowering import Lower
    from portapar.kernel.jit.passes import Passes

    class LowerOnly(NativeLowering):
        _name = "portapar_lower_only"
        lowering_class = Lower

        def run_pass(self, state: Any) -> bool:
            flags = state.flags
            flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
            state.library = _library(state)
            if not once:
                _narrow(state.library)
            super().run_pass(state)
            _use_vector_math(state.library)
            _leave(state.library, once)
            lowered = state["cr"]
            entry = list[Any]().append  # callers know a function by its built-in entry point; this one is never called
            state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
            state["cr"] = lowered._replace(cfunc=entry)
            return True

    with global_compiler_lock:  # Numba looks through all passes
        register_pass(mutates_CFG=True, analysis_only=False)(LowerOnly)

    class Callee(compiler.CompilerBase):
        def define_pipelines(self) -> Any:
            (manager,) = compiler.Compiler.define_pipelines(self)
            ours = {NativeLowering: LowerOnly, NopythonTypeInference: Inference}
            return [Passes(manager.pipeline_name, [(ours.get(step, step), text) for step, text in manager.passes])]

    return Callee


def callee(function: Any, weak: tuple[int, ...] | None = (), once: bool = False, inline: bool = True) -> Any:
    """A Numba dispatcher for a function that other compiled functions call, and Python does not.

    As in C a division by zero gives inf, nan or 0 and no exception, on every backend. Its code becomes part of
    its callers', as on GPUs: a loop that keeps a call is not vectorized. `inline` is for what is not part of loops.

    `weak` are the places of arguments that are Python's numbers; None says that their types tell (`promotion`). Without
    LLVM's work on a function alone loops of it may be slower, and it is compiled in two thirds of the time: `once`.
    """
    import numba

    from portapar.kernel.jit.typing import typed_only

    function.weak = weak
    how = _callee_compiler(once)
    options = {"error_model": "numpy", "forceinline": inline, "pipeline_class": how, "_nrt": False}
    return typed_only(numba.njit(**options)(function))


@functools.cache
def _chunk_compiler() -> Any:
    """Numba's pipeline for functions that no other one calls."""
    import numba  # noqa: F401  as a whole first
    from numba.core import compiler
    from numba.core.compiler_machinery import register_pass
    from numba.core.typed_passes import NativeLowering

    from portapar.kernel.jit.loops import Lower
    from portapar.kernel.jit.passes import Passes

    @register_pass(mutates_CFG=True, analysis_only=False)
    class LowerWhole(NativeLowering):
        _name = "portapar_lower_whole"
        lowering_class = Lower

        def run_pass(self, state: Any) -> bool:
            state.library = _library(state)
            return bool(super().run_pass(state))

    class Chunk(compiler.CompilerBase):
        def define_pipelines(self) -> Any:
            (manager,) = compiler.Compiler.define_pipelines(self)
            passes = [(LowerWhole if step is NativeLowering else step, text) for step, text in manager.passes]
            return [Passes(manager.pipeline_name, passes)]

    return Chunk


def _library(state: Any) -> Any:
    """Where Numba puts LLVM's code of a function.

    LLVM looks at a library as a whole, and not at each function before, which takes time and makes no loop faster;
    but it must see a power with a simple exponent before that becomes a function of ours.
    """
    codegen = state.targetctx.codegen()
    library = codegen.create_library(state.func_id.func_qualname)
    each = library._optimize_functions

    def optimize(module: Any) -> None:
        module.data_layout = codegen._data_layout
        if vecmath.scalar(module):
            each(module)

    library._optimize_functions = optimize
    return library


def lower(function: Any, arity: int) -> tuple[Any, str]:
    """Numba's library and symbol for a function of `arity` int64 arguments that returns int64."""
    import numba  # noqa: F401  as a whole first
    from numba.core import compiler, types
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    from portapar.kernel.jit.passes import undisturbed

    typing, target = cpu_target.typing_context, cpu_target.target_context
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.nrt = False
    flags.enable_looplift = False
    with global_compiler_lock, undisturbed():
        arguments, how = (types.int64,) * arity, _chunk_compiler()
        result = compiler.compile_extra(typing, target, function, arguments, types.int64, flags, {}, pipeline_class=how)
        features = _use_vector_math(result.library)
        for inner in result.library._final_module.functions:  # LLVM knows all that calls it
            if not inner.is_declaration and inner.name != result.fndesc.llvm_func_name:
                inner.linkage = "internal"
        if getattr(function, "alone", False):
            _plain_updates(result.library)
        _optimize(result.library)
        result.library._final_module = vecmath.settled(result.library._final_module, features)
    return result.library, result.fndesc.llvm_func_name


def _direct(library: Any, symbol: str, arity: int) -> str:
    """Add a function that returns the result of another one, as C's do; its symbol."""
    import llvmlite.binding as llvm
    from llvmlite import ir

    word, module = ir.IntType(64), ir.Module()
    pointer, words = word.as_pointer(), [word] * arity
    inner = ir.Function(module, ir.FunctionType(ir.IntType(32), [pointer, pointer, *words]), symbol)
    outer = ir.Function(module, ir.FunctionType(word, words), "portapar_direct")
    builder = ir.IRBuilder(outer.append_basic_block())
    result, error = builder.alloca(word), builder.alloca(word)
    builder.call(inner, [result, error, *outer.args])
    builder.ret(builder.load(result))
    library._final_module.link_in(llvm.parse_assembly(str(module)))
    return outer.name


def _leave(library: Any, once: bool) -> None:
    """Let a library be as it is when it is finalized: only linked."""

    def finalize() -> None:
        library._finalize_dynamic_globals()
        library._finalized = True

    library._finalize_final_module = finalize
    if once:
        library._optimize_final_module = lambda: None


def _narrow(library: Any) -> None:
    """Let whole numbers be computed in fewer bits where these are enough, before others have the library's code."""
    import llvmlite.binding as llvm

    whole = library._optimize_final_module

    def optimize() -> None:
        whole()
        text = str(library._final_module)
        if (other := narrowed(text)) is not text:
            module = llvm.parse_assembly(other)
            module.name, library._final_module = library._final_module.name, module

    library._optimize_final_module = optimize


def _plain_updates(library: Any) -> None:
    """Let atomic operations be plain ones, for code that runs while no other code does."""
    passes, builder = library.codegen._module_pass_manager(opt=0, loop_vectorize=False, slp_vectorize=False)
    passes.add_lower_atomic_pass()
    passes.run(library._final_module, builder)


def _optimize(library: Any) -> None:
    """Numba's own two rounds, and in the second one LLVM also makes vectors of statements alike, as C compilers do."""
    codegen = library.codegen
    first = {"loop_vectorize": codegen._loopvect, "opt": codegen._opt_level, "cost": "cheap", "slp_vectorize": False}
    for options in (first, {"slp_vectorize": True}):
        passes, builder = codegen._module_pass_manager(**options)
        passes.run(library._final_module, builder)


def _use_vector_math(library: Any) -> str:
    """Link what a library of Numba calls, as it would do last, and replace scalar functions; the CPU's features."""
    for part in dict.fromkeys(library._linking_libraries):
        library._reload_init.update(part._reload_init)
        library._final_module.link_in(part._get_module_for_linking(), preserve=True)
    library._linking_libraries.clear()
    _, _, features = library.codegen.magic_tuple()
    library._final_module = vecmath.replaced(library._final_module, features)
    return str(features)
