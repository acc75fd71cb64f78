// Does with its extensions what a METHOD says, by the method's name and the text of its arguments,
// and logs what DONE says of it.  Configuration:
//   open "WHAT", invoke "TARGET"   asks for it in create()
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {nullptr};
const char* const kOutputs[] = {"out", nullptr};

class Asker : public kit::Module {
 public:
  Asker(const kante_host* host, kante_msg* config) : Module(host, config) {
    twin_ = extension<kante_twin_v1>(KANTE_EXT_TWIN);
    storage_ = extension<kante_storage_v1>(KANTE_EXT_STORAGE);
    invoke_ = extension<kante_invoke_v1>(KANTE_EXT_INVOKE);
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    metrics_ = extension<kante_metrics_v1>(KANTE_EXT_METRICS);
    device_ = extension<kante_device_v1>(KANTE_EXT_DEVICE);
    if (const std::string what = text("open"); !what.empty())
      log("open answered " +
          std::to_string(device_->open(host_, toStr(what), opening_ = ++token_)));
    if (const std::string target = text("invoke"); !target.empty()) act("invoke " + target, "1");
  }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_METHOD: return method(event);
      case KANTE_EVENT_DONE:
        if (event.token == opening_ && event.status == KANTE_OK && event.msg == nullptr)
          return opened(static_cast<int>(event.arg));
        log("done " + std::to_string(event.token) + " status " + std::to_string(event.status) +
            " arg " + std::to_string(event.arg) + " " + bodyOf(event));
        return KANTE_OK;
      case KANTE_EVENT_TIMER:
        log("timer " + std::to_string(event.id) + " times " + std::to_string(event.arg));
        return KANTE_OK;
      default: return KANTE_E_UNSUPPORTED;
    }
  }

 private:
  kante_status opened(int fd) {
    char text[64] = {};
    const ssize_t size = ::read(fd, text, sizeof text);
    log("opened and read " + std::string(text, size < 0 ? 0 : static_cast<std::size_t>(size)));
    ::close(fd);
    return KANTE_OK;
  }
  kante_status method(const kante_event& event) {
    const std::string name(toView(event.name));
    const std::string text = bodyOf(event);
    if (name == "unknown") return KANTE_E_UNSUPPORTED;
    if (name == "fail") return KANTE_E_INTERNAL;
    if (name == "silent") return KANTE_OK;
    if (name == "twice") {
      reply(event.token, 200);
      log("second reply " + std::to_string(reply(event.token, 201)));
      return KANTE_OK;
    }
    if (name == "thread") {
      std::thread([this, token = event.token] { reply(token, 203); }).join();
      return KANTE_OK;
    }
    const kante_status status = act(name, text);
    log(name + " answered " + std::to_string(status));
    reply(event.token, 200);
    return KANTE_OK;
  }
  kante_status act(const std::string& name, const std::string& text) {
    const std::uint64_t token = ++token_;
    if (name == "get") return storage_->get(host_, toStr("key"), token);
    if (name == "erase") return storage_->erase(host_, toStr("key"), token);
    if (name == "badkey") return storage_->get(host_, toStr(""), token);
    if (name == "report" || name == "put" || name.starts_with("invoke ")) {
      kante_msg* message = make(text);
      kante_status status = KANTE_E_INVALID;
      if (name == "report") status = twin_->report(host_, message, token);
      if (name == "put") status = storage_->put(host_, toStr("key"), message, token);
      if (name.starts_with("invoke ")) {
        status = invoke_->invoke(host_, toStr(name.substr(7)), toStr("do"), message, 200, token);
      }
      host_->msg_release(message);
      return status;
    }
    if (name == "open") {
      const std::string what = text.substr(1, text.size() - 2);  // Without its quotation marks.
      return device_->open(host_, toStr(what), opening_ = token);
    }
    if (name == "confuse") {  // An emit and an open() under one token.
      const kante_status emitted = publish(0, text, token);
      const std::string what = text.substr(1, text.size() - 2);
      return emitted != KANTE_OK ? emitted : device_->open(host_, toStr(what), token);
    }
    if (name == "timer") return timers_->set(host_, 5, 1'000'000, 1'000'000);
    if (name == "cancel") return timers_->cancel(host_, 5);
    if (name == "badtimer") return timers_->set(host_, 64, 1, 0);
    if (name == "emit") return publish(0, text, token);
    if (name == "badoutput") return publish(9, text);
    if (name == "reserved") return reserved();
    if (name == "many") return many();
    if (name == "large") return large();
    if (name == "sockets") {
      bool works = false;
      for (int n = 0; n < 3; ++n) works = ::socket(AF_INET, SOCK_STREAM, 0) >= 0;
      return works ? KANTE_OK : KANTE_E_DENIED;
    }
    if (name == "until") {
      while (::access(text.substr(1, text.size() - 2).c_str(), F_OK) != 0)
        std::this_thread::yield();
      return KANTE_OK;
    }
    if (name == "chatty") {
      for (int i = 0; i < 1000; ++i) log("chatter");
      return KANTE_OK;
    }
    if (name == "metric") {
      std::uint32_t id = 0;
      const kante_status status = metrics_->define(host_, toStr("degrees"), 1, &id);
      metrics_->record(host_, id, 21.5);
      return status;
    }
    return KANTE_E_NOT_FOUND;
  }
  // How many requests may be open before the host says stop.
  kante_status many() {
    for (std::uint64_t i = 0; i < 100'000; ++i) {
      const kante_status status = storage_->get(host_, toStr("key"), 1'000'000 + i);
      if (status != KANTE_OK) {
        log("asked " + std::to_string(i));
        return status;
      }
    }
    return KANTE_OK;
  }
  // The same of large ones.
  kante_status large() {
    kante_msg* message = make(std::string(1u << 20, 'x'));
    kante_status status = KANTE_OK;
    std::uint64_t asked = 0;
    for (; status == KANTE_OK && asked < 1000; ++asked)
      status = twin_->report(host_, message, 2'000'000 + asked);
    log("asked " + std::to_string(asked - 1));
    host_->msg_release(message);
    return status;
  }
  kante_status reserved() {
    const kante_property property{toStr("kante-seq"), toStr("1")};
    kante_message message{};
    message.properties = &property;
    message.property_count = 1;
    message.body = toStr("x");
    const std::uint32_t words = kante_message_words(&message);
    void* scratch = nullptr;
    if (host_->msg_alloc(host_, words, 0, &scratch) != KANTE_OK) return KANTE_E_LIMIT;
    kante_message_write(&message, scratch, words);
    const kante_status status = host_->publish(host_, 0, scratch, words, 0);
    host_->msg_abandon(host_, scratch);
    return status;
  }
  kante_status reply(std::uint64_t token, int code) {
    kante_msg* result = make(R"({"from":"asker"})");
    const kante_status status = twin_->reply(host_, token, code, result);
    host_->msg_release(result);
    return status;
  }

  const kante_twin_v1* twin_ = nullptr;
  const kante_storage_v1* storage_ = nullptr;
  const kante_invoke_v1* invoke_ = nullptr;
  const kante_timers_v1* timers_ = nullptr;
  const kante_metrics_v1* metrics_ = nullptr;
  const kante_device_v1* device_ = nullptr;
  std::uint64_t opening_ = 0;  // The last open().
  std::uint64_t token_ = 0;
};

}  // namespace

KIT_MODULE(Asker, "kit-asker", kit::create<Asker>);
