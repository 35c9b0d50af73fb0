// out[i, j] = f(i, j, …) row by row; the rows above and below the first and last are a row of zeros, and the
// columns at the border are done apart, so that the inner loop has no conditions.
template <class T, class F> static void rows(const T *x, T *__restrict out, I n, F f)
{
    std::vector<T> zeros(n);
    for (I i = 0; i < n; i++) {
        const T *up = i > 0 ? x + (i - 1) * n : zeros.data(), *mid = x + i * n;
        const T *down = i + 1 < n ? x + (i + 1) * n : zeros.data();
        auto at = [&](const T *row, I j) { return j >= 0 && j < n ? row[j] : T(0); };
        auto border = [&](I j) {
            T near[9];
            for (int d = -1; d <= 1; d++) {
                near[1 + d] = at(up, j + d);
                near[4 + d] = at(mid, j + d);
                near[7 + d] = at(down, j + d);
            }
            out[i * n + j] = f(near + 1, near + 4, near + 7);
        };
        border(0);
        for (I j = 1; j < n - 1; j++)
            out[i * n + j] = f(up + j, mid + j, down + j);
        if (n > 1)
            border(n - 1);
    }
}

API void stencil_edges(const int32_t *x, int32_t *out, I n)
{
    rows(x, out, n, [](const int32_t *up, const int32_t *mid, const int32_t *down) {
        return (int32_t)((up[0] == 1) + (down[0] == 1) + (mid[-1] == 1) + (mid[1] == 1) == 1);
    });
}

API void stencil_mean_1d(const double *__restrict x, double *__restrict out, I n)
{
    for (I i = 1; i < n - 1; i++)
        out[i] = (x[i - 1] + x[i] + x[i + 1]) / 3;
    if (n > 0) {
        out[0] = (x[0] + (n > 1 ? x[1] : 0)) / 3;
        out[n - 1] = ((n > 1 ? x[n - 2] : 0) + x[n - 1]) / 3;
    }
}

API void stencil_mean_2d(const double *x, double *out, I n)
{
    rows(x, out, n, [](const double *up, const double *mid, const double *down) {
        return (mid[0] + mid[-1] + mid[1] + up[0] + down[0]) / 5;
    });
}

API void stencil_game_of_life(const int32_t *x, int32_t *out, I n)
{
    rows(x, out, n, [](const int32_t *up, const int32_t *mid, const int32_t *down) {
        int32_t near = up[-1] + up[0] + up[1] + mid[-1] + mid[1] + down[-1] + down[0] + down[1];
        return (int32_t)((near == 3) | ((near == 2) & (mid[0] == 1)));
    });
}
