// Coordinate form to a dense matrix; of several values at one place the last one stays.
static std::vector<double> dense_of(const int32_t *row, const int32_t *column, const double *value, I count, I n)
{
    std::vector<double> a(n * n);
    for (I k = 0; k < count; k++)
        a[row[k] * n + column[k]] = value[k];
    return a;
}

// LU with partial pivoting, panel by panel, the right-hand side as one more row exchange.
API void sparse_solve(const int32_t *row, const int32_t *column, const double *value, const double *b, double *x,
                      I count, I n)
{
    std::vector<double> matrix = dense_of(row, column, value, count, n);
    double *a = matrix.data();
    std::copy(b, b + n, x);
    for (I k = 0; k < n; k += PANEL) {
        I end = std::min(n, k + PANEL);
        for (I p = k; p < end; p++) {
            I pivot = p;
            for (I i = p + 1; i < n; i++)
                if (std::abs(a[i * n + p]) > std::abs(a[pivot * n + p]))
                    pivot = i;
            if (pivot != p) {
                std::swap_ranges(a + p * n, a + (p + 1) * n, a + pivot * n);
                std::swap(x[p], x[pivot]);
            }
            for (I i = p + 1; i < n; i++) {
                double left = a[i * n + p] /= a[p * n + p];
                for (I j = p + 1; j < end; j++)
                    a[i * n + j] -= left * a[p * n + j];
            }
        }
        solve_rows(a, n, k, end);
        update_rest(a, n, k, end);
    }
    for (I i = 0; i < n; i++)
        for (I j = 0; j < i; j++)
            x[i] -= a[i * n + j] * x[j];
    for (I i = n - 1; i >= 0; i--) {
        for (I j = i + 1; j < n; j++)
            x[i] -= a[i * n + j] * x[j];
        x[i] /= a[i * n + i];
    }
}

API void sparse_spmv(const int32_t *row, const int32_t *column, const double *value, const double *x, double *y,
                     double alpha, double beta, I count, I n)
{
    std::vector<double> sum(n);
    for (I k = 0; k < count; k++)
        sum[row[k]] += value[k] * x[column[k]];
    for (I i = 0; i < n; i++)
        y[i] = alpha * sum[i] + beta * y[i];
}

API void sparse_lu(const int32_t *row, const int32_t *column, const double *value, double *lower, double *upper,
                   I count, I n)
{
    std::vector<double> a = dense_of(row, column, value, count, n);
    dense_lu(a.data(), n);
    for (I i = 0; i < n; i++)
        for (I j = 0; j < n; j++) {
            lower[i * n + j] = j < i ? a[i * n + j] : j == i;
            upper[i * n + j] = j < i ? 0 : a[i * n + j];
        }
}
