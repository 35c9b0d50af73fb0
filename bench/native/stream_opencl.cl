/* STREAM, Dot and NStream in OpenCL C; see stream_openmp.c for the kernels. -DSTREAM_FLOAT: float.
 *
 * The element-wise kernels have no bounds check: the host starts exactly n work items, in two launches where
 * the work-group size does not divide n. On PoCL a check alone halves the speed, as the loop over a group's
 * work items then needs masked stores.
 */
#ifdef STREAM_FLOAT
typedef float real;
typedef float8 real8;
#else
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
typedef double real;
typedef double8 real8;
#endif
/* A buffer over the host's memory may be aligned to single elements only. */
typedef real8 unaligned8 __attribute__((aligned(sizeof(real))));

#define IN global const real *restrict
#define OUT global real *restrict

kernel void copy(IN a, OUT b, OUT c, real s)
{
    size_t i = get_global_id(0);
    c[i] = a[i];
}

kernel void scale(IN a, OUT b, IN c, real s)
{
    size_t i = get_global_id(0);
    b[i] = s * c[i];
}

kernel void add(IN a, IN b, OUT c, real s)
{
    size_t i = get_global_id(0);
    c[i] = a[i] + b[i];
}

kernel void triad(OUT a, IN b, IN c, real s)
{
    size_t i = get_global_id(0);
    a[i] = b[i] + s * c[i];
}

kernel void nstream(OUT a, IN b, IN c, real s)
{
    size_t i = get_global_id(0);
    a[i] += b[i] + s * c[i];
}

/* Sums the work-group's local array into element 0; the group size is a power of two. */
void tree(local real *sums)
{
    size_t l = get_local_id(0);
    for (size_t half_size = get_local_size(0) / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l < half_size)
            sums[l] += sums[l + half_size];
    }
}

/* For GPUs: neighbouring work items read neighbouring elements. One partial sum per group. */
kernel void dot_strided(IN a, IN b, global real *partial, local real *sums, long n)
{
    real sum = 0;
    for (long i = get_global_id(0); i < n; i += get_global_size(0))
        sum += a[i] * b[i];
    sums[get_local_id(0)] = sum;
    tree(sums);
    if (get_local_id(0) == 0)
        partial[get_group_id(0)] = sums[0];
}

/* For CPUs: each work item reads a contiguous part, in vectors (15 times faster than the above on PoCL).
 * Not vload8: PoCL 3.0 with LLVM 14 returns wrong values for it on AVX-512 machines. */
kernel void dot_blocked(IN a, IN b, global real *partial, local real *sums, long n)
{
    long steps = n / 32, per_item = (steps + get_global_size(0) - 1) / get_global_size(0);
    long first = get_global_id(0) * per_item, last = min(first + per_item, steps);
    global const unaligned8 *a8 = (global const unaligned8 *)a, *b8 = (global const unaligned8 *)b;
    real8 sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    for (long i = 4 * first; i < 4 * last; i += 4) {
        sum0 += a8[i] * b8[i];
        sum1 += a8[i + 1] * b8[i + 1];
        sum2 += a8[i + 2] * b8[i + 2];
        sum3 += a8[i + 3] * b8[i + 3];
    }
    sum0 = (sum0 + sum1) + (sum2 + sum3);
    real sum = ((sum0.s0 + sum0.s4) + (sum0.s1 + sum0.s5)) + ((sum0.s2 + sum0.s6) + (sum0.s3 + sum0.s7));
    if (get_global_id(0) == 0)
        for (long i = steps * 32; i < n; i++)
            sum += a[i] * b[i];
    sums[get_local_id(0)] = sum;
    tree(sums);
    if (get_local_id(0) == 0)
        partial[get_group_id(0)] = sums[0];
}
