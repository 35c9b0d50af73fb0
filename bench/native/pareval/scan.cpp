API void scan_prefix_sum(const double *__restrict x, double *__restrict out, I n)
{
    double sum = 0;
    for (I i = 0; i < n; i++)
        out[i] = sum += x[i];
}

API double scan_sum_of_prefix_sums(const double *x, I n)
{
    double sum = 0, total = 0;
    for (I i = 0; i < n; i++)
        total += sum += x[i];
    return total;
}

API void scan_reversed_prefix_sum(const int32_t *__restrict x, int32_t *__restrict out, I n)
{
    int32_t sum = 0;
    for (I i = 0; i < n; i++)
        out[i] = sum += x[n - 1 - i];
}
