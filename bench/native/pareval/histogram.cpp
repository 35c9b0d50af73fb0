// Four histograms in turn: neighbours that are equal do not wait for each other's store.
API void histogram_pixels(const uint8_t *x, uint64_t *bins, I n)
{
    uint32_t four[4][256] = {};
    I i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            four[k][x[i + k]]++;
    for (; i < n; i++)
        four[0][x[i]]++;
    for (int k = 0; k < 256; k++)
        bins[k] = (uint64_t)four[0][k] + four[1][k] + four[2][k] + four[3][k];
}

// Returns how many elements lie outside of [0, 100).
API I histogram_tens(const double *x, I *bins, I n)
{
    I four[4][10] = {}, outside = 0;
    for (I i = 0; i < n; i++) {
        if (!(x[i] >= 0 && x[i] < 100)) {
            outside++;
            continue;
        }
        four[i & 3][(int)(x[i] / 10)]++;
    }
    for (int k = 0; k < 10; k++)
        bins[k] = four[0][k] + four[1][k] + four[2][k] + four[3][k];
    return outside;
}

API void histogram_quartiles(const double *x, I *bins, I n)
{
    I four[4][4] = {};
    for (I i = 0; i < n; i++)
        four[i & 3][std::min(3, (int)((x[i] - std::floor(x[i])) * 4))]++;
    for (int k = 0; k < 4; k++)
        bins[k] = four[0][k] + four[1][k] + four[2][k] + four[3][k];
}
