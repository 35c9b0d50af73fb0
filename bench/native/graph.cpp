// The six kernels of the GAP benchmark, and how its graphs are built, in C++ with OpenMP, as a good programmer writes them
// after the published methods: the opponents of pp.graph. Graphs are not directed; their rows are in order, without loops and without equal edges.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <omp.h>
#include <random>
#include <unordered_map>
#include <vector>

using Vertex = int32_t;

namespace {

struct Rows {
    int64_t n;
    const int64_t *offsets;
    const Vertex *targets;
    int64_t degree(Vertex u) const { return offsets[u + 1] - offsets[u]; }
    const Vertex *begin(Vertex u) const { return targets + offsets[u]; }
    const Vertex *end(Vertex u) const { return targets + offsets[u + 1]; }
};

struct Edge {
    Vertex target;
    int32_t weight;
};

template <class T> bool swap_if(T *place, T expected, T wanted) {
    return __atomic_compare_exchange_n(place, &expected, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// A queue that threads append to in portions.
struct Queue {
    std::vector<Vertex> items;
    int64_t end = 0;
    explicit Queue(int64_t n) : items(n) {}
};

struct Portion {
    Queue &queue;
    Vertex held[1024];
    int count = 0;
    explicit Portion(Queue &q) : queue(q) {}
    void push(Vertex v) {
        held[count++] = v;
        if (count == 1024) flush();
    }
    void flush() {
        int64_t at = __atomic_fetch_add(&queue.end, count, __ATOMIC_RELAXED);
        std::memcpy(queue.items.data() + at, held, count * sizeof(Vertex));
        count = 0;
    }
};

// Edges of the frontier's vertices to such as were not reached; of these, how many edges leave them.
int64_t push(const Rows &g, Queue &queue, int64_t begin, int64_t end, Vertex *parent) {
    int64_t edges = 0;
#pragma omp parallel reduction(+ : edges)
    {
        Portion fresh(queue);
#pragma omp for schedule(dynamic, 64) nowait
        for (int64_t k = begin; k < end; k++) {
            Vertex u = queue.items[k];
            for (const Vertex *v = g.begin(u); v < g.end(u); v++)
                if (parent[*v] < 0 && swap_if(&parent[*v], Vertex(-1), u)) {
                    edges += g.degree(*v);
                    fresh.push(*v);
                }
        }
        fresh.flush();
    }
    return edges;
}

using Bits = std::vector<uint64_t>;
bool has(const Bits &bits, Vertex v) { return bits[v >> 6] >> (v & 63) & 1; }

int64_t pull(const Rows &g, const Bits &front, Bits &next, Vertex *parent) {
    int64_t found = 0;
#pragma omp parallel for schedule(dynamic, 16) reduction(+ : found)
    for (int64_t w = 0; w < (int64_t)next.size(); w++) {
        uint64_t word = 0;
        for (Vertex v = w * 64; v < std::min<int64_t>(g.n, w * 64 + 64); v++)
            if (parent[v] < 0)
                for (const Vertex *u = g.begin(v); u < g.end(v); u++)
                    if (has(front, *u)) {
                        parent[v] = *u;
                        word |= uint64_t(1) << (v & 63);
                        found++;
                        break;
                    }
        next[w] = word;
    }
    return found;
}

}  // namespace

extern "C" {

void set_threads(int64_t threads) { omp_set_num_threads(threads); }

// S. Beamer, K. Asanovic, D. Patterson, "Direction-optimizing breadth-first search", 2012.
void bfs(int64_t n, const int64_t *offsets, const Vertex *targets, int64_t source, Vertex *parent) {
    Rows g{n, offsets, targets};
    Queue queue(n);
    Bits front((n + 63) / 64), next((n + 63) / 64);
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) parent[v] = -1;
    parent[source] = source;
    queue.items[0] = source;
    queue.end = 1;
    int64_t begin = 0, edges = g.degree(source), left = offsets[n];
    while (begin < queue.end) {
        if (edges > left / 15) {
            std::fill(front.begin(), front.end(), 0);
            for (int64_t k = begin; k < queue.end; k++) front[queue.items[k] >> 6] |= uint64_t(1) << (queue.items[k] & 63);
            int64_t awake = queue.end - begin, before;
            do {
                before = awake;
                awake = pull(g, front, next, parent);
                std::swap(front, next);
            } while (awake >= before || awake > n / 18);
            begin = queue.end = 0;
#pragma omp parallel
            {
                Portion fresh(queue);
#pragma omp for nowait
                for (int64_t v = 0; v < n; v++)
                    if (has(front, v)) fresh.push(v);
                fresh.flush();
            }
            edges = 1;
        } else {
            left -= edges;
            int64_t end = queue.end;
            edges = push(g, queue, begin, end, parent);
            begin = end;
        }
    }
}

// U. Meyer, P. Sanders, "Delta-stepping", 2003; a thread goes on with its own vertices of a width while they are few.
// Edges lie beside their weights; distances have 32 bits until they are given; room is not touched before it is used.
void sssp(int64_t n, const int64_t *offsets, const Vertex *, const Edge *edges, int64_t source, int64_t delta,
          int64_t *found) {
    const int32_t never = std::numeric_limits<int32_t>::max() / 2, width = int32_t(delta);
    const int64_t none = std::numeric_limits<int64_t>::max() / 2;
    std::unique_ptr<int32_t[]> distance(new int32_t[n]);
    std::unique_ptr<Vertex[]> now(new Vertex[offsets[n] + 1]);
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) distance[v] = never;
    distance[source] = 0;
    now[0] = source;
    int64_t count[2] = {1, 0}, bin[2] = {0, none};
#pragma omp parallel
    {
        std::vector<std::vector<Vertex>> later;
        auto relax = [&](Vertex u) {
            for (const Edge *e = edges + offsets[u]; e < edges + offsets[u + 1]; e++) {
                Vertex v = e->target;
                int32_t old = __atomic_load_n(&distance[v], __ATOMIC_RELAXED);
                int32_t fresh = __atomic_load_n(&distance[u], __ATOMIC_RELAXED) + e->weight;
                while (fresh < old) {
                    if (__atomic_compare_exchange_n(&distance[v], &old, fresh, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                        size_t k = fresh / width;
                        if (k >= later.size()) later.resize(k + 1);
                        later[k].push_back(v);
                        break;
                    }
                }
            }
        };
        for (int turn = 0; bin[turn & 1] != none; turn++) {
            int64_t here = bin[turn & 1], &after = bin[~turn & 1];
#pragma omp for schedule(dynamic, 64) nowait
            for (int64_t k = 0; k < count[turn & 1]; k++)
                if (distance[now[k]] >= width * here) relax(now[k]);
            while (here < (int64_t)later.size() && !later[here].empty() && later[here].size() < 1000) {
                std::vector<Vertex> some;
                some.swap(later[here]);
                for (Vertex u : some) relax(u);
            }
            for (int64_t k = here; k < (int64_t)later.size(); k++)
                if (!later[k].empty()) {
#pragma omp critical
                    after = std::min(after, k);
                    break;
                }
#pragma omp barrier
#pragma omp single
            {
                bin[turn & 1] = none;
                count[turn & 1] = 0;
            }
            if (after < (int64_t)later.size()) {
                std::vector<Vertex> &mine = later[after];
                int64_t at = __atomic_fetch_add(&count[~turn & 1], (int64_t)mine.size(), __ATOMIC_RELAXED);
                std::copy(mine.begin(), mine.end(), now.get() + at);
                mine.clear();
            }
#pragma omp barrier
        }
    }
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) found[v] = distance[v] == never ? std::numeric_limits<int64_t>::max() : distance[v];
}

// Every vertex gathers; what was updated already is used (Gauss and Seidel). Returns the iterations.
int64_t pagerank(int64_t n, const int64_t *offsets, const Vertex *targets, float *rank) {
    Rows g{n, offsets, targets};
    const float base = (1 - 0.85f) / n;
    std::vector<float> given(n);
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) {
        rank[v] = 1.0f / n;
        given[v] = rank[v] / std::max<int64_t>(g.degree(v), 1);
    }
    for (int64_t k = 1; k <= 1000; k++) {
        double change = 0;
#pragma omp parallel for schedule(dynamic, 16384) reduction(+ : change)
        for (int64_t v = 0; v < n; v++) {
            float sum = 0, old = rank[v];
            for (const Vertex *u = g.begin(v); u < g.end(v); u++) sum += given[*u];
            rank[v] = base + 0.85f * sum;
            change += std::fabs(rank[v] - old);
            given[v] = rank[v] / std::max<int64_t>(g.degree(v), 1);
        }
        if (change < 1e-4) return k;
    }
    return 1000;
}

