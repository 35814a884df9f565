// One connection: commands in, replies out in the same order, with bounds on what it may pile up.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker/broker_config.h"
#include "broker/event_loop.h"
#include "broker/held_bytes.h"
#include "resp/resp.h"
#include "resp/resp_writer.h"
#include "shared/unique_fd.h"

namespace azr {

class Client {
 public:
  // A place in the order of replies, filled now or later.
  using Slot = std::shared_ptr<std::optional<Reply>>;
  struct Events {
    std::function<RequestBounds(std::string_view)> bounds;  // of a command
    std::function<void(Client&, Command)> on_command;
    std::function<void(Client&)> on_too_much;  // a command that could not be kept
    std::function<void(Client&)> on_closed;    // called once, from the loop
    std::function<void()> on_answered;         // every command has its reply, and they are sent
    std::function<void()> on_room;             // it is no longer behind, or reads again
  };

  // `limits` may change while the client is connected. `queued`: bytes of the requests of all.
  Client(EventLoop& loop, UniqueFd socket, uint64_t id, const ClientLimits& limits,
         uint64_t& queued, Events events);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  uint64_t id() const { return id_; }
  bool is_owner() const { return is_owner_; }  // the daemon's user, or root
  Slot reserve();                              // the next reply's place
  void fill(const Slot& slot, Reply reply);
  void reply(Reply reply) { fill(reserve(), std::move(reply)); }
  void close_after_replies() { closing_ = true; }
  // Has so much to read that nothing more should be made for it.
  bool behind() const;
  // Does not leave replies unread: what it is behind with waits for a reply before it.
  bool reads() const;
  bool answered() const { return closed_ || (slots_.empty() && out_.empty()); }

  int version = 2;  // of RESP
  std::string name;

 private:
  void on_events(uint32_t events);
  void read_some();
  void run_commands();
  void run_command(Command command);
  void go_on_soon();
  bool may_keep();
  void watch_request();
  void fail(const std::string& what);
  void flush();
  bool send_out();
  void note_sent(size_t size);
  bool paused() const;
  void update_interest();
  void close();

  EventLoop& loop_;
  UniqueFd socket_;
  uint64_t id_;
  const ClientLimits& limits_;
  uint64_t& queued_;
  Events events_;
  const bool is_owner_;
  RespParser parser_;
  std::optional<HeldBytes> held_;                 // of `queued_`, by a request that is not whole
  std::optional<EventLoop::TimerId> impatience_;  // with that request
  struct Unanswered {
    Slot slot;
    size_t request_bytes;
  };
  std::deque<Unanswered> slots_;
  size_t request_bytes_ = 0;     // of the commands in slots_
  size_t command_bytes_ = 0;     // of the one being run
  size_t filled_bytes_ = 0;      // replies in slots_ that wait for one before them
  std::deque<std::string> out_;  // to be sent
  size_t unsent_ = 0;            // bytes of them
  size_t sent_ = 0;              // of the first
  bool closing_ = false;         // no more commands; close when everything is answered
  bool closed_ = false;
  bool running_ = false;  // within run_commands
  bool goes_on_ = false;  // will be called again for commands that are read already
  uint32_t interest_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // outlived by nothing deferred
};

}  // namespace azr
