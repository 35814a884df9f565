#include "pagemap.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace azr {
namespace {

// From the kernel's interface, spelled out because the build machine's headers may be older.
constexpr int kUserModeOnly = 1;                               // UFFD_USER_MODE_ONLY
constexpr uint64_t kWpShmem = 1 << 12, kWpAsync = 1 << 15;     // UFFD_FEATURE_WP_*
constexpr uint64_t kWritten = 2, kPresent = 8, kSwapped = 16;  // PAGE_IS_*
constexpr uint64_t kProtectMatching = 1;                       // PM_SCAN_WP_MATCHING

struct ScanArgument {  // struct pm_scan_arg
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);

ScanArgument scan_of(AddressRange range) {
  ScanArgument scan{};
  scan.size = sizeof scan;
  scan.start = range.begin;
  scan.end = range.end;
  return scan;
}

long run(int fd, ScanArgument& scan, std::span<PageRegion> found, uintptr_t& next) {
  scan.vec = reinterpret_cast<uint64_t>(found.data());
  scan.vec_len = found.size();
  const long count = ::ioctl(fd, kPagemapScan, &scan);
  next = scan.walk_end;
  return count;
}

}  // namespace

UniqueFd make_write_tracker() {
  UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | kUserModeOnly)));
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kWpShmem | kWpAsync;
  if (fd && ::ioctl(fd.get(), UFFDIO_API, &api) != 0) fd.reset();
  return fd;
}

bool track_writes(const UniqueFd& tracker, AddressRange range) {
  uffdio_register request{};
  request.range = {range.begin, range.size()};
  request.mode = UFFDIO_REGISTER_MODE_WP;
  return ::ioctl(tracker.get(), UFFDIO_REGISTER, &request) == 0;
}

long Pagemap::written(AddressRange range, std::span<PageRegion> found, uintptr_t& next) const {
  ScanArgument scan = scan_of(range);
  scan.category_mask = scan.return_mask = kWritten;  // this alone: the kernel's short way
  return run(fd_.get(), scan, found, next);
}

long Pagemap::populated(AddressRange range, std::span<PageRegion> found, uintptr_t& next) const {
  ScanArgument scan = scan_of(range);
  scan.category_anyof_mask = kPresent | kSwapped;
  scan.return_mask = kPresent;
  return run(fd_.get(), scan, found, next);
}

bool Pagemap::mark_clean(AddressRange range) const {
  ScanArgument scan = scan_of(range);
  scan.flags = kProtectMatching;
  scan.category_mask = kWritten;
  return ::ioctl(fd_.get(), kPagemapScan, &scan) >= 0;
}

}  // namespace azr
