API I graph_count_edges(const int32_t *a, I n)
{
    I count = 0;
    for (I i = 0; i < n; i++) {
        int32_t row = 0;
        for (I j = 0; j < n; j++)
            row += a[i * n + j] == 1;
        count += row;
    }
    return count;
}

API I graph_largest_degree(const int32_t *a, I n)
{
    int32_t best = 0;
    for (I i = 0; i < n; i++) {
        int32_t row = 0;
        for (I j = 0; j < n; j++)
            row += a[i * n + j] == 1;
        best = std::max(best, row);
    }
    return best;
}

// Union-find over the upper triangle; path halving, the smaller root wins.
API I graph_components(const int32_t *a, I n)
{
    std::vector<int32_t> parent(n);
    std::iota(parent.begin(), parent.end(), 0);
    auto find = [&](int32_t v) {
        while (parent[v] != v)
            v = parent[v] = parent[parent[v]];
        return v;
    };
    I count = n;
    for (I i = 0; i < n; i++)
        for (I j = i + 1; j < n; j++)
            if (a[i * n + j]) {
                int32_t u = find((int32_t)i), v = find((int32_t)j);
                if (u != v) {
                    parent[std::max(u, v)] = std::min(u, v);
                    count--;
                }
            }
    return count;
}
