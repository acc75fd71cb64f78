// What an ordinary module does, which no filter may break: the positive twin of the escapes.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <clocale>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>
#include <iostream>
#include <iterator>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace kante::testing {

namespace twin {

inline bool threadsThrowAndCatch() {
  std::atomic<int> caught{0};
  std::vector<std::thread> threads;
  for (int each = 0; each < 8; ++each) {
    threads.emplace_back([&caught, each] {
      const std::string name = "thread " + std::to_string(each);
      try {
        throw std::runtime_error(name);
      } catch (const std::exception& error) {
        if (name == error.what()) ++caught;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return caught == 8;
}

inline bool threadsHaveTheirOwn() {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int each = 0; each < 4; ++each) {
    threads.emplace_back([&right, each] {
      thread_local std::string own;
      own += std::to_string(each);
      right += own == std::to_string(each) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return right == 4;
}

// Arenas of malloc, large blocks that are mapped, moved and given back.
inline bool memoryGrows() {
  std::vector<std::thread> threads;
  std::atomic<std::size_t> bytes{0};
  for (int each = 0; each < 4; ++each) {
    threads.emplace_back([&bytes] {
      std::vector<char> grows;
      for (int step = 0; step < (2 << 20); step += 4096) grows.resize(grows.size() + 4096, 'x');
      std::vector<std::string> small(5000, std::string(100, 'y'));
      bytes += grows.size() + small.size();
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::vector<char>> messages(8, std::vector<char>(1 << 20, 'z'));
  void* block = std::malloc(1 << 20);
  block = std::realloc(block, 8 << 20);
  const bool moved = block != nullptr;
  std::free(block);
  return moved && bytes == 4 * ((2u << 20) + 5000) && messages.back().back() == 'z';
}

inline bool waits() {
  std::mutex mutex;
  std::condition_variable changed;
  bool ready = false;
  std::thread other([&] {
    std::this_thread::yield();
    const std::lock_guard lock(mutex);
    ready = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  const bool came = changed.wait_for(lock, std::chrono::seconds(60), [&] { return ready; });
  lock.unlock();
  other.join();
  // Runs out, on the clock that the futex knows.
  lock.lock();
  const bool early = changed.wait_for(lock, std::chrono::milliseconds(1), [] { return false; });
  return came && !early && std::async(std::launch::async, [] { return 7; }).get() == 7;
}

// qsort() asks for the size of memory, localtime() for a file, and so on: refused, and they go on.
inline bool libcGoesOn() {
  std::vector<long> many(300000);
  for (std::size_t at = 0; at < many.size(); ++at)
    many[at] = static_cast<long>((at * 7919) % 300007);
  std::qsort(many.data(), many.size(), sizeof(long), [](const void* a, const void* b) {
    const long left = *static_cast<const long*>(a), right = *static_cast<const long*>(b);
    return left < right ? -1 : left > right;
  });
  std::setlocale(LC_ALL, "");  // Where the environment names one it has no files; that is no harm.
  const std::time_t now = std::time(nullptr);
  const std::tm* local = std::localtime(&now);
  char date[64] = {};
  if (local != nullptr) std::strftime(date, sizeof date, "%c %Z", local);
  return std::is_sorted(many.begin(), many.end()) && date[0] != 0 &&
         std::thread::hardware_concurrency() > 0;
}

inline bool random() {
  std::random_device device;
  std::mt19937 generator(device());
  return std::uniform_int_distribution<int>(1, 6)(generator) <= 6;
}

inline bool streams() {
  std::ostringstream text;
  text << 3.25 << ' ' << std::hex << 255;
  std::cout << "twin: " << text.str() << std::endl;
  std::cerr << "twin: to the other stream\n";
  std::printf("twin: %d\n", 1);
  return std::fflush(stdout) == 0 && text.str() == "3.25 ff" && std::cout.good();
}

inline bool handlesItsOwnSignals() {
  static std::atomic<int> seen{0};
  seen = 0;
  if (std::signal(SIGUSR1, [](int) { ++seen; }) == SIG_ERR) return false;
  std::raise(SIGUSR1);
  return seen == 1;
}

}  // namespace twin

// While a library's constructors run, libc's loader holds its lock, and a thread that wants its
// part of the library's thread_local variables, or to throw, waits for it, with or without a
// sandbox.
enum class Where : std::uint8_t { kInConstructor, kAnywhere };

// The names of what failed; empty: all well.
inline std::string liveNormally(Where where) {
  std::string failed;
  const std::pair<const char*, bool (*)()> all[] = {
      {"memory", twin::memoryGrows},
      {"waits", twin::waits},
      {"libc", twin::libcGoesOn},
      {"random", twin::random},
      {"streams", twin::streams},
      {"signals", twin::handlesItsOwnSignals},
      {"exceptions of threads", twin::threadsThrowAndCatch},
      {"thread_local", twin::threadsHaveTheirOwn},
  };
  constexpr std::size_t kNotWhileLoading = 2;
  std::size_t count = std::size(all);
  if (where == Where::kInConstructor) count -= kNotWhileLoading;
  for (std::size_t at = 0; at < count; ++at)
    if (!all[at].second()) failed += std::string(failed.empty() ? "" : ", ") + all[at].first;
  return failed;
}

}  // namespace kante::testing
