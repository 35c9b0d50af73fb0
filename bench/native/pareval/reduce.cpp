// Sixteen sums side by side, so that additions need not wait for one another.
template <class F> static double sum_of(I n, F term)
{
    constexpr int W = 16;
    double acc[W] = {};
    I i = 0;
    for (; i + W <= n; i += W)
        for (int q = 0; q < W; q++)
            acc[q] += term(i + q);
    double sum = std::accumulate(acc, acc + W, 0.0);
    for (; i < n; i++)
        sum += term(i);
    return sum;
}

API bool reduce_parity(const bool *x, I n)
{
    const uint8_t *bytes = (const uint8_t *)x;
    uint8_t parity = 0;
    for (I i = 0; i < n; i++)
        parity ^= bytes[i];
    return parity;
}

API double reduce_mean(const double *x, I n)
{
    return sum_of(n, [=](I i) { return x[i]; }) / (double)n;
}

API double reduce_sum_of_minimums(const double *x, const double *y, I n)
{
    return sum_of(n, [=](I i) { return y[i] < x[i] ? y[i] : x[i]; });
}
