// Products and solutions with sparse matrices in C++ with OpenMP, as a good programmer writes them: the opponents of
// pp.sparse. Rows are compressed, with offsets and indices of 32 bits.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <omp.h>
#include <vector>

using Index = int32_t;

namespace {

template <class Row> void each(int64_t rows, int64_t how, Row row) {
    if (how == 0) {
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < rows; i++) row(i);
    } else if (how == 1) {
#pragma omp parallel for schedule(dynamic, 512)
        for (int64_t i = 0; i < rows; i++) row(i);
    } else {
#pragma omp parallel for schedule(guided)
        for (int64_t i = 0; i < rows; i++) row(i);
    }
}

double solved(int64_t i, const Index *offsets, const Index *indices, const double *values, const double *b,
              const double *x) {
    double left = b[i], diagonal = 0;
    for (Index e = offsets[i]; e < offsets[i + 1]; e++) {
        Index j = indices[e];
        if (j < i)
            left -= values[e] * x[j];
        else if (j == i)
            diagonal += values[e];
    }
    return left / diagonal;
}

} // namespace

extern "C" {

void set_threads(int64_t count) { omp_set_num_threads(int(count)); }

// A vector; the schedule is static, dynamic or guided.
void spmv(int64_t rows, int64_t how, const Index *offsets, const Index *indices, const double *values, const double *x,
          double *y) {
    each(rows, how, [=](int64_t i) {
        double sum = 0;
        for (Index e = offsets[i]; e < offsets[i + 1]; e++) sum += values[e] * x[indices[e]];
        y[i] = sum;
    });
}

// A dense matrix of rows of `width` numbers.
void spmm(int64_t rows, int64_t width, const Index *offsets, const Index *indices, const double *values,
          const double *x, double *y) {
#pragma omp parallel for schedule(dynamic, 256)
    for (int64_t i = 0; i < rows; i++) {
        double *out = y + i * width;
        std::fill(out, out + width, 0.0);
        for (Index e = offsets[i]; e < offsets[i + 1]; e++) {
            const double v = values[e], *from = x + indices[e] * width;
#pragma omp simd
            for (int64_t k = 0; k < width; k++) out[k] += v * from[k];
        }
    }
}

// How many columns each row of the product of a matrix with itself has: starts[i + 1]; then their sums up to each row.
int64_t spgemm_count(int64_t rows, const Index *offsets, const Index *indices, int64_t *starts) {
#pragma omp parallel
    {
        std::vector<Index> last(rows, -1);
#pragma omp for schedule(dynamic, 64)
        for (int64_t i = 0; i < rows; i++) {
            int64_t found = 0;
            for (Index e = offsets[i]; e < offsets[i + 1]; e++)
                for (Index f = offsets[indices[e]]; f < offsets[indices[e] + 1]; f++) {
                    found += last[indices[f]] != i;
                    last[indices[f]] = Index(i);
                }
            starts[i + 1] = found;
        }
    }
    starts[0] = 0;
    for (int64_t i = 0; i < rows; i++) starts[i + 1] += starts[i];
    return starts[rows];
}

// The columns, in order, and their sums.
void spgemm_fill(int64_t rows, const Index *offsets, const Index *indices, const double *values, const int64_t *starts,
                 Index *columns, double *products) {
#pragma omp parallel
    {
        std::vector<Index> last(rows, -1);
        std::vector<double> sums(rows);
#pragma omp for schedule(dynamic, 64)
        for (int64_t i = 0; i < rows; i++) {
            Index *begin = columns + starts[i], *end = begin;
            for (Index e = offsets[i]; e < offsets[i + 1]; e++)
                for (Index f = offsets[indices[e]]; f < offsets[indices[e] + 1]; f++) {
                    Index c = indices[f];
                    double term = values[e] * values[f];
                    if (last[c] == i) {
                        sums[c] += term;
                    } else {
                        last[c] = Index(i);
                        sums[c] = term;
                        *end++ = c;
                    }
                }
            std::sort(begin, end);
            for (Index *c = begin; c < end; c++) products[c - columns] = sums[*c];
        }
    }
}

// The lower triangle, row after row on one thread.
void trisolve(int64_t rows, const Index *offsets, const Index *indices, const double *values, const double *b,
              double *x) {
    for (int64_t i = 0; i < rows; i++) x[i] = solved(i, offsets, indices, values, b, x);
}

// The same, the rows of a level on all threads.
void trisolve_levels(int64_t levels, const int64_t *order, const int64_t *starts, const Index *offsets,
                     const Index *indices, const double *values, const double *b, double *x) {
#pragma omp parallel
    for (int64_t level = 0; level < levels; level++) {
#pragma omp for schedule(static)
        for (int64_t k = starts[level]; k < starts[level + 1]; k++)
            x[order[k]] = solved(order[k], offsets, indices, values, b, x);
    }
}

// Many small dense matrices, one after the other: products, systems of equations by LU factors with partial pivoting,
// and Cholesky factors.
void batched_matmul(int64_t count, int64_t n, const double *a, const double *b, double *c) {
#pragma omp parallel for schedule(static)
    for (int64_t e = 0; e < count; e++) {
        const double *x = a + e * n * n, *y = b + e * n * n;
        double *z = c + e * n * n;
        for (int64_t i = 0; i < n; i++) {
            std::fill(z + i * n, z + i * n + n, 0.0);
            for (int64_t k = 0; k < n; k++) {
                const double v = x[i * n + k];
#pragma omp simd
                for (int64_t j = 0; j < n; j++) z[i * n + j] += v * y[k * n + j];
            }
        }
    }
}

void batched_solve(int64_t count, int64_t n, const double *a, const double *b, double *x) {
#pragma omp parallel
    {
        std::vector<double> held(n * n);
#pragma omp for schedule(static)
        for (int64_t e = 0; e < count; e++) {
            double *lu = held.data(), *y = x + e * n;
            std::copy(a + e * n * n, a + (e + 1) * n * n, lu);
            std::copy(b + e * n, b + (e + 1) * n, y);
            for (int64_t k = 0; k < n; k++) {
                int64_t best = k;
                for (int64_t i = k + 1; i < n; i++)
                    if (std::fabs(lu[i * n + k]) > std::fabs(lu[best * n + k])) best = i;
                if (best != k) {
                    std::swap_ranges(lu + k * n + k, lu + k * n + n, lu + best * n + k);
                    std::swap(y[k], y[best]);
                }
                for (int64_t i = k + 1; i < n; i++) {
                    const double f = lu[i * n + k] / lu[k * n + k];
#pragma omp simd
                    for (int64_t j = k + 1; j < n; j++) lu[i * n + j] -= f * lu[k * n + j];
                    y[i] -= f * y[k];
                }
            }
            for (int64_t k = n; k-- > 0;) {
                for (int64_t j = k + 1; j < n; j++) y[k] -= lu[k * n + j] * y[j];
                y[k] /= lu[k * n + k];
            }
        }
    }
}

void batched_cholesky(int64_t count, int64_t n, const double *a, double *l) {
#pragma omp parallel for schedule(static)
    for (int64_t e = 0; e < count; e++) {
        const double *x = a + e * n * n;
        double *z = l + e * n * n;
        std::fill(z, z + n * n, 0.0);
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = j; i < n; i++) {
                double left = x[i * n + j];
                for (int64_t k = 0; k < j; k++) left -= z[i * n + k] * z[j * n + k];
                z[i * n + j] = i == j ? std::sqrt(left) : left / z[j * n + j];
            }
    }
}
}
