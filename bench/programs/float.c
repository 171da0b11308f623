/* SPDX-License-Identifier: MIT */
/*
 * Floating-point rows, all in double precision and without the mathematical library, whose last bits
 * differ between hosts: bodies in orbit, the Mandelbrot set, linear equations, a product of matrices
 * by fused multiply-add, and a Fourier transform there and back.
 */
#include "row.h"

#include <stdbool.h>
#include <string.h>

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double fraction(uint64_t *seed)
{
    return (double)(random64(seed) >> 11) / 9007199254740992.0 - 0.5;
}

/* ---- Bodies: five masses that pull at each other. */

#define BODIES 5

typedef struct Body {
    double x, y, z, vx, vy, vz, mass;
} Body;

static __attribute__((noinline)) void advance(Body *body, double dt)
{
    for (unsigned i = 0; i < BODIES; i++) {
        for (unsigned k = i + 1; k < BODIES; k++) {
            double dx = body[i].x - body[k].x, dy = body[i].y - body[k].y,
                   dz = body[i].z - body[k].z;
            double d2 = dx * dx + dy * dy + dz * dz, pull = dt / (d2 * __builtin_sqrt(d2));

            body[i].vx -= dx * body[k].mass * pull;
            body[i].vy -= dy * body[k].mass * pull;
            body[i].vz -= dz * body[k].mass * pull;
            body[k].vx += dx * body[i].mass * pull;
            body[k].vy += dy * body[i].mass * pull;
            body[k].vz += dz * body[i].mass * pull;
        }
    }
    for (unsigned i = 0; i < BODIES; i++) {
        body[i].x += dt * body[i].vx;
        body[i].y += dt * body[i].vy;
        body[i].z += dt * body[i].vz;
    }
}

static uint64_t run_bodies(uint64_t count)
{
    Body body[BODIES] = {
        { 0, 0, 0, 0, 0, 0, 39.5 },
        { 4.8, -1.2, -0.1, 0.6, 2.8, -0.02, 0.04 },
        { 8.3, 4.1, -0.4, -1.0, 1.8, 0.008, 0.01 },
        { 12.9, -15.1, -0.2, 1.1, 0.9, -0.01, 0.002 },
        { 15.4, -25.9, 0.2, 1.0, 0.6, -0.03, 0.002 },
    };
    uint64_t sum = 0;

    row_begin();
    for (uint64_t i = 0; i < count; i++) {
        advance(body, 0.01);
    }
    row_end();
    for (unsigned i = 0; i < BODIES; i++) {
        sum = mix64(sum, bits_of(body[i].x) ^ bits_of(body[i].vz));
    }
    return sum;
}

/* ---- Mandelbrot. */

#define SIDE 96

static uint64_t run_mandelbrot(uint64_t count)
{
    uint64_t sum = 0;

    row_begin();
    for (uint64_t n = 0; n < count; n++) {
        for (unsigned row = 0; row < SIDE; row++) {
            unsigned inside = 0;

            for (unsigned column = 0; column < SIDE; column++) {
                double cr = 3.0 * column / SIDE - 2.2, ci = 2.4 * row / SIDE - 1.2;
                double zr = 0, zi = 0, r2 = 0, i2 = 0;
                unsigned steps = 0;

                while (steps < 200 && r2 + i2 <= 4.0) {
                    zi = 2 * zr * zi + ci;
                    zr = r2 - i2 + cr;
                    r2 = zr * zr;
                    i2 = zi * zi;
                    steps++;
                }
                inside += steps;
            }
            sum = mix64(sum, inside);
        }
    }
    row_end();
    return sum;
}

/* ---- Linear equations: elimination with pivots, then putting in backwards. */

#define ORDER 160

static __attribute__((noinline)) void add_scaled(double *to, const double *from, double by, int n)
{
    for (int i = 0; i < n; i++) {
        to[i] += by * from[i];
    }
}