// M. Sutton, T. Ben-Nun, A. Barak, "Optimizing parallel graph connectivity computation via subgraph sampling", 2018.
void components(int64_t n, const int64_t *offsets, const Vertex *targets, Vertex *label) {
    Rows g{n, offsets, targets};
    auto join = [label](Vertex u, Vertex v) {
        Vertex a = label[u], b = label[v];
        while (a != b) {
            Vertex high = a > b ? a : b, low = a + (b - high), at = label[high];
            if (at == low || (at == high && swap_if(&label[high], high, low))) return;
            a = label[label[high]];
            b = label[low];
        }
    };
    auto compress = [&] {
#pragma omp parallel for schedule(dynamic, 16384)
        for (int64_t v = 0; v < n; v++)
            while (label[v] != label[label[v]]) label[v] = label[label[v]];
    };
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) label[v] = v;
    for (int k = 0; k < 2; k++) {
#pragma omp parallel for schedule(dynamic, 16384)
        for (int64_t u = 0; u < n; u++)
            if (g.degree(u) > k) join(u, g.begin(u)[k]);
        compress();
    }
    std::unordered_map<Vertex, int> counts;
    std::mt19937 random(1);
    for (int k = 0; k < 1024; k++) counts[label[random() % n]]++;
    Vertex largest = std::max_element(counts.begin(), counts.end(), [](auto &a, auto &b) { return a.second < b.second; })->first;
