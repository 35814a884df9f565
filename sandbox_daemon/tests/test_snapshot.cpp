// A child process writes to its memory at random; the snapshot must find and undo all of it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <random>
#include <utility>

#include "channel.h"
#include "expect.h"
#include "snapshot.h"

namespace azr {
namespace {

constexpr size_t kLarge = 2048, kSmall = 3;  // pages of two mappings

struct Order {
  size_t page;  // of both, one after the other
  size_t offset;
  char byte;
  bool by_kernel = false;  // a random byte, which a system call writes
};

char* mapped(size_t pages) {
  void* at =
      ::mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return static_cast<char*>(at);
}

WritableMapping mapping_of(char* at, size_t pages, size_t offset) {
  const auto begin = reinterpret_cast<uintptr_t>(at);
  return {{begin, begin + pages * kPage}, PROT_READ | PROT_WRITE, false, offset};
}

// The child: its memory moves into the file; then it does as told, and says so.
[[noreturn]] void obey(const std::vector<WritableMapping>& mappings, int file, int socket) {
  UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY));
  const Pagemap own(UniqueFd(::dup(pagemap.get())));
  const UniqueFd tracker = make_write_tracker();
  for (const auto& mapping : mappings) {
    if (!share(mapping, file, own) || !track_writes(tracker, mapping.range)) ::_exit(1);
  }
  const int handles[] = {pagemap.get(), tracker.get()};
  send_message(socket, MessageType::kReady, {}, handles);
  while (const auto message = receive_message(socket)) {
    const auto order = from_bytes<Order>(message->body);
    const bool large = order->page < kLarge;
    const size_t page = large ? order->page : order->page - kLarge;
    const uintptr_t at = mappings[large ? 0 : 1].range.begin + page * kPage + order->offset;
    auto* const place = reinterpret_cast<char*>(at);
    if (order->by_kernel) {
      if (::getrandom(place, 1, 0) != 1) ::_exit(1);
    } else {
      *place = order->byte;
    }
    send_message(socket, MessageType::kDone, {}, {});
  }
  ::_exit(0);
}

class Subject {
 public:
  Subject() {
    char* const large = mapped(kLarge);
    mapped(1);  // in between
    char* const small = mapped(kSmall);
    mappings_ = {mapping_of(large, kLarge, 0), mapping_of(small, kSmall, kLarge * kPage)};
    if (small < large) {
      mappings_ = {mapping_of(small, kSmall, 0), mapping_of(large, kLarge, kSmall * kPage)};
    }
    for (const size_t page : {0, 1, 5, 20, 900, 901, 930, 2047})
      std::memset(large + page * kPage, 7, kPage);
    std::memset(small + kPage, 9, kPage);
    file_.reset(::memfd_create("test", MFD_CLOEXEC));
    if (::ftruncate(file_.get(), (kLarge + kSmall) * kPage) != 0) std::abort();
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) std::abort();
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (small < large) std::swap(mappings_[0], mappings_[1]);  // the large one first
      ::close(ends[0]);
      obey(mappings_, file_.get(), ends[1]);
    }
    ::close(ends[1]);
    socket_.reset(ends[0]);
  }
  ~Subject() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // Nothing where the kernel cannot track writes.
  std::unique_ptr<Snapshot> snapshot(
      std::optional<PageFingerprints> fingerprints = PageFingerprints::with_new_key()) {
    auto message = receive_message(socket_.get());
    if (!message || message->fds.size() != 2) return nullptr;
    tracker_ = std::move(message->fds[1]);
    return std::make_unique<Snapshot>(mappings_, file_, Pagemap(std::move(message->fds[0])),
                                      std::move(fingerprints));
  }

  void write(const Order& order) {
    send_message(socket_.get(), MessageType::kTask, as_bytes(order), {});
    receive_message(socket_.get());
  }
  // Since the last time, as the kernel counts: it need not be asked about its pages otherwise.
  bool has_faulted() {
    const uint64_t before = std::exchange(faults_, faults());
    return faults_ != before;
  }
  uintptr_t address(const Order& order) const {
    const bool large = order.page < kLarge;
    const bool first = large == (mappings_[0].range.size() == kLarge * kPage);
    const size_t page = large ? order.page : order.page - kLarge;
    return mappings_[first ? 0 : 1].range.begin + page * kPage + order.offset;
  }

 private:
  // Fields 10 and 12 of proc_pid_stat(5); the second field ends with a parenthesis.
  uint64_t faults() const {
    std::ifstream stat("/proc/" + std::to_string(child_) + "/stat");
    stat.ignore(std::numeric_limits<std::streamsize>::max(), ')');
    std::string skipped;
    for (int field = 3; field < 10; ++field) stat >> skipped;
    uint64_t minor = 0, major = 0;
    stat >> minor >> skipped >> major;
    return minor + major;
  }

  std::vector<WritableMapping> mappings_;
  UniqueFd file_, socket_, tracker_;
  pid_t child_ = -1;
  uint64_t faults_ = 0;
};

bool restore(Subject& subject, const std::unique_ptr<Snapshot>& snapshot) {
  return snapshot->restore(subject.has_faulted());
}