static __attribute__((noinline)) bool solve(double a[ORDER][ORDER], double *b)
{
    for (int k = 0; k < ORDER; k++) {
        int pivot = k;

        for (int i = k + 1; i < ORDER; i++) {
            if (__builtin_fabs(a[i][k]) > __builtin_fabs(a[pivot][k])) {
                pivot = i;
            }
        }
        if (a[pivot][k] == 0) {
            return false;
        }
        if (pivot != k) {
            double other = b[k];

            for (int j = 0; j < ORDER; j++) {
                double t = a[k][j];

                a[k][j] = a[pivot][j];
                a[pivot][j] = t;
            }
            b[k] = b[pivot];
            b[pivot] = other;
        }
        for (int i = k + 1; i < ORDER; i++) {
            double by = -a[i][k] / a[k][k];

            add_scaled(&a[i][k + 1], &a[k][k + 1], by, ORDER - k - 1);
            b[i] += by * b[k];
        }
    }
    for (int k = ORDER - 1; k >= 0; k--) {
        for (int j = k + 1; j < ORDER; j++) {
            b[k] -= a[k][j] * b[j];
        }
        b[k] /= a[k][k];
    }
    return true;
}

#define LINPACK_FLOPS (2.0 / 3 * ORDER * ORDER * ORDER + 2.0 * ORDER * ORDER)

static uint64_t run_linpack(uint64_t count)
{
    static double a[ORDER][ORDER], b[ORDER];
    uint64_t seed = 88172645463325252, sum = 0;

    for (uint64_t n = 0; n < count; n++) {
        for (int i = 0; i < ORDER; i++) {
            b[i] = 0;
            for (int j = 0; j < ORDER; j++) {
                a[i][j] = fraction(&seed);
                b[i] += a[i][j];
            }
        }
        row_begin();
        if (!solve(a, b)) {
            row_fail("the equations have no solution");
        }
        row_end();
        for (int i = 0; i < ORDER; i++) {
            /* By construction all unknowns are 1. */
            if (!(b[i] > 0.999999 && b[i] < 1.000001)) {
                row_fail("the solution is wrong");
            }
            sum = mix64(sum, bits_of(b[i]));
        }
    }
    return sum;
}

/* ---- A product of matrices, four by four sums at a time, by fused multiply-add. */

#define MATRIX 96
#define MATMUL_FLOPS (2.0 * MATRIX * MATRIX * MATRIX)

#if defined(__x86_64__)
__attribute__((target("fma")))
#endif
static __attribute__((noinline)) void
multiply(double (*to)[MATRIX], double (*a)[MATRIX], double (*b)[MATRIX])
{
    for (int i = 0; i < MATRIX; i += 4) {
        for (int j = 0; j < MATRIX; j += 4) {
            double sum[4][4] = { { 0 } };

            for (int k = 0; k < MATRIX; k++) {
#pragma GCC unroll 4
                for (int y = 0; y < 4; y++) {
#pragma GCC unroll 4
                    for (int x = 0; x < 4; x++) {
                        sum[y][x] = __builtin_fma(a[i + y][k], b[k][j + x], sum[y][x]);
                    }
                }
            }
            for (int y = 0; y < 4; y++) {
                for (int x = 0; x < 4; x++) {
                    to[i + y][j + x] = sum[y][x];
                }
            }
        }
    }
}

static uint64_t run_matmul(uint64_t count)
{
    static double m[2][MATRIX][MATRIX], factor[MATRIX][MATRIX];
    uint64_t seed = 88172645463325252, sum = 0;

#if defined(__x86_64__)
    if (!__builtin_cpu_supports("fma")) {
        row_fail("this processor has no fused multiply-add");
    }
#endif
    for (int i = 0; i < MATRIX; i++) {
        for (int j = 0; j < MATRIX; j++) {
            m[0][i][j] = fraction(&seed);
            factor[i][j] = fraction(&seed) * 0.35; /* so that products of products stay small */
        }
    }
    row_begin();
    for (uint64_t n = 0; n < count; n++) {
        multiply(m[(n + 1) & 1], m[n & 1], factor);
    }
    row_end();
    for (int i = 0; i < MATRIX; i++) {
        for (int j = 0; j < MATRIX; j++) {
            sum = mix64(sum, bits_of(m[count & 1][i][j]));
        }
    }
    return sum;
}

