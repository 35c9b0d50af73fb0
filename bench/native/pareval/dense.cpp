// Dense linear algebra: blocked, with tiles of the result in registers.

typedef double Vector __attribute__((vector_size(32), aligned(8)));

// C[rows × columns] += sign · A[rows × depth] · B[depth × columns], the leading dimensions given.
template <int sign>
static void multiply_add(const double *__restrict a, I lda, const double *__restrict b, I ldb, double *__restrict c,
                         I ldc, I rows, I columns, I depth)
{
    constexpr int R = 6, V = 2, W = 4 * V, DEPTH = 128;
    for (I k0 = 0; k0 < depth; k0 += DEPTH) {
        I k1 = std::min(depth, k0 + DEPTH);
        for (I j = 0; j < columns; j += W) {
            int w = (int)std::min<I>(W, columns - j);
            for (I i = 0; i < rows; i += R) {
                int r = (int)std::min<I>(R, rows - i);
                if (w == W && r == R) {
                    Vector acc[R][V] = {};
                    for (I k = k0; k < k1; k++)
                        for (int p = 0; p < R; p++)
                            for (int q = 0; q < V; q++)
                                acc[p][q] += a[(i + p) * lda + k] * *(const Vector *)(b + k * ldb + j + 4 * q);
                    for (int p = 0; p < R; p++)
                        for (int q = 0; q < V; q++)
                            *(Vector *)(c + (i + p) * ldc + j + 4 * q) += sign * acc[p][q];
                } else
                    for (int p = 0; p < r; p++)
                        for (I k = k0; k < k1; k++) {
                            double left = sign * a[(i + p) * lda + k];
                            for (int q = 0; q < w; q++)
                                c[(i + p) * ldc + j + q] += left * b[k * ldb + j + q];
                        }
            }
        }
    }
}

static constexpr I PANEL = 32;

// The rows of U right of a factored panel: solve with its unit lower triangle.
static void solve_rows(double *a, I n, I k, I end)
{
    for (I i = k + 1; i < end; i++)
        for (I p = k; p < i; p++) {
            double left = a[i * n + p];
            for (I j = end; j < n; j++)
                a[i * n + j] -= left * a[p * n + j];
        }
}

static void update_rest(double *a, I n, I k, I end)
{
    if (end < n)
        multiply_add<-1>(a + end * n + k, n, a + k * n + end, n, a + end * n + end, n, n - end, n - end, end - k);
}

API void dense_lu(double *a, I n)
{
    for (I k = 0; k < n; k += PANEL) {
        I end = std::min(n, k + PANEL);
        for (I p = k; p < end; p++)
            for (I i = p + 1; i < n; i++) {
                double left = a[i * n + p] /= a[p * n + p];
                for (I j = p + 1; j < end; j++)
                    a[i * n + j] -= left * a[p * n + j];
            }
        solve_rows(a, n, k, end);
        update_rest(a, n, k, end);
    }
}

API void dense_matmul(const double *a, const double *b, double *c, I m, I k, I n)
{
    multiply_add<1>(a, k, b, n, c, n, m, n, k);
}

API void dense_axpy(const double *__restrict x, const double *__restrict y, double *__restrict z, I n)
{
    for (I i = 0; i < n; i++)
        z[i] = 2 * x[i] + y[i];
}

API void dense_gemv(const double *__restrict a, const double *__restrict x, double *__restrict y, I m, I n)
{
    constexpr int W = 16; // independent sums, so that additions need not wait for one another
    for (I i = 0; i < m; i++) {
        const double *row = a + i * n;
        double acc[W] = {};
        I j = 0;
        for (; j + W <= n; j += W)
            for (int q = 0; q < W; q++)
                acc[q] += row[j + q] * x[j + q];
        double sum = std::accumulate(acc, acc + W, 0.0);
        for (; j < n; j++)
            sum += row[j] * x[j];
        y[i] = sum;
    }
}
