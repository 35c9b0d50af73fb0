/* The kernels of stream_openmp.c by hand, with AVX-512 or AVX2 intrinsics and streaming stores.
 *
 * A streaming (non-temporal) store writes a whole cache line without reading it first. That read is a third
 * of Copy's and Scale's traffic and a quarter of Add's and Triad's. It pays only where the arrays exceed the
 * last-level cache; below that size the same loops use plain stores.
 *
 * Each thread's part begins on a cache line of the array that is written; inputs may be unaligned. Without
 * either instruction set this is stream_openmp.c, and stream_note() says so.
 */
#if !defined(__AVX512F__) && !(defined(__AVX2__) && defined(__FMA__))
#define stream_note plain_note
#include "stream_openmp.c"
#undef stream_note
const char *stream_note(void) { return "no AVX-512 or AVX2 here: plain stores"; }
#else

#include <immintrin.h>
#include <stdint.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_thread_num() 0
#define omp_get_num_threads() 1
#endif

#if defined(__AVX512F__)
#define ISA "AVX-512"
#ifdef STREAM_FLOAT
typedef float real;
typedef __m512 vec;
#define OP(name) _mm512_##name##_ps
#else
typedef double real;
typedef __m512d vec;
#define OP(name) _mm512_##name##_pd
#endif
#else
#define ISA "AVX2"
#ifdef STREAM_FLOAT
typedef float real;
typedef __m256 vec;
#define OP(name) _mm256_##name##_ps
#else
typedef double real;
typedef __m256d vec;
#define OP(name) _mm256_##name##_pd
#endif
#endif

enum {
    LINE = 64 / sizeof(real), /* elements in a cache line */
    LANES = sizeof(vec) / sizeof(real),
    VECTORS = 2 * LINE / LANES, /* two lines per step: as fast as eight, and better at 10 M elements */
    STEP = VECTORS * LANES,
    SUMS = 8
};

static int threads = 1;

void stream_set_threads(int count) { threads = count > 0 ? count : 1; }

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

const char *stream_note(void) { return ISA; }

/* Elements before the first cache line of p (a real is always aligned to its own size). */
static int64_t before_line(const real *p)
{
    return (int64_t)((-(uintptr_t)p & 63) / sizeof(real));
}

/* The part of 0..n of this thread: [*lo, *hi), cut at the cache lines of dst. */
static inline void my_part(const real *dst, int64_t n, int64_t *lo, int64_t *hi)
{
    int64_t t = omp_get_thread_num(), count = omp_get_num_threads(), head = before_line(dst);
    if (head > n)
        head = n;
    int64_t lines = (n - head) / LINE;
    *lo = t == 0 ? 0 : head + lines * t / count * LINE;
    *hi = t == count - 1 ? n : head + lines * (t + 1) / count * LINE;
}

static int exceeds_cache(int64_t bytes)
{
    static long cache = 0;
    if (cache == 0) {
        long found = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
        found = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
        cache = found > 0 ? found : 32l << 20;
    }
    return bytes > cache;
}

/* dst[lo..hi) = value(i): single elements up to a line of dst and after the last whole step. All loads of a
 * step come before its stores, so that both lines are fetched together. Software prefetching was tried at
 * 1 to 4 KiB ahead: it cost up to a third at 10 M elements and gained at most 5 % at 80 M. */
#define LOOP(dst, store, value, scalar)                                                                    \
    do {                                                                                                   \
        int64_t i = lo, first = lo + before_line(dst + lo);                                                \
        for (; i < hi && i < first; i++)                                                                   \
            dst[i] = (scalar);                                                                             \
        for (; i + STEP <= hi; i += STEP) {                                                                \
            vec v[VECTORS];                                                                                \
            _Pragma("GCC unroll 16") for (int k = 0; k < VECTORS; k++) v[k] = value(i + k * LANES);        \
            _Pragma("GCC unroll 16") for (int k = 0; k < VECTORS; k++) store(dst + i + k * LANES, v[k]);   \
        }                                                                                                  \
        for (; i < hi; i++)                                                                                \
            dst[i] = (scalar);                                                                             \
    } while (0)

#define KERNEL(name, dst, bytes, value, scalar)                                                            \
    void stream_##name(real *restrict a, real *restrict b, real *restrict c, real s, int64_t n)            \
    {                                                                                                      \
        const int stream = exceeds_cache(bytes);                                                           \
        _Pragma("omp parallel num_threads(threads)")                                                       \
        {                                                                                                  \
            const vec scale = OP(set1)(s);                                                                 \
            int64_t lo, hi;                                                                                \
            (void)scale;                                                                                   \
            my_part(dst, n, &lo, &hi);                                                                     \
            if (stream) {                                                                                  \
                LOOP(dst, OP(stream), value, scalar);                                                      \
                _mm_sfence();                                                                              \
            } else                                                                                         \
                LOOP(dst, OP(store), value, scalar);                                                       \
        }                                                                                                  \
    }

#define AT(p, i) OP(loadu)(p + (i))
#define COPY(i) AT(a, i)
#define SCALE(i) OP(mul)(scale, AT(c, i))
#define ADD(i) OP(add)(AT(a, i), AT(b, i))
#define TRIAD(i) OP(fmadd)(scale, AT(c, i), AT(b, i))
#define NSTREAM(i) OP(add)(AT(a, i), OP(fmadd)(scale, AT(c, i), AT(b, i)))

#define BYTES(arrays) (arrays * n * (int64_t)sizeof(real))

KERNEL(copy, c, BYTES(2), COPY, a[i])
KERNEL(scale, b, BYTES(2), SCALE, s * c[i])
KERNEL(add, c, BYTES(3), ADD, a[i] + b[i])
KERNEL(triad, a, BYTES(3), TRIAD, b[i] + s * c[i])
/* NStream reads the line it writes, so a streaming store saves nothing: plain stores were 15 % faster. */
KERNEL(nstream, a, 0, NSTREAM, a[i] + (b[i] + s * c[i]))

void stream_fill(real *restrict a, real value, int64_t n)
{
#pragma omp parallel num_threads(threads)
    {
        int64_t lo, hi;
        my_part(a, n, &lo, &hi);
        for (int64_t i = lo; i < hi; i++)
            a[i] = value;
    }
}

/* Eight independent sums hide the latency of the fused multiply-add. */
real stream_dot(const real *restrict a, const real *restrict b, const real *restrict c, real s, int64_t n)
{
    real sum = 0;
#pragma omp parallel reduction(+ : sum) num_threads(threads)
    {
        int64_t lo, hi;
        my_part(a, n, &lo, &hi);
        int64_t i = lo;
        vec v[SUMS];
        for (int k = 0; k < SUMS; k++)
            v[k] = OP(setzero)();
        for (; i + SUMS * LANES <= hi; i += SUMS * LANES) {
#pragma GCC unroll 16
            for (int k = 0; k < SUMS; k++)
                v[k] = OP(fmadd)(AT(a, i + k * LANES), AT(b, i + k * LANES), v[k]);
        }
#pragma GCC unroll 16
        for (int width = SUMS / 2; width > 0; width /= 2)
            for (int k = 0; k < width; k++)
                v[k] = OP(add)(v[k], v[k + width]);
        real lanes[LANES];
        OP(storeu)(lanes, v[0]);
        for (int k = 0; k < LANES; k++)
            sum += lanes[k];
        for (; i < hi; i++)
            sum += a[i] * b[i];
    }
    return sum;
}
#endif
