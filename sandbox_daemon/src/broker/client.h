// One connection: commands in, replies out in the same order, with bounds on what it may pile up.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker_config.h"
#include "event_loop.h"
#include "resp.h"
#include "unique_fd.h"

namespace azr {

class Client {
 public:
  // A place in the order of replies, filled now or later.
  using Slot = std::shared_ptr<std::optional<std::string>>;
  struct Events {
    std::function<void(Client&, Command)> on_command;
    std::function<void(Client&)> on_closed;  // called once, from the loop
    std::function<void()> on_answered;       // every command has its reply, and they are sent
    std::function<void()> on_room;           // it is no longer behind, or reads again
  };

  // `limits` may change while the client is connected.
  Client(EventLoop& loop, UniqueFd socket, uint64_t id, const ClientLimits& limits, Events events);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  uint64_t id() const { return id_; }
  Slot reserve();  // the next reply's place
  void fill(const Slot& slot, std::string reply);
  void reply(std::string text) { fill(reserve(), std::move(text)); }
  void close_after_replies() { closing_ = true; }
  // Has so much to read that nothing more should be made for it.
  bool behind() const;
  // Does not leave replies unread: what it is behind with waits for a reply before it.
  bool reads() const;
  bool answered() const { return closed_ || (slots_.empty() && unsent() == 0); }

  int version = 2;  // of RESP
  std::string name;

 private:
  void on_events(uint32_t events);
  void read_some();
  void run_commands();
  void flush();
  bool send_out();
  size_t unsent() const { return out_.size() - sent_; }
  bool paused() const;
  void update_interest();
  void close();

  EventLoop& loop_;
  UniqueFd socket_;
  uint64_t id_;
  const ClientLimits& limits_;
  Events events_;
  RespParser parser_;
  struct Unanswered {
    Slot slot;
    size_t request_bytes;
  };
  std::deque<Unanswered> slots_;
  size_t request_bytes_ = 0;  // of the commands in slots_
  size_t command_bytes_ = 0;  // of the one being run
  size_t filled_bytes_ = 0;   // replies in slots_ that wait for one before them
  std::string out_;
  size_t sent_ = 0;       // of out_: erasing what is sent after each send would be quadratic
  bool closing_ = false;  // no more commands; close when everything is answered
  bool closed_ = false;
  bool running_ = false;  // within run_commands
  uint32_t interest_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // outlived by nothing deferred
};

}  // namespace azr
