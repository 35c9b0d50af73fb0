/* STREAM in C with MPI: each rank holds its part of the arrays and runs the loops of stream_openmp.c on it
 * (one thread per rank unless stream_set_threads asks for more); only Dot communicates.
 *
 * The loops contain no barrier: as in McCalpin's MPI version, the barriers belong to whoever takes the time.
 */
#include <mpi.h>

#include "stream_openmp.c"

/* comm is the Fortran handle of the communicator, as mpi4py's Comm.py2f() gives it. */
real stream_dot_mpi(const real *restrict a, const real *restrict b, int64_t n, int comm)
{
    real sum = stream_dot(a, b, a, 0, n);
#ifdef STREAM_FLOAT
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_FLOAT, MPI_SUM, MPI_Comm_f2c(comm));
#else
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_Comm_f2c(comm));
#endif
    return sum;
}

/* The MPI that this library is bound to. A handle of another MPI would be garbage here. */
int stream_mpi_version(char *text) /* at least MPI_MAX_LIBRARY_VERSION_STRING (8192 is enough) bytes */
{
    int length = 0;
    return MPI_Get_library_version(text, &length);
}
