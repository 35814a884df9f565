// Cutting text so that what is left is still UTF-8: clients may decode every reply.
#pragma once

#include <string_view>

namespace azr {

// The first `most` bytes of `text`, less the character that does not fit whole.
inline std::string_view cut_utf8(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace azr
