// The 40 problems of examples/pareval/ in serial C++: the algorithm that a good programmer would write for one
// thread, compiled with -O3 -march=native. One function for each problem, named after its file there; matrices
// are row by row. The files are one translation unit, so that one library holds all.
#include "common.hpp"

#include "dense.cpp"
#include "fft.cpp"
#include "geometry.cpp"
#include "graph.cpp"
#include "histogram.cpp"
#include "reduce.cpp"
#include "scan.cpp"
#include "search.cpp"
#include "sort.cpp"
#include "sparse.cpp"
#include "stencil.cpp"
#include "transform.cpp"
