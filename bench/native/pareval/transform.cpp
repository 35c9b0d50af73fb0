API void transform_relu(const double *__restrict x, double *__restrict out, I n)
{
    for (I i = 0; i < n; i++)
        out[i] = x[i] > 0 ? x[i] : 0;
}

API void transform_halve_or_negate(const int32_t *__restrict x, int32_t *__restrict out, I n)
{
    for (I i = 0; i < n; i++)
        out[i] = x[i] % 2 == 0 ? x[i] / 2 : -x[i];
}

API void transform_one_minus_reciprocal(const double *__restrict x, double *__restrict out, I n)
{
    for (I i = 0; i < n; i++)
        out[i] = 1 - 1 / x[i];
}

API void transform_square(const int32_t *__restrict x, int32_t *__restrict out, I n)
{
    for (I i = 0; i < n; i++)
        out[i] = x[i] * x[i];
}
