// Fast Fourier transforms of 2^k elements: Stockham's autosort method, radix 4, with one radix 2 pass if k is odd.

struct complex {
    double re, im;
};

static inline complex operator+(complex a, complex b) { return {a.re + b.re, a.im + b.im}; }
static inline complex operator-(complex a, complex b) { return {a.re - b.re, a.im - b.im}; }
static inline complex operator*(complex a, complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

// Transforms x with e^(sign·2πi·jk/n); the result is in x. sign is -1 or 1.
static void transform(complex *x, I n, int sign)
{
    std::vector<complex> other(n), root(std::max<I>(n / 4, 1));
    for (I p = 0; p < n / 4; p++) {
        double angle = sign * 2 * M_PI * (double)p / (double)n;
        root[p] = {std::cos(angle), std::sin(angle)};
    }
    complex *from = x, *to = other.data();
    double turn = sign;
    I s = 1;
    for (; n / s >= 4; s *= 4) {
        I m = n / s / 4;
        for (I p = 0; p < m; p++) {
            complex w1 = root[p * s], w2 = w1 * w1, w3 = w1 * w2;
            const complex *__restrict in = from + s * p;
            complex *__restrict out = to + s * 4 * p;
            for (I q = 0; q < s; q++) {
                complex a = in[q], b = in[q + s * m], c = in[q + 2 * s * m], d = in[q + 3 * s * m];
                complex sum = a + c, difference = a - c, other_sum = b + d, t = b - d;
                complex turned = {-turn * t.im, turn * t.re};
                out[q] = sum + other_sum;
                out[q + s] = w1 * (difference + turned);
                out[q + 2 * s] = w2 * (sum - other_sum);
                out[q + 3 * s] = w3 * (difference - turned);
            }
        }
        std::swap(from, to);
    }
    if (n / s == 2) {
        for (I q = 0; q < s; q++) {
            complex a = from[q], b = from[q + s];
            to[q] = a + b;
            to[q + s] = a - b;
        }
        std::swap(from, to);
    }
    if (from != x)
        std::memcpy((void *)x, from, n * sizeof(complex));
}

API void fft_inverse(complex *x, I n)
{
    transform(x, n, 1);
    double scale = 1 / (double)n;
    for (I i = 0; i < n; i++)
        x[i] = {x[i].re * scale, x[i].im * scale};
}

API void fft_conjugate(complex *x, I n)
{
    transform(x, n, -1);
    for (I i = 0; i < n; i++)
        x[i].im = -x[i].im;
}

API void fft_forward(const complex *x, complex *out, I n)
{
    std::memcpy((void *)out, x, n * sizeof(complex));
    transform(out, n, -1);
}

// By the definition: n² terms, the roots of unity from a table.
API void fft_dft(const double *x, complex *out, I n)
{
    std::vector<complex> root(n);
    for (I k = 0; k < n; k++) {
        double angle = -2 * M_PI * (double)k / (double)n;
        root[k] = {std::cos(angle), std::sin(angle)};
    }
    for (I k = 0; k < n; k++) {
        complex sum = {0, 0};
        I at = 0;
        for (I j = 0; j < n; j++) {
            sum.re += x[j] * root[at].re;
            sum.im += x[j] * root[at].im;
            at += k;
            at -= at >= n ? n : 0;
        }
        out[k] = sum;
    }
}
