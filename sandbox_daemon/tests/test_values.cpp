// The codec of plain values, in a real interpreter: text to value to text, and everything hostile.
#include <pybind11/embed.h>

#include <random>

#include "expect.h"
#include "in_interpreter.h"
#include "python_error.h"
#include "values.h"

namespace py = pybind11;

namespace {

using namespace azr;

// The canonical text of an expression's value, evaluated by Python; or the refusal.
std::string canonical(const std::string& expression, size_t cap = 1 << 20) {
  const py::object value = py::eval(expression);
  std::string text;
  try {
    encode_value(value.ptr(), cap, text);
  } catch (const Unencodable& odd) {
    return odd.verdict == Verdict::kOutput ? "<output>" : "<error>";
  }
  return text;
}

// What `text` as one argument comes back as; or the refusal.
std::string there_and_back(const std::string& text) {
  std::string out;
  try {
    const py::tuple values = decode_arguments(text);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out += " | ";
      const py::object value = values[i];
      encode_value(value.ptr(), 1 << 20, out);
    }
  } catch (const BadLiteral&) {
    return "<bad>";
  } catch (const Unencodable&) {
    return "<unencodable>";
  } catch (const PythonRaised&) {
    return "<raised " + take_python_error().type + ">";
  }
  return out;
}

void same(const std::string& text) {
  const std::string got = there_and_back(text);
  if (got != text) std::fprintf(stderr, "'%s' came back as '%s'\n", text.c_str(), got.c_str());
  EXPECT(got == text);
}

void becomes(const std::string& text, const std::string& expected) {
  const std::string got = there_and_back(text);
  if (got != expected) {
    std::fprintf(stderr, "'%s' gave '%s', not '%s'\n", text.c_str(), got.c_str(), expected.c_str());
  }
  EXPECT(got == expected);
}

void round_trips() {
  for (const char* text : {"None",
                           "True",
                           "0",
                           "-1",
                           "1.0",
                           "-0.0",
                           "1e+300",
                           "5e-324",
                           "nan",
                           "inf",
                           "-inf",
                           "1j",
                           "(1+2j)",
                           "(1-2j)",
                           "complex(nan, 1.0)",
                           "complex(-0.0, 1.0)",
                           "complex(0.0, -2.0)",
                           "complex(1.0, -0.0)",
                           "complex(inf, -inf)",
                           "''",
                           "'a'",
                           "\"it's\"",
                           "'\\n\\x00\\\\'",
                           "'\\ud800'",
                           "'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'",
                           "b''",
                           "b'\\x00\\xff'",
                           "b\"'\"",
                           "[]",
                           "[1, [2, 'x']]",
                           "()",
                           "(1,)",
                           "(1, 2)",
                           "{}",
                           "{1: 'a', (1, 2): [None]}",
                           "set()",
                           "{1, 2}",
                           "frozenset()",
                           "frozenset({1, 2})",
                           "{frozenset(), frozenset({1})}"}) {
    same(text);
  }
  same("'" + std::string(5000, 'x') + "'");
  same(std::string(20000, '7'));
  same("-" + std::string(5000, '9'));
}

void spellings() {
  becomes("", "");
  becomes(" 1 , 2, ", "1 | 2");
  becomes("0x_ff, 0b11, 0o17, 1_000, 00", "255 | 3 | 15 | 1000 | 0");
  becomes("1_0.5_0e1_0, .5, 1., 1E5, 1e400", "105000000000.0 | 0.5 | 1.0 | 100000.0 | inf");
  becomes("1 + 2j, -1-2j, +3, - 4, 2J", "(1+2j) | (-1-2j) | 3 | -4 | 2j");
  becomes("(1), ((2),), (1, 2,)", "1 | (2,) | (1, 2)");
  becomes("'a' \"b\" 'c', b'x' b'y'", "'abc' | b'xy'");
  becomes("r'\\n', rb'\\x', Rb'q', u'v', B'w'", "'\\\\n' | b'\\\\x' | b'q' | 'v' | b'w'");
  becomes("'''a\n'b''' , \"\"\"\"\"\"", "\"a\\n'b\" | ''");
  becomes("'\\x41\\101\\u0041\\U00000041\\q\\\n.'", "'AAAA\\\\q.'");
  becomes("r'\\\n', r'''\\\r\n\r'''", "'\\\\\\n' | '\\\\\\n\\n'");
  becomes("set([1, 1]), frozenset((2,)), set(())", "{1} | frozenset({2}) | set()");
  becomes("float('nan'), float('-inf')", "nan | -inf");
  becomes("{1: 2, 1: 3}, {'b', 'a', 10, 9}", "{1: 3} | {'a', 'b', 10, 9}");
}

void bad_literals() {
  for (const char* text : {"x",
                           "f(1)",
                           "1+1",
                           "1+",
                           "--1",
                           "-True",
                           "0b12",
                           "0o8",
                           "0xg",
                           "0b",
                           "0_x1",
                           "-complex(1, 2)",
                           "~1",
                           "-'a'",
                           "[1",
                           "[1)",
                           "(,)",
                           "{1:}",
                           "{1:2,3}",
                           "{:}",
                           "[1 2]",
                           "1,,2",
                           ",",
                           "'a",
                           "'a\nb'",
                           "b'\xc3\xa9'",
                           "rb'\\\xc3\xa9'",
                           "'a' b'b'",
                           "f'x'",
                           "'\\x1'",
                           "'\\u12'",
                           "'\\N{DIGIT ONE}'",
                           "'\\UFFFFFFFF'",
                           "012",
                           "1__0",
                           "1_",
                           "0x",
                           "1.e",
                           "1ex",
                           "1a",
                           "1jj",
                           "1 if 1 else 2",
                           "[x for x in y]",
                           "*[1]",
                           "a=1",
                           "__import__('os')",
                           "...",
                           "lambda: 0",
                           "{[]}",
                           "{[]: 1}",
                           "set({})",
                           "set(1)",
                           "set('ab')",
                           "complex(1j, 2)",
                           "complex(1)",
                           "float(1)",
                           "float('x')",
                           "complex(1e400",
                           "None.x",
                           "'a'.x",
                           "[1][0]",
                           "\\",
                           "'\xff'",
                           "#",
                           "1 # c",
                           "1;2",
                           "]",
                           ")",
                           "True+1j"}) {
    becomes(text, "<bad>");
  }
  becomes(std::string("1\0", 2), "<bad>");
  becomes("complex(" + std::string(400, '9') + ", 1)", "<bad>");
}

