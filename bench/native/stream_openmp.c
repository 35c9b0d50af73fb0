/* STREAM's four kernels (McCalpin) with BabelStream's Dot and NStream, in C with OpenMP.
 *
 * Every kernel takes (a, b, c, s, n): three arrays of n elements that do not overlap, and a scalar.
 *
 *     copy     c = a              scale    b = s*c            add      c = a + b
 *     triad    a = b + s*c        nstream  a += b + s*c       dot      returns the sum of a*b
 *
 * The element type is double, or float with -DSTREAM_FLOAT. Without -fopenmp the same source is the serial
 * version; -fopenmp-simd then still lets the compiler vectorize Dot.
 */
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef STREAM_FLOAT
typedef float real;
#else
typedef double real;
#endif

/* Handed to every region as a clause: omp_set_num_threads would change all OpenMP code of the process. */
static int threads = 1;

void stream_set_threads(int count) { threads = count > 0 ? count : 1; }

/* Ends the OpenMP workers, which otherwise spin for a while after each region, on the cores of whatever is
 * timed next. Returns 0 on success; the next region starts them anew. */
int stream_rest(void)
{
#if defined(_OPENMP) && (_OPENMP >= 201811 || __GNUC__ >= 9)
    return omp_pause_resource_all(omp_pause_soft);
#elif defined(_OPENMP)
    return 1;
#else
    return 0;
#endif
}

const char *stream_note(void) { return ""; }

/* The first touch of a page decides on which NUMA node it lies: the same threads as in the kernels do it. */
void stream_fill(real *restrict a, real value, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        a[i] = value;
}

void stream_copy(const real *restrict a, real *restrict b, real *restrict c, real s, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        c[i] = a[i];
}

void stream_scale(const real *restrict a, real *restrict b, const real *restrict c, real s, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        b[i] = s * c[i];
}

void stream_add(const real *restrict a, const real *restrict b, real *restrict c, real s, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        c[i] = a[i] + b[i];
}

void stream_triad(real *restrict a, const real *restrict b, const real *restrict c, real s, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

void stream_nstream(real *restrict a, const real *restrict b, const real *restrict c, real s, int64_t n)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i] + s * c[i];
}

real stream_dot(const real *restrict a, const real *restrict b, const real *restrict c, real s, int64_t n)
{
    real sum = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : sum) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}
