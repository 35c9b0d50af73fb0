"""Numba's half: types for every renderer, and machine code for CPUs.

============  ==================================================================
`typing`      type inference: what Numba knows of a function, for every renderer
`messages`    what Numba says of a kernel that it cannot type, in the user's words
`promotion`   what operators and functions of numbers work on: NumPy's rules
`inference`   Numba's type inference with these
`numbers`     what they compute on CPUs, written as LLVM
`complexes`   of these the functions of complex numbers, in Python
`lowering`    Numba's lowering with these
`unassigned`  variables that are read where nothing was assigned to them
`loops`       ranges in loops, and hints on the loop before a call
`hindrances`  what makes a loop slow although it is right
`check`       what functions return, and compile errors in the user's terms
`passes`      the passes of Numba's pipelines, with nothing between them
`functions`   a program's functions as Numba dispatchers
`native`      machine code: compiled once, cached as object code, loaded without Numba
`narrowing`   whole numbers in as many bits as they need
`llvm`        atomics and private arrays, written as LLVM
`intrinsics`  hints, vector stores and the argument block, written as LLVM
`system`      words that threads share, clocks and CPUs, written as LLVM
`dicts`       dicts of dicts and lists of pairs, read by native code
`layout`      where NumPy's arrays keep what native code reads, looked at once
`vecmath`     exp, sin, pow, … in vectors
============  ==================================================================

It is imported when code has to be compiled, and as a whole before any part of it: threads that import parts of it at
the same time wait for each other in a circle, and Python then gives them modules that are not complete.
"""