std::string nested(const std::string& open, const std::string& close, int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

void depth() {
  same(nested("[", "]", 64));
  becomes(nested("[", "]", 65), "<bad>");
  becomes("[" + nested("(", ")", 100) + "]", "[()]");
  becomes(nested("(", ")", 100).insert(100, "1"), "1");
  for (const char* open : {"[", "(", "{", "{1:", "[[],", "set(", "frozenset((", "complex("}) {
    becomes(nested(open, "", 100000), "<bad>");
  }
  std::string tuples = "1";
  for (int i = 0; i < 64; ++i) tuples = "(" + tuples + ", 1)";
  same(tuples);  // in linear time
  becomes("(" + tuples + ",)", "<bad>");
}

void encodes() {
  EXPECT(canonical("10**5000") == "1" + std::string(5000, '0'));
  EXPECT(canonical("{3: {'b', 'a'}, 'k': (1,)}") == "{3: {'a', 'b'}, 'k': (1,)}");
  EXPECT(canonical("[True, 1, 1.0]") == "[True, 1, 1.0]");
  EXPECT(canonical("-(2j)") == "complex(-0.0, -2.0)");
  EXPECT(py::eval("__import__('sys').get_int_max_str_digits()").cast<int>() == 4300);
}

void refuses() {
  py::exec(R"(
import collections, enum
class Int(int):
  __repr__ = lambda self: '1'
class Str(str): pass
class Everything:
  __eq__ = lambda self, other: True
  __class__ = int
Color = enum.IntEnum('Color', 'RED')
Point = collections.namedtuple('Point', 'x')
cycle = []
cycle.append(cycle)
deep = []
for _ in range(64): deep = [deep]
)");
  for (const char* text : {"Int(1)",
                           "Str('a')",
                           "Everything()",
                           "Color.RED",
                           "Point(1)",
                           "object()",
                           "...",
                           "range(3)",
                           "bytearray(b'a')",
                           "lambda: 1",
                           "[Int(1)]",
                           "{Str('k'): 1}",
                           "{1: Int(1)}",
                           "{Str('a')}",
                           "collections.OrderedDict()",
                           "collections.Counter('a')",
                           "NotImplemented",
                           "int",
                           "memoryview(b'a')",
                           "iter([])"}) {
    EXPECT(canonical(text) == "<error>");
  }
  for (const char* text : {"cycle", "deep", "'a' * 2000", "[0] * 1000", "10 ** 2000", "b'a' * 2000",
                           "{'a' * 600, 'b' * 600}"}) {
    EXPECT(canonical(text, 1000) == "<output>");
  }
  EXPECT(canonical("'a' * 998", 1000).size() == 1000);
  const py::object odd = py::eval("type('a' + '\u00e9' * 5_000_000, (), {})()");
  std::string text;
  try {
    encode_value(odd.ptr(), 1000, text);
    EXPECT(!"refused");
  } catch (const Unencodable& refusal) {
    EXPECT(refusal.message.size() < 300 && refusal.message.ends_with("\xc3\xa9"));
  }
}

void patched_interpreter() {
  py::exec(R"(
import builtins, sys
builtins.repr = lambda x: 'patched'
builtins.sorted = builtins.str = builtins.set = builtins.float = None
sys.set_int_max_str_digits = None
sys.modules['json'] = None
)");
  EXPECT(canonical("[1.5, {'b', 'a'}, 10**6000 > 0]") == "[1.5, {'a', 'b'}, True]");
  EXPECT(canonical("10**6000").size() == 6001);
  becomes("{1.5: {2}, 'a': float('inf')}", "{1.5: {2}, 'a': inf}");
}

// No text makes the parser crash or hang; what it accepts comes back the same the second time.
void mutations() {
  std::mt19937 random(5);
  const std::string letters = "[](){}'\"\\,:+-.0123456789ejxbru_nsfit \n\xc3\xa9";
  const std::string seeds[] = {"[1, 2.5, 'a', b'b', (1,), {1: 2}, {3}]", "frozenset({1, set()})",
                               "complex(nan, -1e5), 0xff, '\\u1234\\n'", "1+2j, r'\\', None, True"};
  for (int round = 0; round < 30000; ++round) {
    std::string text = seeds[random() % 4];
    for (size_t i = 1 + random() % 4; i > 0; --i) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 3);
      } else {
        text.insert(at, 1, letters[random() % letters.size()]);
      }
      if (text.empty()) text = "1";
    }
    const std::string once = there_and_back(text);
    if (once[0] == '<' || once.find(" | ") != std::string::npos) continue;
    EXPECT(there_and_back(once) == once);
  }
}

void run() {
  round_trips();
  spellings();
  bad_literals();
  depth();
  encodes();
  refuses();
  mutations();
  patched_interpreter();
}

}  // namespace

int main() { test_in_interpreter(azr::kDefaultPreload, run); }