#pragma omp parallel for schedule(dynamic, 16384)
    for (int64_t u = 0; u < n; u++)
        if (label[u] != largest)
            for (int64_t k = 2; k < g.degree(u); k++) join(u, g.begin(u)[k]);
    compress();
}

// U. Brandes, "A faster algorithm for betweenness centrality", 2001; edges to the next depth are marked on the way forth.
void betweenness(int64_t n, const int64_t *offsets, const Vertex *targets, const int64_t *sources, int64_t count, double *total) {
    std::vector<double> paths(n), depends(n);
    std::vector<Vertex> depth(n);
    Bits next((offsets[n] + 63) / 64);
    std::fill(total, total + n, 0.0);
    for (int64_t s = 0; s < count; s++) {
#pragma omp parallel for
        for (int64_t v = 0; v < n; v++) {
            depth[v] = -1;
            paths[v] = depends[v] = 0;
        }
        std::fill(next.begin(), next.end(), 0);
        Queue queue(n);
        queue.items[0] = sources[s];
        queue.end = 1;
        depth[sources[s]] = 0;
        paths[sources[s]] = 1;
        std::vector<int64_t> levels{0, 1};
        for (Vertex d = 1; levels[d] > levels[d - 1]; d++) {
#pragma omp parallel
            {
                Portion fresh(queue);
#pragma omp for schedule(dynamic, 64) nowait
                for (int64_t k = levels[d - 1]; k < levels[d]; k++) {
                    Vertex u = queue.items[k];
                    for (int64_t e = offsets[u]; e < offsets[u + 1]; e++) {
                        Vertex v = targets[e];
                        if (depth[v] < 0 && swap_if(&depth[v], Vertex(-1), d)) fresh.push(v);
                        if (depth[v] == d) {
                            __atomic_fetch_or(&next[e >> 6], uint64_t(1) << (e & 63), __ATOMIC_RELAXED);
#pragma omp atomic
                            paths[v] += paths[u];
                        }
                    }
                }
                fresh.flush();
            }
            levels.push_back(queue.end);
        }
        for (int64_t d = (int64_t)levels.size() - 3; d > 0; d--) {
#pragma omp parallel for schedule(dynamic, 64)
            for (int64_t k = levels[d]; k < levels[d + 1]; k++) {
                Vertex u = queue.items[k];
                double sum = 0;
                for (int64_t e = offsets[u]; e < offsets[u + 1]; e++)
                    if (next[e >> 6] >> (e & 63) & 1) sum += (1 + depends[targets[e]]) / paths[targets[e]];
                depends[u] = sum * paths[u];
                total[u] += depends[u];
            }
        }
    }
}

