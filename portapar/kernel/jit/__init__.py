"""Numba's half: types for every renderer, and machine code for CPUs.

============  ==================================================================
`typing`      type inference: the only file that reads Numba's typing internals
`check`       what functions return, and compile errors in the user's terms
`functions`   a program's functions as Numba dispatchers
`native`      machine code: compiled once, cached as object code, loaded without Numba
`llvm`        atomics and private arrays, written as LLVM
`intrinsics`  hints, vector stores and the argument block, written as LLVM
`vecmath`     exp, sin, pow, … in vectors
============  ==================================================================
"""
