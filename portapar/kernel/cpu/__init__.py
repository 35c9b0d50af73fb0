"""The CPU: loops around a program, the threads that run them, and the device that both CPU backends share.

===========  ==============================================================
`chunk`      native code of the loop around a program
`texts`      that loop, as Python for Numba
`loops`      the loop nest of an index space
`quotients`  loops over indices that have one quotient
`listed`     loops over lists of indices, of which neighbours follow one another
`residues`   loops over indices of one residue
`choices`    conditional expressions as choices instead of branches
`rounds`     how often loops run
`registers`  private arrays in vector registers, and the order of loops over them
`jobs`       the native loops that hand out a job to threads
`pool`       the threads
`launch`     a program over one range, prepared once
`calls`      calls that look like earlier ones, told by native code
`privates`   copies of what is updated atomically, one for each thread
`memory`     large blocks that are used again
`device`     the device itself
===========  ==============================================================
"""
