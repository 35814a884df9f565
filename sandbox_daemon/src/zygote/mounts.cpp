#include "mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "error.h"
#include "jail.h"
#include "landlock.h"
#include "unique_fd.h"

// Declared here: <sys/mount.h> and <linux/mount.h> cannot be included together on some systems.
extern "C" int mount(const char*, const char*, const char*, unsigned long, const void*) noexcept;
extern "C" int umount2(const char*, int) noexcept;

namespace azr {
namespace {

constexpr const char* kStage = "/proc";  // where the new root is put together, over what is there
constexpr unsigned long kNosuid = 2, kNoexec = 8, kRec = 16384, kPrivate = 1 << 18;
constexpr int kDetach = 2;

struct Source {
  std::string path;
  UniqueFd tree;  // a detached copy of the mount
};

UniqueFd clone_tree(const std::string& path) {
  return UniqueFd(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                                             OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
}

bool make_directories(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

bool make_target(const std::string& path, int tree) {
  struct stat info{};
  if (::fstat(tree, &info) != 0 || !make_directories(path)) return false;
  if (S_ISDIR(info.st_mode)) return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
  return static_cast<bool>(UniqueFd(::open(path.c_str(), O_CREAT | O_CLOEXEC | O_WRONLY, 0644)));
}

bool attach(const Source& source) {
  const std::string target = kStage + source.path;
  return make_target(target, source.tree.get()) &&
         ::syscall(SYS_move_mount, source.tree.get(), "", AT_FDCWD, target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

// Folders of installed packages in `folder` and one level below: those of the interpreter itself
// and of the system's (/usr/lib/python3/dist-packages).
std::vector<std::string> package_folders(const std::string& folder) {
  std::vector<std::string> found;
  const auto look_in = [&](const std::string& parent) {
    for (const char* name : {"/site-packages", "/dist-packages"}) {
      struct stat info{};
      const std::string path = parent + name;
      if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) found.push_back(path);
    }
  };
  look_in(folder);
  std::error_code fault;
  for (std::filesystem::directory_iterator at(folder, fault), end; !fault && at != end;
       at.increment(fault)) {
    if (!at->is_symlink(fault)) look_in(at->path().string());
  }
  return found;
}

// Covers what is installed besides the standard library and what is imported from. Empty on
// success, else what failed.
std::string cover_packages(const std::string& folder,
                           const std::vector<std::string>& import_paths) {
  for (const std::string& packages : package_folders(kStage + folder)) {
    if (std::ranges::count(import_paths, packages.substr(std::strlen(kStage))) != 0) continue;
    if (::mount("tmpfs", packages.c_str(), "tmpfs", kNosuid | kNoexec,
                "size=4k,nr_inodes=2,mode=555") != 0) {
      return "cannot cover " + packages.substr(std::strlen(kStage)) + ": " + errno_text();
    }
  }
  return "";
}

bool link(const std::string& target, const char* name) {
  return ::symlink(target.c_str(), (kStage + std::string("/dev/") + name).c_str()) == 0;
}

// By these a program opens its own descriptors anew. Nothing else of /proc is there, and of the
// processes in it a program sees its own; Landlock keeps it from reading their files, so there must
// be one. Where the machine's own /proc is covered in part the kernel gives no other.
void make_own_descriptors() {
  const std::string folder = std::string(kStage) + kJailProc;
  if (!probe_landlock().on || ::mkdir(folder.c_str(), 0555) != 0 ||
      ::mount("proc", folder.c_str(), "proc", kNosuid | kNoexec, "subset=pid,hidepid=ptraceable") !=
          0) {
    return;
  }
  const std::string own = std::string(kJailProc) + "/self/fd";
  link(own, "fd") && link(own + "/0", "stdin") && link(own + "/1", "stdout") &&
      link(own + "/2", "stderr");
}

// The C library keeps named semaphores and shared memory in /dev/shm.
bool make_jail_folder() {
  make_own_descriptors();
  return ::mkdir((std::string(kStage) + kJailFolder).c_str(), 0700) == 0 &&
         link(kJailFolder, "shm");
}

std::vector<std::string> devices(bool jail) {
  std::vector<std::string> paths = {"/dev/null"};
  if (jail) paths.insert(paths.end(), {"/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"});
  return paths;
}

bool seal() {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  return ::syscall(SYS_mount_setattr, AT_FDCWD, kStage, AT_RECURSIVE, &attributes,
                   sizeof attributes) == 0;
}

bool pivot() {
  return ::chdir(kStage) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 &&
         ::umount2(".", kDetach) == 0 && ::chdir("/") == 0;
}

// The first of the folders that the file system of a jail's programs would cover; empty: none.
std::string covered_by_jail(const std::vector<std::string>& import_paths) {
  const std::string folder = kJailFolder;
  const auto lies_inside = [&](const std::string& path) {
    return path == folder || path.starts_with(folder + "/");
  };
  const auto found = std::ranges::find_if(import_paths, lies_inside);
  return found == import_paths.end() ? "" : *found;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

std::vector<std::string> readable_paths(const std::vector<std::string>& import_paths) {
  std::vector<std::string> paths = import_paths;
  for (const char* system : {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"}) {
    if (exists(system)) paths.emplace_back(system);
  }
  std::ranges::sort(paths);
  // A path inside another one comes with it.
  std::vector<std::string> outermost;
  for (auto& path : paths) {
    if (outermost.empty() || !path.starts_with(outermost.back() + "/")) {
      outermost.push_back(std::move(path));
    }
  }
  return outermost;
}

std::string enter_minimal_root(const std::vector<std::string>& readable,
                               const std::vector<std::string>& import_paths, bool jail) {
  if (const std::string hidden = covered_by_jail(import_paths); jail && !hidden.empty()) {
    return "programs of a jail have a " + std::string(kJailFolder) + " of their own, which hides " +
           hidden + ": import from another folder";
  }
  if (::mount(nullptr, "/", nullptr, kRec | kPrivate, nullptr) != 0) {
    return "cannot make the mounts private: " + errno_text();
  }
  std::vector<Source> sources;
  for (const auto& path : readable) sources.push_back({path, clone_tree(path)});
  for (const auto& path : devices(jail)) sources.push_back({path, clone_tree(path)});
  for (const auto& source : sources) {
    if (!source.tree) return "cannot copy the mount of " + source.path + ": " + errno_text();
  }
  if (::mount("tmpfs", kStage, "tmpfs", kNosuid | kNoexec, "size=256k,nr_inodes=256,mode=755") !=
      0) {
    return "cannot mount a tmpfs: " + errno_text();
  }
  for (const auto& source : sources) {
    if (!attach(source)) return "cannot mount " + source.path + ": " + errno_text();
  }
  for (const auto& path : readable) {
    const std::string fault = cover_packages(path, import_paths);
    if (!fault.empty()) return fault;
  }
  if (jail && !make_jail_folder()) return "cannot make /tmp: " + errno_text();
  if (!seal()) return "cannot make the root read-only: " + errno_text();
  return pivot() ? "" : "cannot change the root: " + errno_text();
}

}  // namespace azr