/* ---- Fourier transform, radix 2; the roots of unity by halving angles. */

#define POINTS 4096

typedef struct Complex {
    double re, im;
} Complex;

static Complex roots[POINTS / 2];

static void make_roots(void)
{
    Complex step[16];

    /* step[n]: the 2^n-th root of unity, from the one before by the half-angle formulae. */
    step[1] = (Complex){ -1, 0 };
    step[2] = (Complex){ 0, -1 };
    for (unsigned n = 3; 1u << n <= POINTS; n++) {
        double c = step[n - 1].re;

        step[n].re = __builtin_sqrt((1 + c) / 2);
        step[n].im = -__builtin_sqrt((1 - c) / 2);
    }
    for (unsigned i = 0; i < POINTS / 2; i++) {
        Complex z = { 1, 0 };

        for (unsigned n = 2; 1u << n <= POINTS; n++) {
            if (i & POINTS >> n) {
                z = (Complex){ z.re * step[n].re - z.im * step[n].im,
                               z.re * step[n].im + z.im * step[n].re };
            }
        }
        roots[i] = z;
    }
}

static __attribute__((noinline)) void transform(Complex *data, double sign)
{
    for (unsigned i = 1, k = 0; i < POINTS; i++) {
        unsigned bit = POINTS >> 1;

        for (; k & bit; bit >>= 1) {
            k ^= bit;
        }
        k |= bit;
        if (i < k) {
            Complex other = data[i];

            data[i] = data[k];
            data[k] = other;
        }
    }
    for (unsigned half = 1, stride = POINTS / 2; half < POINTS; half *= 2, stride /= 2) {
        for (unsigned at = 0; at < POINTS; at += 2 * half) {
            for (unsigned i = 0; i < half; i++) {
                Complex w = roots[i * stride], *a = &data[at + i], *b = a + half;
                double wi = w.im * sign;
                double re = b->re * w.re - b->im * wi, im = b->re * wi + b->im * w.re;

                b->re = a->re - re;
                b->im = a->im - im;
                a->re += re;
                a->im += im;
            }
        }
    }
}

static uint64_t run_fft(uint64_t count)
{
    static Complex data[POINTS], start[POINTS];
    uint64_t seed = 88172645463325252, sum = 0;

    make_roots();
    for (unsigned i = 0; i < POINTS; i++) {
        start[i] = data[i] = (Complex){ fraction(&seed), fraction(&seed) };
    }
    row_begin();
    for (uint64_t n = 0; n < count; n++) {
        transform(data, 1);
        transform(data, -1);
        for (unsigned i = 0; i < POINTS; i++) {
            data[i].re *= 1.0 / POINTS;
            data[i].im *= 1.0 / POINTS;
        }
    }
    row_end();
    for (unsigned i = 0; i < POINTS; i++) {
        if (__builtin_fabs(data[i].re - start[i].re) > 1e-9 ||
            __builtin_fabs(data[i].im - start[i].im) > 1e-9) {
            row_fail("there and back is not where it began");
        }
        sum = mix64(sum, bits_of(data[i].re) ^ bits_of(data[i].im) << 1);
    }
    return sum;
}

const Row float_rows[] = {
    { "n-body", "Msteps/s", 300000, 1e-6, run_bodies },
    { "mandelbrot", "ms", 5, 0, run_mandelbrot },
    { "linpack", "MFLOPS", 40, LINPACK_FLOPS * 1e-6, run_linpack },
    { "matmul", "MFLOPS", 60, MATMUL_FLOPS * 1e-6, run_matmul },
    { "fft", "ms", 40, 0, run_fft },
    { 0 },
};
