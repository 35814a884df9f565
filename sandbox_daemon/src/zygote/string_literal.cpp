#include "string_literal.h"

#include <cstdint>

#include "values.h"

namespace azr {
namespace {

struct Prefix {
  size_t length = 0;
  bool bytes = false;
  bool raw = false;
  bool valid = true;
};

Prefix read_prefix(std::string_view text) {
  Prefix prefix;
  bool unicode = false;
  for (; prefix.length < text.size() && prefix.length < 3; ++prefix.length) {
    const char c = static_cast<char>(text[prefix.length] | 32);
    bool* seen = c == 'b' ? &prefix.bytes : c == 'r' ? &prefix.raw : c == 'u' ? &unicode : nullptr;
    if (seen == nullptr) break;
    prefix.valid = prefix.valid && !*seen;
    *seen = true;
  }
  prefix.valid = prefix.valid && !(unicode && (prefix.bytes || prefix.raw));
  return prefix;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

class StringReader {
 public:
  StringReader(std::string_view text, size_t& at) : text_(text), at_(at) {}
  StringLiteral read();

 private:
  char next() {
    if (at_ >= text_.size()) throw BadLiteral{"unterminated string"};
    return text_[at_++];
  }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  void read_char(bool raw, bool triple);
  void read_escape();
  void simple_escape(char c);
  void put_source(char c);
  void put(uint32_t code);
  uint32_t digits(int base, int most, int least);

  std::string_view text_;
  size_t& at_;
  StringLiteral literal_;
};

void StringReader::put(uint32_t code) {
  if (literal_.is_bytes) {
    literal_.body += static_cast<char>(code);
  } else if (code > 0x10ffff) {
    throw BadLiteral{"escape beyond U+10FFFF"};
  } else {
    append_utf8(literal_.body, code);
  }
}

uint32_t StringReader::digits(int base, int most, int least) {
  uint32_t value = 0;
  int count = 0;
  for (; count < most && at_ < text_.size() && digit_value(text_[at_]) < base; ++count) {
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit_value(text_[at_++]));
  }
  if (count < least) throw BadLiteral{"truncated escape in a string"};
  return value;
}

void StringReader::read_escape() {
  const char c = next();
  if (c == '\r') {
    take("\n");
  } else if (c == 'x') {
    put(digits(16, 2, 2));
  } else if (c >= '0' && c <= '7') {
    --at_;
    put(digits(8, 3, 1));
  } else if (!literal_.is_bytes && c == 'u') {
    put(digits(16, 4, 4));
  } else if (!literal_.is_bytes && c == 'U') {
    put(digits(16, 8, 8));
  } else if (!literal_.is_bytes && c == 'N') {
    throw BadLiteral{"named characters are not supported"};
  } else {
    simple_escape(c);
  }
}

void StringReader::simple_escape(char c) {
  static constexpr std::string_view kFrom = "\\'\"abfnrtv";
  static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
  if (c == '\n') return;
  const size_t known = kFrom.find(c);
  if (known == std::string_view::npos) {
    literal_.body += '\\';  // as Python does: an unknown escape stands for itself
    --at_;
  } else {
    literal_.body += kTo[known];
  }
}

// As it stands, save that every end of a line is one '\n'.
void StringReader::put_source(char c) {
  if (literal_.is_bytes && (c & 0x80) != 0) throw BadLiteral{"non-ASCII character in bytes"};
  if (c == '\r') take("\n");
  literal_.body += c == '\r' ? '\n' : c;
}

void StringReader::read_char(bool raw, bool triple) {
  const char c = next();
  if (c == '\\' && !raw) return read_escape();
  if ((c == '\n' || c == '\r') && !triple) throw BadLiteral{"newline in a string"};
  put_source(c);
  if (c == '\\') put_source(next());
}

StringLiteral StringReader::read() {
  const Prefix prefix = read_prefix(text_.substr(at_));
  literal_.is_bytes = prefix.bytes;
  at_ += prefix.length;
  const std::string_view quote = text_.substr(at_, 1);
  std::string_view end = text_.substr(at_, 3);
  const bool triple = end == std::string(3, quote[0]);
  if (!triple) end = quote;
  at_ += end.size();
  while (!take(end)) read_char(prefix.raw, triple);
  return std::move(literal_);
}

}  // namespace

bool string_starts(std::string_view text) {
  const Prefix prefix = read_prefix(text);
  return prefix.valid && prefix.length < text.size() &&
         (text[prefix.length] == '\'' || text[prefix.length] == '"');
}

StringLiteral read_string(std::string_view text, size_t& at) {
  return StringReader(text, at).read();
}

}  // namespace azr