// Two rows in order are merged for each edge, up to the lower vertex.
static int64_t met(const Rows &g) {
    int64_t total = 0;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : total)
    for (int64_t u = 0; u < g.n; u++)
        for (const Vertex *v = g.begin(u); v < g.end(u) && *v <= u; v++) {
            const Vertex *at = g.begin(u);
            for (const Vertex *w = g.begin(*v); w < g.end(*v) && *w <= *v; w++) {
                while (*at < *w) at++;
                total += *at == *w;
            }
        }
    return total;
}

// Vertices of many edges get low numbers first, if there are many edges, and a sample says that most vertices have few.
int64_t triangles(int64_t n, const int64_t *offsets, const Vertex *targets) {
    Rows given{n, offsets, targets};
    if (offsets[n] < 10 * n) return met(given);
    std::mt19937_64 random(1);
    std::vector<int64_t> some(std::min<int64_t>(n, 1000));
    for (int64_t &degree : some) degree = given.degree(random() % n);
    std::sort(some.begin(), some.end());
    double mean = std::accumulate(some.begin(), some.end(), 0.0) / some.size();
    if (mean / 1.3 <= some[some.size() / 2]) return met(given);
    std::vector<std::pair<int64_t, Vertex>> order(n);
#pragma omp parallel for
    for (int64_t v = 0; v < n; v++) order[v] = {-given.degree(v), v};
    std::sort(order.begin(), order.end());
    std::vector<Vertex> number(n), rows(offsets[n]);
    std::vector<int64_t> begins(n + 1);
    for (int64_t k = 0; k < n; k++) {
        number[order[k].second] = k;
        begins[k + 1] = begins[k] - order[k].first;
    }
#pragma omp parallel for schedule(dynamic, 1024)
    for (int64_t k = 0; k < n; k++) {
        Vertex v = order[k].second, *row = rows.data() + begins[k];
        for (int64_t e = 0; e < given.degree(v); e++) row[e] = number[given.begin(v)[e]];
        std::sort(row, row + given.degree(v));
    }
    return met({n, begins.data(), rows.data()});
}

// Of m edges in any order, both directions: places are counted, edges put there, rows sorted; loops and equal edges go.
// `targets` has room for all; how many there are is given back.
int64_t build(int64_t n, int64_t m, const Vertex *from, const Vertex *to, int64_t *offsets, Vertex *targets) {
    std::vector<int64_t> begins(n + 1);
#pragma omp parallel for
    for (int64_t e = 0; e < m; e++) {
        __atomic_fetch_add(&begins[from[e] + 1], 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&begins[to[e] + 1], 1, __ATOMIC_RELAXED);
    }
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::unique_ptr<Vertex[]> rows(new Vertex[2 * m]);
    std::vector<int64_t> place(begins.begin(), begins.end() - 1);
#pragma omp parallel for
    for (int64_t e = 0; e < m; e++) {
        rows[__atomic_fetch_add(&place[from[e]], 1, __ATOMIC_RELAXED)] = to[e];
        rows[__atomic_fetch_add(&place[to[e]], 1, __ATOMIC_RELAXED)] = from[e];
    }
    offsets[0] = 0;
#pragma omp parallel for schedule(dynamic, 1024)
    for (int64_t u = 0; u < n; u++) {
        Vertex *first = rows.get() + begins[u], *last = rows.get() + begins[u + 1];
        std::sort(first, last);
        last = std::remove(first, std::unique(first, last), u);
        offsets[u + 1] = last - first;
    }
    std::partial_sum(offsets, offsets + n + 1, offsets);
#pragma omp parallel for schedule(dynamic, 1024)
    for (int64_t u = 0; u < n; u++) std::copy_n(rows.get() + begins[u], offsets[u + 1] - offsets[u], targets + offsets[u]);
    return offsets[n];
}

}  // extern "C"
