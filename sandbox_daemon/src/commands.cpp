#include "commands.h"

#include <fnmatch.h>
#include <unistd.h>

#include <array>

#include "call_command.h"
#include "info.h"
#include "options.h"
#include "resp_writer.h"

namespace azr {
namespace {

struct Context {
  Broker& broker;
  Client& client;
  const Command& words;
  RespWriter out{client.version};

  void answer() { client.reply(out.take()); }
};

struct CommandEntry {
  std::string_view name;
  int arity;  // as in Redis: negative means at least
  std::string_view summary;
  void (*run)(Context&);
};

void ping(Context& c) {
  if (c.words.size() > 1) {
    c.out.bulk(c.words[1]);
  } else {
    c.out.simple("PONG");
  }
  c.answer();
}

// HELLO [protover [AUTH user password] [SETNAME name]]
void read_hello_options(Context& c) {
  for (size_t i = 2; i < c.words.size(); i += 2) {
    if (upper(c.words[i]) != "SETNAME" || i + 1 == c.words.size()) {
      throw CommandError{"ERR unknown option '" + c.words[i] + "' of HELLO"};
    }
    c.client.name = c.words[i + 1];
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
  c.broker.submit(c.client,
                  parse_call(c.words, c.broker.config().limits, c.broker.zygotes().size()));
}

void run(Context& c) { c.broker.submit(c.client, parse_run(c.words, c.broker.config().limits)); }

// As in Redis, success has no reply: the connection ends with the daemon.
void shutdown(Context& c) { c.broker.drain(); }

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
    c.client.name = c.words[2];
    c.out.simple("OK");
  } else if (what == "SETINFO" && c.words.size() == 4) {
    c.out.simple("OK");
  } else {
    throw CommandError{"ERR unknown subcommand or wrong number of words for 'client|" + c.words[1] +
                       "'"};
  }
  c.answer();
}

void command(Context& c);

void config(Context& c) {
  if (upper(c.words[1]) != "GET" || c.words.size() != 3) {
    throw CommandError{"ERR only CONFIG GET pattern is known"};
  }
  const Limits& limits = c.broker.config().limits;
  const std::pair<std::string_view, std::string> all[] = {
      {"timeout_ms", std::to_string(limits.timeout_ms)},
      {"cpu_ms", std::to_string(limits.cpu())},
      {"memory", std::to_string(limits.memory)},
      {"output", std::to_string(limits.output)},
      {"zygotes", std::to_string(c.broker.config().zygotes)},
      {"require", std::string(level_name(c.broker.config().require))},
      {"preload", c.broker.config().preload},
      {"socket", c.broker.config().socket},
  };
  std::vector<std::pair<std::string_view, std::string>> matching;
  for (const auto& one : all) {
    if (::fnmatch(c.words[2].c_str(), std::string(one.first).c_str(), 0) == 0) {
      matching.push_back(one);
    }
  }
  c.out.map(matching.size());
  for (const auto& [name, value] : matching) c.out.field(name, std::string_view(value));
  c.answer();
}

constexpr CommandEntry kCommands[] = {
    {"PING", -1, "PING [message]", ping},
    {"HELLO", -1, "HELLO [2|3 [SETNAME name]]", hello},
    {"INFO", -1, "INFO [server|security|clients|zygotes|stats]", info},
    {"CALL", -4, "CALL program entry ncases args... [option value]...", call},
    {"RUN", -2, "RUN script [option value]...", run},
    {"CLIENT", -2, "CLIENT ID|GETNAME|SETNAME name|SETINFO name value", client},
    {"COMMAND", -1, "COMMAND [DOCS|COUNT]", command},
    {"CONFIG", -3, "CONFIG GET pattern", config},
    {"SHUTDOWN", 1, "SHUTDOWN: answer what is in flight, then end", shutdown},
    {"QUIT", 1, "QUIT", quit},
};

std::string lower(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

void command_docs(Context& c) {
  c.out.map(std::size(kCommands));
  for (const auto& entry : kCommands) {
    c.out.bulk(lower(entry.name));
    c.out.map(1);
    c.out.field("summary", entry.summary);
  }
}

void command_list(Context& c) {
  c.out.array(std::size(kCommands));
  for (const auto& entry : kCommands) {
    c.out.array(10);  // as in Redis 7: the key positions are 0, the lists empty
    c.out.bulk(lower(entry.name));
    c.out.integer(entry.arity);
    c.out.array(0);
    for (int i = 0; i < 3; ++i) c.out.integer(0);
    for (int i = 0; i < 4; ++i) c.out.array(0);
  }
}

void command(Context& c) {
  const std::string what = c.words.size() > 1 ? upper(c.words[1]) : "";
  if (what.empty()) {
    command_list(c);
  } else if (what == "DOCS") {
    command_docs(c);
  } else if (what == "COUNT") {
    c.out.integer(std::size(kCommands));
  } else {
    throw CommandError{"ERR unknown subcommand 'command|" + c.words[1] + "'"};
  }
  c.answer();
}

const CommandEntry& find_command(const Command& words) {
  const std::string name = upper(words[0]);
  for (const auto& entry : kCommands) {
    if (entry.name != name) continue;
    const auto count = static_cast<int>(words.size());
    if (entry.arity >= 0 ? count == entry.arity : count >= -entry.arity) return entry;
    throw CommandError{"ERR wrong number of arguments for '" + lower(name) + "' command"};
  }
  throw CommandError{"ERR unknown command '" + words[0].substr(0, 128) + "'"};
}

}  // namespace

void run_command(Broker& broker, Client& client, const Command& words) {
  Context context{broker, client, words};
  try {
    find_command(words).run(context);
  } catch (const CommandError& error) {
    RespWriter out(client.version);
    out.error(error.what);
    client.reply(out.take());
  }
}

}  // namespace azr
