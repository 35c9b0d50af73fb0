"""From a Python function to native code, in four rooms: `front`, `jit`, and the renderers `cpu` and `c`.

`program` is what a call becomes, the text of its functions and the kinds of its arguments; `device` what runs programs;
`tiles` the order of reductions; `copies` what becomes of copies of an array; `places` where elements lie; `interrupts`
how Ctrl-C is heard. Every room imports only those before it (`cpu` and `c` do not know each other).
"""
