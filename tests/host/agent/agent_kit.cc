#include "tests/host/agent/agent_kit.h"

namespace kante::test {
namespace {

// For hosts that answer at once.
struct Caught {
  Result<ApplyOutcome> result = fail(Errc::kState, "not answered");
  Agent::Applied catcher() {
    return [this](Result<ApplyOutcome> answer) { result = std::move(answer); };
  }
};

const Identity& theSigner() {
  static const Identity signer = makeSigner(makeCa("ca"));
  return signer;
}

}  // namespace

Gateway::Gateway() : signer(theSigner()) {
  trust = trustIn(signer);
  makeBundle("a.kmod", "com.example.a", 7, kPorts);
  makeBundle("b.kmod", "com.example.b", 7, kPorts);
  restart();
}

void Gateway::restart() {
  agent.reset();
  twins.reset();
  bundles.reset();
  host.targets.clear();
  bundles.emplace(BundleStore::open(dir.fd()).value());
  twins = Twins::open(twin_map).value();
  Agent::Parts parts{
      *bundles, host,     *twins, journal, clock, log, [this] { return policyFor(*trust); },
      upstream, handover, barred};
  parts.tags = tags;
  parts.last_end = last_end;
  parts.changed = [this] {
    if (changed) changed();
  };
  parts.uplink_connected = uplink_connected;
  parts.fetcher = fetcher;
  parts.images = images;
  parts.get_image = get_image;
  parts.image_progress = [] { return FetchProgress{"image:line:1", "docker.io", 1, 2, {}}; };
  parts.gateway = "edge-1";
  parts.section = section;
  parts.check_section = check_section;
  parts.secrets = [this](const std::string& name) -> const std::string* {
    const auto found = secrets.find(name);
    return found == secrets.end() ? nullptr : &found->second;
  };
  parts.later = [this](std::chrono::milliseconds after, std::function<void()> work) {
    delay = after;
    const auto handle = std::make_shared<std::function<void()>>(std::move(work));
    task = handle;
    return handle;
  };
  agent = Agent::open(std::move(parts)).value();
}

void Gateway::pass(std::chrono::milliseconds time) {
  for (auto left = time; left.count() > 0;) {
    const auto due = task.lock();
    const auto step = due ? std::min(left, delay) : left;
    clock.advance(std::chrono::nanoseconds(step).count());
    left -= step;
    if (due) (*due)();
  }
}

void Gateway::makeBundle(const std::string& file, const std::string& id, std::uint64_t counter,
                         const std::string& more) {
  const std::string payload = goodPayload(id, counter, more);
  dir.write(file, frameOf(payload, makeCms(payload, signer)));
}

std::string Gateway::digestOf(const std::string& id, std::uint64_t counter,
                              const std::string& more) {
  return "sha256:" + toHex(sha256(goodPayload(id, counter, more)));
}

ApplyRequest Gateway::request(const std::string& document) const {
  ApplyRequest request;
  request.document = document;
  request.who = "operator/ann";
  request.base_directory = dir.path();
  return request;
}

Result<ApplyOutcome> Gateway::apply(const std::string& document, ApplyRequest::Mode mode) {
  Caught caught;
  ApplyRequest asked = request(document);
  asked.mode = mode;
  agent->apply(std::move(asked), caught.catcher());
  return caught.result;
}

Result<ApplyOutcome> Gateway::rollback(std::uint64_t n) {
  Caught caught;
  agent->rollback(n, "operator/bob", caught.catcher());
  return caught.result;
}

Result<ApplyOutcome> Gateway::patch(Agent::PatchKind kind, const std::string& patch) {
  Caught caught;
  agent->patch(kind, request(patch), caught.catcher());
  return caught.result;
}

Result<ApplyOutcome> Gateway::start() {
  Caught caught;
  agent->start(caught.catcher());
  return caught.result;
}

std::string document(int version, const std::string& more_of_x, const std::string& routes,
                     const std::string& id) {
  return R"({"schema":"kante.deployment/1","id":")" + id + R"(","version":)" +
         std::to_string(version) +
         R"(,"modules":{"x":{"bundle":"a.kmod","placement":"in-process")" +
         (more_of_x.empty() ? "" : "," + more_of_x) +
         R"(},"y":{"bundle":"b.kmod","placement":"in-process"}},"routes":)" + routes + "}";
}

}  // namespace kante::test
