#include "mutate.h"

#include <algorithm>
#include <cstdint>

namespace azr::fuzz {
namespace {

size_t below(size_t bound, Random& random) { return bound == 0 ? 0 : random() % bound; }

std::string slice_of(const std::string& text, Random& random) {
  const size_t at = below(text.size(), random);
  return text.substr(at, 1 + below(std::min<size_t>(text.size() - at, 32), random));
}

void flip_bit(std::string& input, Random& random) {
  if (input.empty()) return;
  char& byte = input[below(input.size(), random)];
  byte = static_cast<char>(byte ^ (1 << below(8, random)));
}

void put_byte(std::string& input, Random& random) {
  input.insert(below(input.size() + 1, random), 1, static_cast<char>(random()));
}

void erase_slice(std::string& input, Random& random) {
  input.erase(below(input.size(), random), 1 + below(8, random));
}

void repeat_slice(std::string& input, Random& random) {
  const std::string slice = slice_of(input, random);
  const size_t at = below(input.size() + 1, random);
  for (size_t times = 1 + below(random() % 16 == 0 ? 100 : 3, random); times > 0; --times) {
    input.insert(at, slice);
  }
}

// The numbers at which lengths go wrong, in bytes as they lie in memory.
void put_number(std::string& input, Random& random) {
  const uint64_t edge = uint64_t{1} << below(64, random);
  const uint64_t value = edge + below(3, random) - 1;
  const size_t bytes = size_t{1} << below(4, random);
  const size_t at = below(input.size() + 1, random);
  input.replace(at, bytes, reinterpret_cast<const char*>(&value), bytes);
}

void put_digits(std::string& input, Random& random) {
  const uint64_t value = (uint64_t{1} << below(64, random)) + below(3, random) - 1;
  const size_t at =
      std::min(input.find_first_of("0123456789", below(input.size(), random)), input.size());
  const size_t end = std::min(input.find_first_not_of("0123456789", at), input.size());
  input.replace(at, end - at, std::to_string(value));
}

void put_slice_of_another(std::string& input, const std::string& other, Random& random) {
  const size_t at = below(input.size() + 1, random);
  const std::string slice = slice_of(other, random);
  input.replace(at, random() % 2 == 0 ? slice.size() : 0, slice);
}

void change_once(std::string& input, const std::vector<std::string>& others, Random& random) {
  switch (random() % 7) {
    case 0:
      return flip_bit(input, random);
    case 1:
      return put_byte(input, random);
    case 2:
      return erase_slice(input, random);
    case 3:
      return repeat_slice(input, random);
    case 4:
      return put_number(input, random);
    case 5:
      return put_digits(input, random);
    default:
      return put_slice_of_another(input, others[below(others.size(), random)], random);
  }
}

}  // namespace

std::string mutate(std::string input, const std::vector<std::string>& others, Random& random) {
  for (size_t times = 1 + below(5, random); times > 0; --times) {
    change_once(input, others, random);
  }
  if (input.size() > kMaxInput) input.resize(kMaxInput);
  return input;
}

}  // namespace azr::fuzz
