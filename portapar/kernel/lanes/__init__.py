"""Several neighbouring indices at a time, in lanes of vectors: what both renderers write for CPUs.

===========  ==============================================================
`functions`  what does strips of a program
`strips`     loops inside of an iteration, for several neighbouring indices
`steps`      what kinds of steps there are
`inner`      loops of a kernel's own, several rounds at a time
`crossed`    loops along rows of which each index has its own
`together`   iterations that may all load before one of them stores
`straight`   a program's functions as one
`kinds`      what kinds of numbers a kernel's variables are
===========  ==============================================================
"""
