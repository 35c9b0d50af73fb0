/* STREAM, Dot and NStream in CUDA C++; see stream_openmp.c for the kernels. -DSTREAM_FLOAT: float.
 *
 * The functions take device pointers and run in the legacy default stream, which is also CuPy's. They return
 * the CUDA error of the launch; stream_synchronize waits. Only Dot synchronizes by itself.
 *
 * Each thread moves two 16-byte vectors, with all loads before the stores, so that enough bytes are in flight
 * to cover the latency of the memory (Copy: 64 KiB per multiprocessor of 2048 threads). Pointers that are not
 * aligned to 16 bytes take the same kernels with vectors of one element.
 */
#include <cstdint>
#include <cuda_runtime.h>

#ifdef STREAM_FLOAT
typedef float real;
#else
typedef double real;
#endif

constexpr int BLOCK = 512;
constexpr int VECTORS = 2;

template <int WIDTH> struct alignas(WIDTH * sizeof(real)) Vec {
    real x[WIDTH];
};

/* The six kernels differ in the arrays they touch and in one expression. */
struct Copy {
    static constexpr bool reads_a = true, reads_b = false, reads_c = false;
    __device__ static real value(real a, real, real, real) { return a; }
};
struct Scale {
    static constexpr bool reads_a = false, reads_b = false, reads_c = true;
    __device__ static real value(real, real, real c, real s) { return s * c; }
};
struct Add {
    static constexpr bool reads_a = true, reads_b = true, reads_c = false;
    __device__ static real value(real a, real b, real, real) { return a + b; }
};
struct Triad {
    static constexpr bool reads_a = false, reads_b = true, reads_c = true;
    __device__ static real value(real, real b, real c, real s) { return b + s * c; }
};
struct NStream {
    static constexpr bool reads_a = true, reads_b = true, reads_c = true;
    __device__ static real value(real a, real b, real c, real s) { return a + (b + s * c); }
};

/* No __restrict__ on out: NStream reads the array that it writes. */
template <class Op, int WIDTH>
__global__ void __launch_bounds__(BLOCK)
    elementwise(const real *a, const real *b, const real *c, real *out, real s, int64_t n)
{
    using V = Vec<WIDTH>;
    const int64_t first = (int64_t)blockIdx.x * (BLOCK * VECTORS) + threadIdx.x, vectors = n / WIDTH;
    V va[VECTORS], vb[VECTORS], vc[VECTORS];
#pragma unroll
    for (int k = 0; k < VECTORS; k++) {
        const int64_t i = first + k * BLOCK;
        if (i < vectors) {
            if constexpr (Op::reads_a)
                va[k] = reinterpret_cast<const V *>(a)[i];
            if constexpr (Op::reads_b)
                vb[k] = reinterpret_cast<const V *>(b)[i];
            if constexpr (Op::reads_c)
                vc[k] = reinterpret_cast<const V *>(c)[i];
        }
    }
#pragma unroll
    for (int k = 0; k < VECTORS; k++) {
        const int64_t i = first + k * BLOCK;
        if (i < vectors) {
            V v;
#pragma unroll
            for (int j = 0; j < WIDTH; j++)
                v.x[j] = Op::value(Op::reads_a ? va[k].x[j] : s, Op::reads_b ? vb[k].x[j] : s,
                                   Op::reads_c ? vc[k].x[j] : s, s);
            reinterpret_cast<V *>(out)[i] = v;
        }
    }
    const int64_t rest = vectors * WIDTH + first; /* fewer than WIDTH elements */
    if (rest < n)
        out[rest] = Op::value(Op::reads_a ? a[rest] : s, Op::reads_b ? b[rest] : s,
                              Op::reads_c ? c[rest] : s, s);
}

template <class Op> static int launch(const real *a, const real *b, const real *c, real *out, real s, int64_t n)
{
    constexpr int WIDE = 16 / sizeof(real);
    if (n <= 0)
        return 0;
    const bool aligned = (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 15) == 0;
    const int64_t vectors = (aligned ? n / WIDE : n) + 1; /* one block at least */
    const unsigned blocks = (unsigned)((vectors + BLOCK * VECTORS - 1) / (BLOCK * VECTORS));
    if (aligned)
        elementwise<Op, WIDE><<<blocks, BLOCK>>>(a, b, c, out, s, n);
    else
        elementwise<Op, 1><<<blocks, BLOCK>>>(a, b, c, out, s, n);
    return cudaGetLastError();
}

extern "C" {
int stream_copy(real *a, real *b, real *c, real s, int64_t n) { return launch<Copy>(a, b, c, c, s, n); }
int stream_scale(real *a, real *b, real *c, real s, int64_t n) { return launch<Scale>(a, b, c, b, s, n); }
int stream_add(real *a, real *b, real *c, real s, int64_t n) { return launch<Add>(a, b, c, c, s, n); }
int stream_triad(real *a, real *b, real *c, real s, int64_t n) { return launch<Triad>(a, b, c, a, s, n); }
int stream_nstream(real *a, real *b, real *c, real s, int64_t n) { return launch<NStream>(a, b, c, a, s, n); }
int stream_synchronize(void) { return cudaStreamSynchronize(0); }
const char *stream_error(int code) { return cudaGetErrorString((cudaError_t)code); }
}

/* Grid-stride, with 16 bytes per load where aligned; a tree in shared memory; one partial sum per block. */
template <int WIDTH>
__global__ void __launch_bounds__(BLOCK) dot_kernel(const real *__restrict__ a, const real *__restrict__ b,
                                                    real *__restrict__ partial, int64_t n)
{
    using V = Vec<WIDTH>;
    __shared__ real sums[BLOCK];
    const int64_t first = (int64_t)blockIdx.x * BLOCK + threadIdx.x, stride = (int64_t)gridDim.x * BLOCK;
    const int64_t vectors = n / WIDTH;
    real sum = 0;
#pragma unroll 4
    for (int64_t i = first; i < vectors; i += stride) {
        const V va = reinterpret_cast<const V *>(a)[i], vb = reinterpret_cast<const V *>(b)[i];
#pragma unroll
        for (int j = 0; j < WIDTH; j++)
            sum += va.x[j] * vb.x[j];
    }
    const int64_t rest = vectors * WIDTH + first;
    if (rest < n)
        sum += a[rest] * b[rest];
    sums[threadIdx.x] = sum;
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sums[0];
}

/* The partial sums land in pinned host memory, which saves a copy and its latency. One call at a time. */
extern "C" int stream_dot(real *a, real *b, real *c, real s, int64_t n, real *result)
{
    static real *partial = nullptr;
    static int blocks = 0;
    (void)c, (void)s;
    if (partial == nullptr) {
        int device = 0, processors = 0;
        cudaError_t error = cudaGetDevice(&device);
        if (error == cudaSuccess)
            error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
        if (error == cudaSuccess)
            error = cudaHostAlloc((void **)&partial, 4 * processors * sizeof(real),
                                  cudaHostAllocMapped | cudaHostAllocPortable);
        if (error != cudaSuccess) {
            partial = nullptr;
            return error;
        }
        blocks = 4 * processors;
    }
    if ((((uintptr_t)a | (uintptr_t)b) & 15) == 0)
        dot_kernel<16 / sizeof(real)><<<blocks, BLOCK>>>(a, b, partial, n);
    else
        dot_kernel<1><<<blocks, BLOCK>>>(a, b, partial, n);
    cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(0);
    real sum = 0;
    for (int i = 0; error == cudaSuccess && i < blocks; i++)
        sum += partial[i];
    *result = sum;
    return error;
}
