API void sort_by_magnitude(complex *x, I n)
{
    struct Keyed {
        double key;
        complex value;
    };
    std::vector<Keyed> sorted(n);
    for (I i = 0; i < n; i++)
        sorted[i] = {std::sqrt(x[i].re * x[i].re + x[i].im * x[i].im), x[i]};
    std::sort(sorted.begin(), sorted.end(), [](const Keyed &a, const Keyed &b) { return a.key < b.key; });
    for (I i = 0; i < n; i++)
        x[i] = sorted[i].value;
}

API int32_t sort_kth_smallest(const int32_t *x, I k, I n)
{
    std::vector<int32_t> copy(x, x + n);
    std::nth_element(copy.begin(), copy.begin() + (k - 1), copy.end());
    return copy[k - 1];
}

API void sort_ranks(const float *x, I *ranks, I n)
{
    std::vector<std::pair<float, int32_t>> sorted(n);
    for (I i = 0; i < n; i++)
        sorted[i] = {x[i], (int32_t)i};
    std::sort(sorted.begin(), sorted.end());
    for (I i = 0; i < n; i++)
        ranks[sorted[i].second] = i;
}
