// A zygote that forks a child for each program, in its own namespaces or in a jail.
#pragma once

#include <optional>

#include "broker/jail_group.h"
#include "broker/zygote.h"

namespace azr {

class ForkWorker : public Zygote {
 public:
  using Zygote::Zygote;
  ~ForkWorker() override { kill_process(); }  // before its group

  bool has_room() const override { return false; }
  void start(const Task& task, Begin begin, Deliver deliver) override;

 private:
  void on_spawned() override;
  void on_layers(Layers& layers) override;
  void on_done(const DoneReport& report, std::string_view) override;
  void on_died() override;
  Milliseconds retry_delay() const override;
  void load();
  void end_run(const DoneReport& report, bool died);

  std::optional<JailGroup> group_;
};

}  // namespace azr
