/* What good C with OpenMP makes of the parallel algorithms, one function each. The compiler gets -O3,
 * -march=native, -ffast-math and -fopenmp, so it vectorizes what can be vectorized.
 *
 * Every function takes its arrays, then their lengths; those that need scratch space get it from the caller.
 */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>

static int threads = 1;

void set_threads(int count) { threads = count > 0 ? count : 1; }

/* Ends the OpenMP workers, which otherwise spin on the cores of whatever is timed next. */
int rest(void) { return omp_pause_resource_all(omp_pause_soft); }

/* out[i] = x[0] + … + x[i], on one thread; associative order kept. */
__attribute__((optimize("no-fast-math"))) void scan_serial(const double *restrict x, double *restrict out, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        out[i] = sum += x[i];
}

double reduce(const double *restrict x, int64_t n)
{
    double sum = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : sum) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

int64_t count_if(const double *restrict x, int64_t n, double limit)
{
    int64_t count = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : count) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        count += x[i] < limit;
    return count;
}

/* The lowest index of the smallest value: the value by a vectorized reduction per block, the index in the
 * first block that has it. */
int64_t min_element(const double *restrict x, int64_t n)
{
    enum { block = 1 << 14 };
    double best = INFINITY;
    int64_t where = n;
#pragma omp parallel num_threads(threads)
    {
        double mine = INFINITY;
        int64_t from = n;
#pragma omp for schedule(static) nowait
        for (int64_t b = 0; b < (n + block - 1) / block; b++) {
            int64_t hi = (b + 1) * block < n ? (b + 1) * block : n;
            double low = INFINITY;
#pragma omp simd reduction(min : low)
            for (int64_t i = b * block; i < hi; i++)
                low = x[i] < low ? x[i] : low;
            if (low < mine) {
                mine = low;
                from = b;
            }
        }
#pragma omp critical
        if (mine < best || (mine == best && from < where)) {
            best = mine;
            where = from;
        }
    }
    if (where == n)
        return n;
    for (int64_t i = where * block; i < n; i++)
        if (x[i] == best)
            return i;
    return n;
}

/* Two passes: each thread counts its part, then writes behind those before it. */
int64_t copy_if(const double *restrict x, double *restrict out, int64_t n, double limit)
{
    int64_t counts[257] = {0};
#pragma omp parallel num_threads(threads)
    {
        int team = omp_get_num_threads(), me = omp_get_thread_num();
        int64_t lo = n * me / team, hi = n * (me + 1) / team, count = 0;
        for (int64_t i = lo; i < hi; i++)
            count += x[i] < limit;
        counts[me + 1] = count;
#pragma omp barrier
#pragma omp single
        for (int t = 0; t < team; t++)
            counts[t + 1] += counts[t];
        int64_t at = counts[me];
        for (int64_t i = lo; i < hi; i++)
            if (x[i] < limit)
                out[at++] = x[i];
    }
    int64_t total = 0;
    for (int t = 1; t < 257; t++)
        total = counts[t] > total ? counts[t] : total;
    return total;
}

/* Private histograms, summed. `scratch` holds one for each thread. */
void histogram(const int32_t *restrict x, int64_t n, int64_t *restrict out, int64_t *restrict scratch, int64_t bins)
{
#pragma omp parallel num_threads(threads)
    {
        int team = omp_get_num_threads(), me = omp_get_thread_num();
        int64_t *mine = scratch + me * bins;
        memset(mine, 0, bins * sizeof *mine);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < n; i++)
            mine[x[i]]++;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < bins; b++) {
            int64_t sum = 0;
            for (int t = 0; t < team; t++)
                sum += scratch[t * bins + b];
            out[b] = sum;
        }
    }
}

/* The mean of five points, in the interior: the border is a vanishing part of a large array. */
void stencil(const double *restrict x, double *restrict out, int64_t n, int64_t m)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 1; i < n - 1; i++)
        for (int64_t j = 1; j < m - 1; j++)
            out[i * m + j] = 0.2 * (x[i * m + j] + x[(i - 1) * m + j] + x[(i + 1) * m + j] + x[i * m + j - 1]
                                    + x[i * m + j + 1]);
}

#define SPMV(name, how)                                                                                         \
    void name(const int64_t *restrict indptr, const int32_t *restrict indices, const double *restrict data,     \
              const double *restrict x, double *restrict y, int64_t rows)                                       \
    {                                                                                                           \
        _Pragma(how) for (int64_t r = 0; r < rows; r++)                                                         \
        {                                                                                                       \
            double sum = 0;                                                                                     \
            for (int64_t k = indptr[r]; k < indptr[r + 1]; k++)                                                 \
                sum += data[k] * x[indices[k]];                                                                 \
            y[r] = sum;                                                                                         \
        }                                                                                                       \
    }

SPMV(spmv_static, "omp parallel for schedule(static) num_threads(threads)")
SPMV(spmv_dynamic, "omp parallel for schedule(dynamic, 512) num_threads(threads)")
SPMV(spmv_guided, "omp parallel for schedule(guided) num_threads(threads)")

/* European calls and puts after Black and Scholes; the normal distribution by erfc. */
void black_scholes(const double *restrict price, const double *restrict strike, const double *restrict years,
                   double *restrict call, double *restrict put, int64_t n, double rate, double sigma)
{
#pragma omp parallel for simd schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++) {
        double root = sigma * sqrt(years[i]);
        double d1 = (log(price[i] / strike[i]) + (rate + 0.5 * sigma * sigma) * years[i]) / root;
        double d2 = d1 - root;
        double present = strike[i] * exp(-rate * years[i]);
        double n1 = 0.5 * erfc(-d1 * 0.70710678118654752440), n2 = 0.5 * erfc(-d2 * 0.70710678118654752440);
        call[i] = price[i] * n1 - present * n2;
        put[i] = call[i] + present - price[i];
    }
}
