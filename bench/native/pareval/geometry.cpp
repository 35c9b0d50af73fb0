struct Point {
    double x, y;
    I index;
};

static double cross(Point o, Point a, Point b) { return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x); }

// Andrew's monotone chain; returns how many indices are in `result`, which has room for n.
API I geometry_convex_hull(const double *x, const double *y, I *result, I n)
{
    std::vector<Point> sorted(n), hull(2 * n);
    for (I i = 0; i < n; i++)
        sorted[i] = {x[i], y[i], i};
    std::sort(sorted.begin(), sorted.end(), [](Point a, Point b) { return a.x < b.x || (a.x == b.x && a.y < b.y); });
    auto same = [](Point a, Point b) { return a.x == b.x && a.y == b.y; };
    n = std::unique(sorted.begin(), sorted.end(), same) - sorted.begin();
    I count = 0;
    auto push = [&](Point p, I least) {
        while (count >= least + 2 && cross(hull[count - 2], hull[count - 1], p) <= 0)
            count--;
        hull[count++] = p;
    };
    for (I i = 0; i < n; i++)
        push(sorted[i], 0);
    for (I i = n - 2, least = count - 1; i >= 0; i--)
        push(sorted[i], least);
    count = std::max<I>(count - 1, std::min<I>(n, 1));
    for (I i = 0; i < count; i++)
        result[i] = hull[i].index;
    return count;
}

API double geometry_smallest_triangle(const double *x, const double *y, I n)
{
    double best = std::numeric_limits<double>::infinity();
    for (I i = 0; i < n; i++)
        for (I j = i + 1; j < n; j++) {
            double dx = x[j] - x[i], dy = y[j] - y[i];
            for (I k = j + 1; k < n; k++) {
                double area = std::abs(dx * (y[k] - y[i]) - dy * (x[k] - x[i]));
                best = area < best ? area : best;
            }
        }
    return best / 2;
}

API double geometry_closest_pair(const double *x, I n)
{
    std::vector<double> sorted(x, x + n);
    std::sort(sorted.begin(), sorted.end());
    double best = std::numeric_limits<double>::infinity();
    for (I i = 1; i < n; i++)
        best = std::min(best, sorted[i] - sorted[i - 1]);
    return best;
}
