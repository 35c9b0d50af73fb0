"""From a Python function to the text of a program.

==============  ====================================================================
`sources`       finding the source of a function or lambda
`kernel`        a kernel: its lifted source, what it captures, what must still hold
`constants`     expressions of constants alone
`names`         what the names in a kernel stand for
`functions`     functions of math, cmath and NumPy that renderers do not have
`remedies`      what to write instead of what kernels cannot use
`walrus`        assignments inside of expressions
`calls`         what the calls in a kernel become
`lift`          checking a function and writing it anew with its captures as arguments
`unroll`        loops over tuples, written out; over enumerate, zip and reversed, by indices
`generators`    sums and extrema of generators, as loops
`aliases`       sets of the parts of arrays that a value may be
`shapes`        tuples with names, and what is taken apart, joined or cut of tuples, written out
`tuples`        items of tuples that a body writes
`access`        how a kernel uses its arrays
`reach`         which rows of its arrays an iteration reads and writes: by running it abstractly
`reached`       and how that is told
`races`         writes that iterations may do to one place at the same time
`narrow`        sums of narrow integers that wrap unseen
`checked`       kernels that test their indices
`rows`          rows of arrays as loops over their elements
`row_numbers`   what takes rows and gives numbers
`sharing`       which names share memory
`row_copies`    rows that have arrays of their own
`row_forms`     lengths and templates of rows, folds over them
`templates`     the elements of a row, as code
`symmetry`      operators that give the same for both orders
`unassigned`    variables without a value where they are read: refused, or told
`fuse`          lazy inputs put into the kernels that read them
`single_store`  bodies that end by storing one result at their own index
`trees`         syntax trees: copies, small pieces, and what is asked of them
`text`          kernels and a form's glue as one text
`bounds`        indices that are not negative, by one test for a loop
`interior`      conditions on indices, as they are but for the ends of a space
`intervals`     interval arithmetic on the text of expressions
`codec`         records and tuples as what kernels compute with
`atomic`        ``pp.atomic.*``
`private`       small arrays of a kernel's own
==============  ====================================================================
"""
