// RESP: what clients send, whole, in pieces and hostile; what they get in either version.
#include <random>

#include "expect.h"
#include "resp/resp.h"
#include "resp/resp_writer.h"

namespace {

using azr::Command;
using azr::RespParser;
using azr::RespWriter;

std::string encode(const Command& command) {
  std::string text = "*" + std::to_string(command.size()) + "\r\n";
  for (const auto& word : command) {
    text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return text;
}

void whole_commands() {
  RespParser parser;
  const std::string binary("a\r\n\0b", 5);
  parser.feed(encode({"PING"}) + encode({"CALL", binary, "", "1"}) + "PING  x\r\n\r\nINFO\n");
  EXPECT(parser.next() == Command{"PING"});
  EXPECT((parser.next() == Command{"CALL", binary, "", "1"}));
  EXPECT((parser.next() == Command{"PING", "x"}));
  EXPECT(parser.next() == Command{"INFO"});
  EXPECT(!parser.next() && parser.fault().empty());
}

void byte_by_byte() {
  const Command command = {"RUN", std::string(3000, 'x'), ""};
  RespParser parser;
  int found = 0;
  for (int i = 0; i < 3; ++i) {
    for (const char c : encode(command)) {
      parser.feed({&c, 1});
      if (const auto got = parser.next()) found += *got == command;
    }
  }
  EXPECT(found == 3);
}

void random_pieces() {
  std::mt19937 random(7);
  std::string stream;
  for (int i = 0; i < 200; ++i) stream += encode({"CALL", std::string(random() % 500, 'p'), "f"});
  RespParser parser;
  int found = 0;
  for (size_t at = 0; at < stream.size();) {
    const size_t size = std::min<size_t>(1 + random() % 700, stream.size() - at);
    parser.feed(std::string_view(stream).substr(at, size));
    at += size;
    while (parser.next()) ++found;
  }
  EXPECT(found == 200 && parser.fault().empty());
}

void is_fault(const std::string& text) {
  RespParser parser;
  parser.feed(text);
  EXPECT(!parser.next());
  EXPECT(!parser.fault().empty());
  parser.feed(encode({"PING"}));
  EXPECT(!parser.next());  // a fault is for good
}

void hostile() {
  is_fault("*99999999\r\n");
  is_fault("*-1\r\n");
  is_fault("*1x\r\n");
  is_fault("*1\r\n:5\r\n");
  is_fault("*1\r\n$99999999999\r\n");
  is_fault("*1\r\n$-5\r\n");
  is_fault("*1\r\n$18446744073709551616\r\n");
  is_fault("*1\r\n$3\r\nabcd\r\n");
  is_fault("*2\r\n$99999\r\n");  // no command has such a name
  is_fault(std::string(RespParser::kMaxInline + 1, 'x'));
  is_fault("*1\r\n$" + std::string(RespParser::kMaxInline + 1, '1'));
  is_fault(std::string(RespParser::kMaxInline + 1, 'x') + "\r\n");
}

void total_is_capped() {
  RespParser parser;
  const std::string bulk =
      "$" + std::to_string(RespParser::kMaxBulk) + "\r\n" + std::string(RespParser::kMaxBulk, 'x');
  parser.feed("*9\r\n$3\r\nRUN\r\n");
  for (int i = 0; i < 3 && parser.fault().empty(); ++i) {
    parser.feed(bulk + "\r\n");
    EXPECT(!parser.next());
  }
  EXPECT(parser.fault() == "request too large");
}

// A command's own bounds hold as soon as its name is there.
void bounds_of_a_command() {
  const auto fault = [](const std::string& text) {
    RespParser parser({.bounds = [](std::string_view name) {
      return name == "SMALL" ? azr::RequestBounds{3, 20} : RespParser::kMost;
    }});
    parser.feed(text);
    while (parser.next()) {
    }
    return parser.fault();
  };
  EXPECT(fault(encode({"SMALL", "1234567890", "12345"})).empty());
  EXPECT(fault("*4\r\n$5\r\nSMALL\r\n") == "too many words for this command");
  EXPECT(fault("SMALL 1 2 3\r\n") == "too many words for this command");
  EXPECT(fault("*2\r\n$5\r\nSMALL\r\n$16\r\n") == "request too large");
  EXPECT(fault(encode({"LARGE", "1", "2", std::string(99, '3')})).empty());
}

// What may not be kept is read past, and told from what was.
void not_kept() {
  bool keep = false;
  RespParser parser({.may_keep = [&keep](size_t size) { return keep || size < 10; }});
  parser.feed(encode({"RUN", std::string(99, 'x'), "STDIN", "y"}) + encode({"PING"}));
  EXPECT(parser.next() == Command{"RUN"} && !parser.was_kept());
  EXPECT(parser.next() == Command{"PING"} && parser.was_kept());
  keep = true;
  const Command whole = {"RUN", std::string(99, 'x')};
  parser.feed(encode(whole));
  EXPECT(parser.next() == whole && parser.was_kept());
}

void empty_array_is_skipped() {
  RespParser parser;
  parser.feed("*0\r\n" + encode({"PING"}));
  EXPECT(parser.next() == Command{"PING"});
}

void random_bytes() {
  std::mt19937 random(11);
  const std::string letters = "*$\r\n0123456789-:+x ";
  for (int round = 0; round < 20000; ++round) {
    RespParser parser;
    std::string text;
    for (size_t i = random() % 40; i > 0; --i) text += letters[random() % letters.size()];
    parser.feed(text);
    while (const auto command = parser.next()) EXPECT(!command->empty());
  }
}

std::string whole(const azr::Reply& reply) {
  std::string text;
  for (const std::string& piece : reply) text += piece;
  return text;
}

// Its text is the same wherever it is cut.
void long_texts() {
  const std::string text(1 << 20, 'x');
  RespWriter copying(3), taking(3);
  copying.map(2);
  copying.field("a", std::string_view(text));
  copying.field("b", std::string_view("short"));
  taking.map(2);
  taking.long_field("a", text);
  taking.long_field("b", "short");
  const azr::Reply pieces = taking.take();
  EXPECT(pieces.size() == 3 && whole(pieces) == whole(copying.take()));
}

void replies() {
  for (const int version : {2, 3}) {
    RespWriter out(version);
    out.map(2);
    out.field("a", std::optional<int64_t>(-1));
    out.text_or_null("b", "");
    const std::string expected = version == 3 ? "%2\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n_\r\n"
                                              : "*4\r\n$1\r\na\r\n:-1\r\n$1\r\nb\r\n$-1\r\n";
    EXPECT(whole(out.take()) == expected);
  }
  RespWriter out(3);
  out.error("ERR two\r\nlines");
  EXPECT(whole(out.take()) == "-ERR two  lines\r\n");
}

}  // namespace

int main() {
  whole_commands();
  byte_by_byte();
  random_pieces();
  hostile();
  total_is_capped();
  bounds_of_a_command();
  not_kept();
  empty_array_is_skipped();
  random_bytes();
  replies();
  long_texts();
  return test_result();
}
