// A real dockerd of its own, with its own containerd and folder, and an image made of busybox. With
// KANTE_TEST_ENGINE=podman in the environment it is Podman's service instead.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kante::testing {

bool isPodman();  // It is Podman, whose answers differ here and there.

// No network, no storage driver that needs anything, no firewall rules: what runs in it is seen by
// nobody else.  Containers live over kill() and start(), as with "live-restore".
class Dockerd {
 public:
  // Why none can run here; empty: one can.  With KANTE_DOCKER_MUST_WORK the test program ends
  // instead.
  static std::string missing();

  Dockerd();
  ~Dockerd();  // Removes its containers, too.
  Dockerd(const Dockerd&) = delete;
  Dockerd& operator=(const Dockerd&) = delete;

  void start();  // Returns when it answers; ends the test program when it never does.
  void stop();   // SIGTERM.
  void kill();   // SIGKILL, and its containerd dies with it.
  bool running() const { return pid_ > 0; }
  std::string socket() const { return directory_ + "/d.sock"; }
  const std::string& directory() const { return directory_; }
  std::string log() const;

  // `docker ARGUMENTS…` against it: what it prints, without the line's end.  Ends the test program
  // when it fails.
  std::string docker(const std::vector<std::string>& arguments) const;
  // Makes it from busybox, under another name, too.
  void makeImage(const std::string& name) const;

 private:
  void end(int signal);

  std::string directory_;
  pid_t pid_ = -1;
};

// One for all tests of a program, with the image kante-test:1; runs again if a test killed it.
Dockerd& sharedDockerd();

}  // namespace kante::testing
