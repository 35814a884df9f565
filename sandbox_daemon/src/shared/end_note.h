// How a program came to its end other than by its last record: at the end of the memory that the
// broker and a zygote share. Written by code that the program cannot change (end_handler.h), or
// before the program began.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace azr {

// What the kernel says with a SIGSYS that a filter raised, as SYS_SECCOMP of <signal.h>: no process
// can send one that says so, even to itself.
inline constexpr int kRefusedByFilter = 1;

struct EndNote {
  int32_t signal = 0;   // that came; 0: none
  int32_t code = 0;     // why: its si_code
  int32_t syscall = 0;  // that was refused
  int32_t failed = 0;   // the exit status of a child that could not put on a layer; 0: it could
};

inline std::span<char> end_note_area(std::span<char> output) {
  return output.last(sizeof(EndNote));
}

// Of the records that come with a message, which end before it, there is none.
inline EndNote read_end_note(std::span<const char> output) {
  EndNote note;
  if (output.size() >= sizeof note) {
    std::memcpy(&note, output.last(sizeof note).data(), sizeof note);
  }
  return note;
}

}  // namespace azr