// Some pages often, so that they become hot, and all kinds of others.
Order random_order(std::mt19937& random) {
  const size_t often[] = {1, 5, 6, 300, 901, kLarge + 1};
  const bool usual = random() % 4 != 0;
  return {usual ? often[random() % 6] : random() % (kLarge + kSmall), random() % kPage,
          static_cast<char>(1 + random() % 100), random() % 2 == 0};
}

void everything_is_undone() {
  Subject subject;
  const auto snapshot = subject.snapshot();
  if (!snapshot) return std::puts("skipped: this kernel cannot track writes"), void();
  EXPECT(!snapshot->first_difference());
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  int without_fault = 0;  // that wrote, to hot pages
  for (int round = 0; round < 1500; ++round) {
    const unsigned writes = random() % 8;
    for (unsigned i = 0; i < writes; ++i) subject.write(random_order(random));
    const bool has_faulted = subject.has_faulted();
    without_fault += writes > 0 && !has_faulted;
    EXPECT(snapshot->restore(has_faulted));
    const bool clean = !snapshot->first_difference();
    if (!clean) std::printf("round %d, seed %u\n", round, seed);
    EXPECT(clean);
    if (!clean) return;
  }
  EXPECT(without_fault > 200);
}

// More runs of written pages than the kernel tells of at a time.
void many_runs_are_undone() {
  Subject subject;
  const auto snapshot = subject.snapshot();
  if (!snapshot) return;
  for (int round = 0; round < 3; ++round) {
    for (size_t page = 0; page < kLarge; page += 2) subject.write({page, page % kPage, 5});
    EXPECT(restore(subject, snapshot) && !snapshot->first_difference());
  }
}

// What was hot is tracked again, and undone as before.
void hot_pages_are_forgotten() {
  Subject subject;
  const auto snapshot = subject.snapshot();
  if (!snapshot) return;
  std::mt19937 random(1);
  for (int round = 0; round < 40'000; ++round) {
    const bool writes = round < 200 || round > 39'300;  // until then most are forgotten
    if (writes) subject.write(random_order(random));
    EXPECT(restore(subject, snapshot));
    if (round % 500 == 0 || writes) EXPECT(!snapshot->first_difference());
  }
}

// A key of zeros gives a page of zeros and one with a single word the same fingerprint.
std::optional<PageFingerprints> known_key() {
  if (!PageFingerprints::are_supported()) return std::nullopt;
  return PageFingerprints(Area<char>(kPage));
}

void what_a_known_key_hides_stays_for_64_programs_at_most() {
  Subject subject;
  const auto snapshot = subject.snapshot(known_key());
  if (!snapshot) return;
  for (int program = 0; program < 8; ++program) {  // it becomes hot
    subject.write({kLarge, 100, 5});
    EXPECT(restore(subject, snapshot));
  }
  int hidden = 0;
  for (int round = 0; round < 5; ++round) {
    subject.write({kLarge, 100, 5});
    for (int program = 0; program < 64; ++program) {
      EXPECT(restore(subject, snapshot));
      hidden += snapshot->first_difference().has_value();
    }
    EXPECT(!snapshot->first_difference());
  }
  EXPECT((hidden > 0) == PageFingerprints::are_supported());
}

// A page is forgotten at the end of 64 programs, and then only the kernel tells of it.
void a_forgotten_page_hides_nothing() {
  Subject subject;
  const auto snapshot = subject.snapshot(known_key());
  if (!snapshot) return;
  for (int program = 1; program < 40'000; ++program) {
    if (program < 200 || program % 64 == 0) subject.write({6, 100, 5});
    EXPECT(restore(subject, snapshot));
    if (program > 200 && program % 64 == 63) EXPECT(!snapshot->first_difference());
  }
}

// The checker itself: it sees one byte wherever it is, also where no write was noticed.
void the_checker_sees_a_skipped_page() {
  Subject subject;
  const auto snapshot = subject.snapshot();
  if (!snapshot) return;
  for (const size_t page : {0ul, 5ul, 40ul, 500ul, 901ul, kLarge + 0, kLarge + 1}) {
    const Order order{page, 1234, 77};
    subject.write(order);
    EXPECT(snapshot->first_difference() == subject.address(order));
    EXPECT(restore(subject, snapshot) && !snapshot->first_difference());
  }
  const Order unnoticed{5, 99, 55};
  char* const byte = snapshot->view(subject.address(unnoticed));
  *byte = unnoticed.byte;  // not by the process: its tracking does not tell
  EXPECT(restore(subject, snapshot) && snapshot->first_difference() == subject.address(unnoticed));
  *byte = 7;
  EXPECT(!snapshot->first_difference());
}

}  // namespace
}  // namespace azr

int main() {
  azr::everything_is_undone();
  azr::many_runs_are_undone();
  azr::hot_pages_are_forgotten();
  azr::what_a_known_key_hides_stays_for_64_programs_at_most();
  azr::a_forgotten_page_hides_nothing();
  azr::the_checker_sees_a_skipped_page();
  return test_result();
}
