// A test in a real interpreter, whose process ends without taking that down.
#pragma once

#include <unistd.h>

#include <cstdio>

#include "error.h"
#include "expect.h"
#include "interpreter.h"
#include "options.h"

// Ends the process.
[[noreturn]] inline void test_in_interpreter(const char* preload, void (*test)()) {
  try {
    azr::start_interpreter({0, preload});
    test();
    ::_exit(test_result());
  } catch (const azr::StartError& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  ::_exit(1);
}
