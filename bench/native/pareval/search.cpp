API bool search_contains(const int32_t *x, int32_t v, I n) { return std::find(x, x + n, v) != x + n; }

API I search_closest_to_pi(const double *x, I n)
{
    I best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (I i = 0; i < n; i++) {
        double distance = std::abs(x[i] - M_PI);
        if (distance < least) {
            least = distance;
            best = i;
        }
    }
    return best;
}

API I search_first_even(const int32_t *x, I n)
{
    return std::find_if(x, x + n, [](int32_t v) { return v % 2 == 0; }) - x;
}
