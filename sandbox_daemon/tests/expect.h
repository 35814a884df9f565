// The whole test framework: a failed expectation is printed and makes the process fail.
#pragma once

#include <cstdio>
#include <cstdlib>

inline int g_failures = 0;

#define EXPECT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) {                                                    \
      ++g_failures;                                                        \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                      \
  } while (0)

inline int test_result() {
  if (g_failures != 0) std::fprintf(stderr, "%d expectations failed\n", g_failures);
  return g_failures == 0 ? 0 : 1;
}
