// Runs a fuzz target over its corpus and then over mutations of it, without libFuzzer: what passes
// new code joins the inputs that are mutated. The same seed makes the same inputs.
//
// usage: fuzz_NAME [--mutations N] [--seed S] FILE_OR_FOLDER...
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "coverage.h"
#include "error.h"
#include "fuzz.h"
#include "mutate.h"
#include "options.h"

extern "C" {
__attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());
}

namespace azr::fuzz {
namespace {

constexpr unsigned kHangSeconds = 60;  // of one input, on a slow and busy machine
constexpr const char* kFailureFile = "fuzz-failure";

std::string g_input;  // of the run in progress
uint64_t g_seed = 1, g_runs = 0;
bool g_told = false;

// May run in a signal handler of a process about to end: the input matters more than manners.
void tell_failure() {
  if (std::exchange(g_told, true)) return;
  std::fprintf(stderr, "failed with seed %llu in run %llu on %zu bytes, kept in %s:\n",
               static_cast<unsigned long long>(g_seed), static_cast<unsigned long long>(g_runs),
               g_input.size(), kFailureFile);
  for (const char c : g_input) {
    const bool plain = c >= ' ' && c <= '~' && c != '\\';
    std::fprintf(stderr, plain ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
  }
  std::fputc('\n', stderr);
  std::ofstream(kFailureFile, std::ios::binary) << g_input;
}

void on_signal(int number) {
  if (number == SIGALRM) std::fprintf(stderr, "hangs: %u seconds in one run\n", kHangSeconds);
  tell_failure();
  ::_exit(1);
}

void watch_failures() {
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(tell_failure);
  for (const int number : {SIGABRT, SIGALRM, SIGILL, SIGFPE}) ::signal(number, on_signal);
  if (__sanitizer_set_death_callback == nullptr) ::signal(SIGSEGV, on_signal);
}

// Whether the run passed code that was never passed before.
bool run(std::string input) {
  g_input = std::move(input);
  ++g_runs;
  forget_run();
  ::alarm(kHangSeconds);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(g_input.data()), g_input.size());
  ::alarm(0);
  return something_new();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw StartError("cannot read " + path.string() + ": name a file or a folder of files");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> read_corpus(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (std::filesystem::is_directory(path)) {
      std::ranges::copy(std::filesystem::directory_iterator(path), std::back_inserter(files));
    } else {
      files.emplace_back(path);
    }
  }
  std::ranges::sort(files);
  std::vector<std::string> corpus;
  for (const auto& file : files) corpus.push_back(read_file(file));
  if (corpus.empty())
    throw StartError("no corpus: name its folder, corpus/NAME beside the sources");
  return corpus;
}

void fuzz(std::vector<std::string> pool, uint64_t mutations) {
  const auto begin = std::chrono::steady_clock::now();
  const size_t corpus = pool.size();
  for (const auto& input : pool) run(input);
  Random random(g_seed);
  for (uint64_t i = 0; i < mutations; ++i) {
    const std::string input = mutate(pool[random() % pool.size()], pool, random);
    if (run(input)) pool.push_back(input);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("seed %llu: %llu runs in %.1f s, %zu in the corpus, %zu found, %zu pairs of blocks\n",
              static_cast<unsigned long long>(g_seed), static_cast<unsigned long long>(g_runs),
              took.count(), corpus, pool.size() - corpus, blocks_seen());
}

void start(int argc, char** argv) {
  std::vector<char*> options{argv[0]};
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const bool option = argv[i][0] == '-';
    if (!option) paths.emplace_back(argv[i]);
    if (option) options.insert(options.end(), {argv[i], i + 1 < argc ? argv[i + 1] : nullptr});
    i += option ? 1 : 0;
  }
  std::erase(options, nullptr);
  const Options given(static_cast<int>(options.size()), options.data(), {},
                      {"--mutations", "--seed"});
  g_seed = given.number("--seed", 1, 0, UINT64_MAX);
  watch_failures();
  if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
  fuzz(read_corpus(paths), given.number("--mutations", 0, 0, UINT64_MAX));
}

}  // namespace
}  // namespace azr::fuzz

int main(int argc, char** argv) {
  try {
    azr::fuzz::start(argc, argv);
  } catch (const azr::StartError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return 0;
}
