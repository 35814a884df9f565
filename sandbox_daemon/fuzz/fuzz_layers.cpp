// The report of a zygote's layers: what was read is written and read again as the same, and no text
// adds up to a level whose layers are not on.
#include "fuzz.h"
#include "layers.h"

namespace {

using namespace azr;

bool same(const Layers& a, const Layers& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || a[i].on != b[i].on || a[i].why != b[i].why) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Layers layers = parse_layers(fuzz::copy_of(data, size));
  HOLDS(same(parse_layers(serialize_layers(layers)), layers));
  const Level level = level_of(layers);
  HOLDS(level < Level::kSeccomp || (is_on(layers, "seccomp") && is_on(layers, "rlimits")));
  HOLDS(level < Level::kNamespaces || (is_on(layers, "root") && is_on(layers, "pid_ns")));
  HOLDS(level < Level::kFull || is_on(layers, "landlock"));
  for (const auto wanted : {Level::kSeccomp, Level::kNamespaces, Level::kFull}) {
    HOLDS(shortfall(layers, wanted).empty() == (level >= wanted));
  }
  HOLDS(level_of(weaker_of(layers, {{"seccomp", false, "off"}})) == Level::kNone);
  return 0;
}
