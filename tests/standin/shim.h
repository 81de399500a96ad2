// Just enough of CUDA C++ for the host's compiler to compile a kernel and run it.
#include <stddef.h>
#include <ucontext.h>

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__ static
#define __forceinline__ inline
#define __shared__ static
#define __restrict__

typedef _Float16 half;

#define MATHS(name) \
    static inline float name(float x) { return __builtin_##name##f(x); } \
    static inline double name(double x) { return __builtin_##name(x); }
MATHS(exp) MATHS(log) MATHS(sqrt) MATHS(fabs)
#undef MATHS
template <class N> static inline N min(N a, N b) { return b < a ? b : a; }
template <class N> static inline N max(N a, N b) { return a < b ? b : a; }
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)(((unsigned long long)a * b) >> 32);
}

// --- the types of a kernel's parameters, for the caller to check what it passes ---------

template <class A> struct Kind {
    static constexpr char code = A(-1) < A(0) ? 'i' : 'u';
    static constexpr int size = sizeof(A), pointer = 0;
};
template <> struct Kind<bool> { static constexpr char code = 'b'; static constexpr int size = 1, pointer = 0; };
template <> struct Kind<half> { static constexpr char code = 'f'; static constexpr int size = 2, pointer = 0; };
template <> struct Kind<float> { static constexpr char code = 'f'; static constexpr int size = 4, pointer = 0; };
template <> struct Kind<double> { static constexpr char code = 'f'; static constexpr int size = 8, pointer = 0; };
template <class A> struct Kind<const A> : Kind<A> {};
template <class A> struct Kind<A*> {
    static constexpr char code = Kind<A>::code;
    static constexpr int size = Kind<A>::size, pointer = 1;
};

struct Parameter { char code; int size, pointer; };

template <size_t...> struct Numbers {};
template <size_t N, size_t... Rest> struct UpTo : UpTo<N - 1, N - 1, Rest...> {};
template <size_t... All> struct UpTo<0, All...> { typedef Numbers<All...> type; };

template <class... A> static int describe(void (*)(A...), Parameter* into) {
    Parameter all[] = {{Kind<A>::code, Kind<A>::size, Kind<A>::pointer}...};
    for (size_t i = 0; i < sizeof...(A); i++) into[i] = all[i];
    return sizeof...(A);
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, Numbers<I...>) {
    kernel(*(A*)arguments[I]...);
}
template <class... A> static void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, typename UpTo<sizeof...(A)>::type());
}

// --- a block of threads that wait for one another: each is a fibre with its own stack ----

static const unsigned STACK = 1 << 15, MOST = 1024;
static ucontext_t scheduler, fibres[MOST];
static char stacks[MOST][STACK];
static bool over[MOST];
static unsigned running;
static void** passed;

static void __syncthreads() { swapcontext(&fibres[running], &scheduler); }

static void place(unsigned number) {
    running = number;
    threadIdx.x = number % blockDim.x;
    threadIdx.y = number / blockDim.x % blockDim.y;
    threadIdx.z = number / blockDim.x / blockDim.y;
}

#define LAUNCHER(kernel) \
    static void fibre() { \
        call(kernel, passed); \
        over[running] = true; \
        swapcontext(&fibres[running], &scheduler); \
    } \
    static void block(unsigned count, int waits, int backwards) { \
        for (unsigned i = 0; i < count && !waits; i++) { \
            place(backwards ? count - 1 - i : i); \
            call(kernel, passed); \
        } \
        for (unsigned i = 0; i < count && waits; i++) { \
            over[i] = false; \
            getcontext(&fibres[i]); \
            fibres[i].uc_stack.ss_sp = stacks[i]; \
            fibres[i].uc_stack.ss_size = STACK; \
            makecontext(&fibres[i], fibre, 0); \
        } \
        for (unsigned left = waits ? count : 0; left;) \
            for (unsigned i = 0; i < count; i++) { \
                unsigned number = backwards ? count - 1 - i : i; \
                if (over[number]) continue; \
                place(number); \
                swapcontext(&scheduler, &fibres[number]); \
                left -= over[number]; \
            } \
    } \
    extern "C" int parameters(Parameter* into) { return describe(kernel, into); } \
    extern "C" void launch(const unsigned* sizes, void** arguments, int waits, int backwards) { \
        gridDim = {sizes[0], sizes[1], sizes[2]}; \
        blockDim = {sizes[3], sizes[4], sizes[5]}; \
        passed = arguments; \
        unsigned blocks = sizes[0] * sizes[1] * sizes[2]; \
        for (unsigned i = 0; i < blocks; i++) { \
            unsigned at = backwards ? blocks - 1 - i : i; \
            blockIdx = {at % sizes[0], at / sizes[0] % sizes[1], at / sizes[0] / sizes[1]}; \
            block(sizes[3] * sizes[4] * sizes[5], waits, backwards); \
        } \
    }
