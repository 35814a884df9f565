#include "commands/commands.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "broker/settings.h"
#include "commands/call_command.h"
#include "commands/info.h"
#include "commands/job_reply.h"
#include "resp/resp_writer.h"

namespace azr {
namespace {

// What a command that is no job may have: it can ask for many names at once, but needs no long
// text.
constexpr RequestBounds kSmall{1024, 128u << 10};
constexpr size_t kMaxClientName = 256;
constexpr size_t kMaxPattern = 64;

struct Context {
  Broker& broker;
  Client& client;
  Command& words;
  RespWriter out{client.version};

  void answer() { client.reply(out.take()); }
};

struct CommandEntry {
  std::string_view name;
  int arity;  // as in Redis: negative means at least
  std::string_view summary;
  void (*run)(Context&);
  RequestBounds bounds = kSmall;
};

void ping(Context& c) {
  if (c.words.size() > 1) {
    c.out.bulk(c.words[1]);
  } else {
    c.out.simple("PONG");
  }
  c.answer();
}

void set_name(Context& c, std::string& name) {
  if (name.size() > kMaxClientName) {
    throw CommandError{"ERR a client's name has at most " + std::to_string(kMaxClientName) +
                       " bytes"};
  }
  c.client.name = std::move(name);
}

// HELLO [protover [AUTH user password] [SETNAME name]]
void read_hello_options(Context& c) {
  for (size_t i = 2; i < c.words.size(); i += 2) {
    if (upper(c.words[i]) != "SETNAME" || i + 1 == c.words.size()) {
      throw CommandError{"ERR unknown option '" + shown(c.words[i]) + "' of HELLO"};
    }
    set_name(c, c.words[i + 1]);
  }
}

void hello(Context& c) {
  if (c.words.size() > 1) {
    if (c.words[1] != "2" && c.words[1] != "3") {
      throw CommandError{"NOPROTO unsupported protocol version"};
    }
    read_hello_options(c);
    c.client.version = c.words[1] == "2" ? 2 : 3;
  }
  RespWriter out(c.client.version);
  out.map(7);
  out.field("server", std::string_view("azr-sandboxd"));
  out.field("version", std::string_view(AZR_VERSION));
  out.field("proto", std::optional<int64_t>(c.client.version));
  out.field("id", std::optional(static_cast<int64_t>(c.client.id())));
  out.field("mode", std::string_view("standalone"));
  out.field("role", std::string_view("master"));
  out.bulk("modules");
  out.array(0);
  c.client.reply(out.take());
}

void info(Context& c) {
  c.out.bulk(info_text(c.broker, c.words.size() > 1 ? c.words[1] : ""));
  c.answer();
}

void call(Context& c) {
  const Broker& broker = c.broker;
  c.broker.submit(c.client, parse_call(std::move(c.words), broker.config().rules, broker.pools()),
                  job_reply);
}

void run(Context& c) {
  const Broker& broker = c.broker;
  c.broker.submit(c.client, parse_run(std::move(c.words), broker.config().rules, broker.pools()),
                  job_reply);
}

// What concerns everybody is not for the members of --group.
void expect_owner(const Context& c) {
  if (c.client.is_owner()) return;
  throw CommandError{"NOPERM this command is for the daemon's own user and root"};
}

// As in Redis, success has no reply: the connection ends with the daemon.
void shutdown(Context& c) {
  expect_owner(c);
  c.broker.drain();
}

void quit(Context& c) {
  c.out.simple("OK");
  c.answer();
  c.client.close_after_replies();
}

void client(Context& c) {
  const std::string what = upper(c.words[1]);
  if (what == "ID") {
    c.out.integer(static_cast<int64_t>(c.client.id()));
  } else if (what == "GETNAME") {
    c.out.bulk(c.client.name);
  } else if (what == "SETNAME" && c.words.size() == 3) {
    set_name(c, c.words[2]);
    c.out.simple("OK");
  } else if (what == "SETINFO" && c.words.size() == 4) {
    c.out.simple("OK");
  } else {
    throw CommandError{"ERR unknown subcommand or wrong number of words for 'client|" +
                       shown(c.words[1]) + "'"};
  }
  c.answer();
}

void command(Context& c);

// What Redis's own tools ask for: nothing is stored here.
constexpr std::pair<std::string_view, std::string_view> kRedisSettings[] = {{"save", ""},
                                                                            {"appendonly", "no"}};

void config(Context& c) {
  expect_owner(c);
  if (upper(c.words[1]) != "GET" || c.words.size() != 3) {
    throw CommandError{
        "ERR only CONFIG GET pattern is known: settings change by --config and SIGHUP"};
  }
  if (c.words[2].size() > kMaxPattern) {
    throw CommandError{"ERR a pattern has at most " + std::to_string(kMaxPattern) + " bytes"};
  }
  std::vector<std::pair<std::string_view, std::string>> matching;
  const auto add = [&](std::string_view name, std::string value) {
    if (::fnmatch(c.words[2].c_str(), std::string(name).c_str(), FNM_CASEFOLD) == 0) {
      matching.emplace_back(name, std::move(value));
    }
  };
  for (const auto& setting : settings()) add(setting.name, setting.show(c.broker.config()));
  for (const auto& [name, value] : kRedisSettings) add(name, std::string(value));
  c.out.map(matching.size());
  for (const auto& [name, value] : matching) c.out.field(name, std::string_view(value));
  c.answer();
}

void echo(Context& c) {
  c.out.bulk(c.words[1]);
  c.answer();
}

constexpr CommandEntry kCommands[] = {
    {"PING", -1, "PING [message]", ping},
    {"ECHO", 2, "ECHO message", echo},
    {"HELLO", -1, "HELLO [2|3 [SETNAME name]]", hello},
    {"INFO", -1, "INFO [server|security|clients|zygotes|stats|rewind|latency]", info},
    {"CALL", -4, "CALL program entry ncases args... [option value]...", call, RespParser::kMost},
    {"RUN", -2, "RUN script [option value]...", run, RespParser::kMost},
    {"CLIENT", -2, "CLIENT ID|GETNAME|SETNAME name|SETINFO name value", client},
    {"COMMAND", -1, "COMMAND [DOCS [name...]|INFO [name...]|COUNT]", command},
    {"CONFIG", -3, "CONFIG GET pattern", config},
    {"SHUTDOWN", 1, "SHUTDOWN: answer what is in flight, then end", shutdown},
    {"QUIT", 1, "QUIT", quit},
};

std::string lower(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

const CommandEntry* find_entry(std::string_view word) {
  const std::string name = upper(word);
  const auto found = std::ranges::find(kCommands, name, &CommandEntry::name);
  return found == std::end(kCommands) ? nullptr : found;
}

// Those that `COMMAND DOCS` or `COMMAND INFO` names; null for one that is unknown; else all.
std::vector<const CommandEntry*> named_commands(const Command& words) {
  std::vector<const CommandEntry*> entries;
  for (size_t i = 2; i < words.size(); ++i) entries.push_back(find_entry(words[i]));
  if (words.size() <= 2) {
    for (const auto& entry : kCommands) entries.push_back(&entry);
  }
  return entries;
}

void command_docs(Context& c) {
  auto entries = named_commands(c.words);
  std::erase(entries, nullptr);
  c.out.map(entries.size());
  for (const auto* entry : entries) {
    c.out.bulk(lower(entry->name));
    c.out.map(3);  // redis-cli shows them in its help
    c.out.field("summary", entry->summary);
    c.out.field("since", std::string_view("0.1.0"));
    c.out.field("group", std::string_view("generic"));
  }
}

void command_info(Context& c) {
  const auto entries = named_commands(c.words);
  c.out.array(entries.size());
  for (const auto* entry : entries) {
    if (entry == nullptr) {
      c.out.null();
      continue;
    }
    c.out.array(10);  // as in Redis 7: the key positions are 0, the lists empty
    c.out.bulk(lower(entry->name));
    c.out.integer(entry->arity);
    c.out.array(0);
    for (int i = 0; i < 3; ++i) c.out.integer(0);
    for (int i = 0; i < 4; ++i) c.out.array(0);
  }
}

void command(Context& c) {
  const std::string what = c.words.size() > 1 ? upper(c.words[1]) : "INFO";
  if (what == "INFO") {
    command_info(c);
  } else if (what == "DOCS") {
    command_docs(c);
  } else if (what == "COUNT") {
    c.out.integer(std::size(kCommands));
  } else {
    throw CommandError{"ERR unknown subcommand 'command|" + shown(c.words[1]) + "'"};
  }
  c.answer();
}

const CommandEntry& find_command(const Command& words) {
  const CommandEntry* entry = find_entry(words[0]);
  if (entry == nullptr) throw CommandError{"ERR unknown command '" + shown(words[0]) + "'"};
  const auto count = static_cast<int>(words.size());
  if (entry->arity >= 0 ? count == entry->arity : count >= -entry->arity) return *entry;
  throw CommandError{"ERR wrong number of arguments for '" + lower(entry->name) + "' command"};
}

RequestBounds bounds_of(std::string_view name) {
  const CommandEntry* entry = find_entry(name);
  return entry == nullptr ? kSmall : entry->bounds;
}

void run_command(Broker& broker, Client& client, Command words) {
  Context context{broker, client, words};
  try {
    find_command(words).run(context);
  } catch (const CommandError& error) {
    RespWriter out(client.version);
    out.error(error.what);
    client.reply(out.take());
  }
}

}  // namespace

CommandSet commands() { return {bounds_of, run_command}; }

}  // namespace azr
