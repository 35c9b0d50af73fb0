"""OpenCL C and CUDA C, from the typed IR.

=============  ==================================================================
`dialect`      what differs between OpenCL, CUDA and HIP, and nothing else does
`unit`         one text: types, records, helpers, constants
`graph`        the control flow of a function
`flow`         its statements in structured form
`text`         expressions and their parentheses
`vecmath`      functions of mathematics as text, for CPUs
`complexes`    functions of complex numbers as text
`intervals`    between which limits its integers lie
`operators`    operators and functions of numbers
`atomics`      atomic updates
`columns`      rows that become columns, by shuffles of vectors
`temporaries`  variables, and expressions that wait for their one use
`memory`       elements of arrays and fields of records
`function`     a function as C text
`entries`      the entries that run functions over a range, and their parameters
`reductions`   the entries that fold the tiles of a range
`program`      a program's whole text
`device`       what the devices that run C text share
=============  ==================================================================
"""
