// Durations in buckets; the options' table and its file.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "broker/held_bytes.h"
#include "broker/histogram.h"
#include "broker/settings.h"
#include "expect.h"
#include "shared/error.h"

namespace {

using namespace azr;
using std::chrono::microseconds;

void buckets() {
  EXPECT(std::ranges::is_sorted(kHistogramBounds));
  EXPECT(kHistogramBounds.front() == 100 && kHistogramBounds.back() == 1'000'000'000);
  Histogram histogram;
  EXPECT(histogram.quantile_us(0.5) == 0);
  for (const int us : {-5, 0, 100, 101, 150}) histogram.add(microseconds(us));
  EXPECT(histogram.in_bucket(0) == 3 && histogram.in_bucket(1) == 2);
  histogram.add(std::chrono::hours(1));
  EXPECT(histogram.in_bucket(Histogram::kBuckets - 1) == 1);
  EXPECT(histogram.count() == 6 && histogram.max_us() == 3'600'000'000);
  EXPECT(histogram.sum_us() == 3'600'000'351);
  EXPECT(histogram.quantile_us(1) == 3'600'000'000);
}

// Near the truth for what is spread evenly, and never above the largest.
void quantiles() {
  Histogram histogram;
  for (int us = 1; us <= 100'000; ++us) histogram.add(microseconds(us));
  for (const double share : {0.01, 0.1, 0.5, 0.9, 0.99, 1.0}) {
    const auto found = static_cast<double>(histogram.quantile_us(share));
    EXPECT(found > 99'000 * share && found < 101'000 * share);
  }
  Histogram one;
  one.add(microseconds(5'200));
  EXPECT(one.quantile_us(0.5) == 5'200 && one.quantile_us(0.99) == 5'200);
}

void held_bytes() {
  uint64_t sum = 0;
  {
    const HeldBytes first(sum, 10);
    const HeldBytes copy(first);
    EXPECT(sum == 20);
  }
  EXPECT(sum == 0);
}

// Every setting has a default that its own reader takes, and SIGHUP's diff starts empty.
void table() {
  char name[] = "azr-sandboxd";
  char* words[] = {name};
  const BrokerConfig config = load_config(Options(1, words, {}, valued_options()));
  for (const auto& setting : settings()) {
    std::string option = "--" + std::string(setting.name) + "=" + setting.show(config);
    char* given[] = {name, option.data()};
    EXPECT(setting.show(load_config(Options(2, given, {}, valued_options()))) ==
           setting.show(config));
  }
  BrokerConfig current = config;
  EXPECT(adopt(current, config).empty());
}

// What jobs do not name is within what they may.
void ceilings() {
  char name[] = "azr-sandboxd", time[] = "--max-timeout=300", memory[] = "--max-memory=9000000";
  char* words[] = {name, time, memory};
  const JobRules rules = load_config(Options(3, words, {}, valued_options())).rules;
  EXPECT(rules.defaults.timeout_ms == 300 && rules.defaults.cpu() == 300);
  EXPECT(rules.defaults.memory == 9'000'000);
}

void adoption() {
  BrokerConfig current, next;
  next.clients.max_clients = 3;
  next.rules.defaults.memory = 5 << 20;
  next.pool.preload = "math";
  const auto lines = adopt(current, next);
  EXPECT(lines.size() == 3);
  EXPECT(current.clients.max_clients == 3 && current.rules.defaults.memory == 5 << 20);
  EXPECT(current.pool.preload == kDefaultPreload);
}

std::string fault_of(const std::string& text) {
  char path[] = "/tmp/azr-settings-XXXXXX";
  const int fd = ::mkstemp(path);
  std::ofstream(path) << text;
  std::string fault;
  try {
    Options::from_file(path, {"--name"});
  } catch (const StartError& error) {
    fault = error.what();
  }
  ::unlink(path);
  ::close(fd);
  return fault;
}

void file() {
  EXPECT(fault_of("").empty() && fault_of("\n # x\n\tname \t a value \r\n").empty());
  EXPECT(fault_of("name").starts_with("line 1: option name needs a value"));
  EXPECT(fault_of("\nname a\nname b").starts_with("line 3: option name is there twice"));
  EXPECT(fault_of("--name a").starts_with("line 1: unknown option '--name'"));
}

}  // namespace

int main() {
  buckets();
  quantiles();
  held_bytes();
  table();
  ceilings();
  adoption();
  file();
  return test_result();
}
