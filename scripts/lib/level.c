/* Which instructions this processor has: 3 for those of x86-64-v3 (AVX2, BMI, FMA, MOVBE; the system keeps its registers), or 2. */
#include <cpuid.h>

#define HAS(bits, mask) (((bits) & (mask)) == (mask))

long long labkit_level(void) {
    unsigned a, b, c, d, ones = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C, kept, rest;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !HAS(c, ones)) return 2;
    __asm__("xgetbv" : "=a"(kept), "=d"(rest) : "c"(0));
    if (!HAS(kept, 6u)) return 2;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !HAS(b, bit_AVX2 | bit_BMI | bit_BMI2)) return 2;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !HAS(c, bit_LZCNT)) return 2;
    return 3;
}
