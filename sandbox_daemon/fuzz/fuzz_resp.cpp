// The request parser: the same commands and the same fault however the bytes are cut; what it
// understood, written out as a client would, is understood the same.
#include <algorithm>
#include <random>
#include <vector>

#include "fuzz.h"
#include "resp/resp.h"

namespace {

using azr::Command;
using azr::RespParser;

constexpr size_t kLong = RespParser::kMaxInline / 2;

struct Parsed {
  std::vector<Command> commands;
  std::string fault;

  void take(RespParser& parser) {
    while (auto command = parser.next()) commands.push_back(std::move(*command));
    fault = parser.fault();
  }
  bool operator==(const Parsed&) const = default;
};

Parsed whole(std::string_view bytes) {
  Parsed parsed;
  RespParser parser;
  parser.feed(bytes);
  parsed.take(parser);
  return parsed;
}

// Cut at places that follow from the bytes, so that a failure can be repeated.
Parsed in_pieces(std::string_view bytes, size_t longest) {
  std::minstd_rand random(static_cast<unsigned>(std::hash<std::string_view>{}(bytes)));
  Parsed parsed;
  RespParser parser;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, 1 + random() % longest);
    bytes.remove_prefix(piece.size());
    parser.feed(piece);
    parsed.take(parser);
  }
  return parsed;
}

std::string written(const std::vector<Command>& commands) {
  std::string text;
  for (const auto& command : commands) {
    text += "*" + std::to_string(command.size()) + "\r\n";
    for (const auto& word : command) {
      text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
  }
  return text;
}

// A long line cannot be an input of a few bytes: a `~` at its start stands for nearly all of one.
std::string expanded(std::string input) {
  if (!input.starts_with('~')) return input;
  return input.replace(0, 1, RespParser::kMaxInline - 4, 'a');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input = expanded(azr::fuzz::copy_of(data, size));
  const Parsed parsed = whole(input);
  HOLDS(in_pieces(input, input.size() > kLong ? 20000 : 7) == parsed);
  HOLDS(in_pieces(input, input.size() > kLong ? 70000 : 100) == parsed);
  for (const auto& command : parsed.commands) HOLDS(!command.empty());
  const Parsed again = whole(written(parsed.commands));
  HOLDS(again.fault.empty() && again.commands == parsed.commands);
  return 0;
}
