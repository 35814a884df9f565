// A place in the text of literals: what is next, and refusals that say where.
#pragma once

#include <string>
#include <string_view>

#include "values.h"

namespace azr {

class TextCursor {
 public:
  explicit TextCursor(std::string_view text) : text_(text) {}

 protected:
  [[noreturn]] void refuse(const std::string& what) const {
    throw BadLiteral{what + " at byte " + std::to_string(at_)};
  }
  bool at_end() const { return at_ >= text_.size(); }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  std::string_view rest() const { return text_.substr(at_); }
  void skip_space() {
    while (!at_end() && std::string_view(" \t\r\n\f").find(peek()) != text_.npos) ++at_;
  }
  // Whether `c` is next, which is then passed.
  bool take(char c) {
    skip_space();
    if (at_end() || peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(std::string("expected '") + c + "'");
  }
  std::string take_while(bool (*accept)(char)) {
    const size_t begin = at_;
    while (accept(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace azr
