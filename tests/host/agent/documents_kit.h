// What tests of signed documents stand on: a gateway that takes them, and documents for it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/agent/anchors.h"
#include "host/agent/documents.h"
#include "host/base/events.h"
#include "host/bundle/document_file.h"
#include "host/hub/methods.h"
#include "tests/host/agent/agent_kit.h"

namespace kante::test {

inline constexpr char kDocumentSigning[] = "1.3.6.1.5.5.7.3.36";

inline Identity makeDeployer(const Identity& ca, const std::string& name,
                             std::int64_t not_after_s = kNow_s + 100 * kDay_s) {
  CertificateOptions options;
  options.common_name = name;
  options.issuer = &ca;
  options.usage = kDocumentSigning;
  options.not_after_s = not_after_s;
  return makeIdentity(options);
}

inline const Identity& theCa() {
  static const Identity ca = makeCa("deployers");
  return ca;
}
inline const Identity& ann() {
  static const Identity deployer = makeDeployer(theCa(), "ann");
  return deployer;
}

inline std::string signedFile(const std::string& payload, const Identity& signer = ann()) {
  const std::string cms = makeCms(payload, signer);
  return makeFrameStart(FrameKind::kDocument, cms, payload.size()).value() + payload;
}

// A document for edge-1.
struct Says {
  DocumentKind kind = DocumentKind::kDeployment;
  std::uint64_t counter = 1;
  std::string content = "{}";
  std::string name = {};
  std::uint64_t base = 0;
  std::string tag = {};
  std::string gateway = "edge-1";
  std::int64_t not_after_s = 0;

  std::string payload() const {
    Document out;
    out.kind = kind;
    out.counter = counter;
    out.content = content;
    out.name = name;
    if (base != 0) out.base = base;
    out.tag = tag;
    if (tag.empty()) out.gateway = gateway;
    if (not_after_s != 0) out.not_after_s = not_after_s;
    return writeDocument(out);
  }
  std::string file(const Identity& signer = ann()) const { return signedFile(payload(), signer); }
};

class DocumentsTest : public testing::Test {
 protected:
  DocumentsTest() {
    gateway_.tags = {{"site", "muc"}};
    gateway_.changed = [this] {
      if (documents_) documents_->agentChanged();
    };
    restart();
    // Bundles that documents name by digest.
    for (const char* file : {"a.kmod", "b.kmod"}) {
      const auto bundle = openAt(gateway_.dir.fd(), file, O_RDONLY).value();
      EXPECT_TRUE(gateway_.agent->admit(bundle.get(), ApplyRequest::Rebind::kNo));
    }
  }

  void restart() {
    documents_.reset();
    std::string damage;
    anchors_ = Anchors::open(files_, taken_, damage).value();
    EXPECT_EQ(damage, "");
    gateway_.restart();
    (void)gateway_.start();
    Documents::Parts parts{*gateway_.agent, *gateway_.twins, methods_,     taken_,
                           gateway_.log,    events_,         *anchors_,    [this] { return now_; },
                           nullptr,         "edge-1",        gateway_.tags};
    parts.post = [this](std::function<void()> work) { posted_.push_back(std::move(work)); };
    parts.set_secrets = [this](const std::string& cms, const std::string&, auto done) {
      secrets_said_.push_back(cms);
      done(secrets_answer_);
    };
    parts.trust_changed = [this] { ++trust_changes_; };
    parts.report = [this](const std::string& text) { reported_.push_back(text); };
    if (gathers_)
      parts.later = [this](std::chrono::milliseconds time, std::function<void()> task) {
        gather_time_ = time;
        const auto handle = std::make_shared<std::function<void()>>(std::move(task));
        gather_ = handle;
        return handle;
      };
    documents_ = Documents::open(std::move(parts)).value();
    documents_->start();
  }

  void runPosted() {
    while (!posted_.empty()) {
      const auto work = std::move(posted_.front());
      posted_.pop_front();
      work();
    }
  }

  // As after Documents::kGatherTime.
  void gather() {
    if (const auto due = gather_.lock()) (*due)();
    runPosted();
  }

  // "taken", "ignored", the reason of a refusal, or "waits".
  std::string take(const std::string& file, std::vector<DocumentKind> kinds = {},
                   const std::string& name = {}, const std::string& source = "set") {
    const auto said = std::make_shared<std::string>("waits");
    documents_->take({file, source, std::move(kinds), name}, [said](const auto& outcome) {
      *said = outcome.kind == DocumentOutcome::Kind::kTaken     ? "taken"
              : outcome.kind == DocumentOutcome::Kind::kIgnored ? "ignored"
                                                                : outcome.reason;
    });
    runPosted();
    return *said;
  }

  // document() with digests for its bundles.
  static std::string deployment(int version, const std::string& more_of_x = {}) {
    std::string text = document(version, more_of_x);
    for (const auto& [file, id] :
         {std::pair{"a.kmod", "com.example.a"}, {"b.kmod", "com.example.b"}})
      text.replace(text.find(file), 6, Gateway::digestOf(id, 7, kPorts));
    return text;
  }
  static Says set(int version, std::uint64_t counter, const std::string& more_of_x = {}) {
    return {DocumentKind::kDeployment, counter, deployment(version, more_of_x)};
  }
  static Says layer(const std::string& name, std::uint64_t counter, const std::string& content) {
    return {DocumentKind::kLayer, counter, content, name};
  }
  static std::string period(int ms, int priority = 0) {
    return R"({"schema":"kante.layer/1","priority":)" + std::to_string(priority) +
           R"(,"content":{"modules":{"x":{"config":{"period_ms":)" + std::to_string(ms) + "}}}}}";
  }
  std::string config(const std::string& module = "x") const {
    for (const ModuleSpec& spec : gateway_.host.targets.back().modules)
      if (spec.name == module) return spec.config;
    return "no such module";
  }
  boost::json::object report() const {
    return boost::json::parse(documents_->report()).as_object();
  }

  Gateway gateway_;
  boost::asio::io_context io_;
  Methods methods_{io_};
  FragileMap taken_;
  ManualClock clock_;
  EventLog events_{clock_};
  Anchors::Texts files_ = {"", theCa().certificatePem()};  // Signers: the gateway's own.
  std::unique_ptr<Anchors> anchors_;
  int trust_changes_ = 0;
  std::vector<std::string> secrets_said_;
  Status secrets_answer_;
  JudgementTime now_{kNow_s, JudgementTime::Clock::kTrusted};
  std::deque<std::function<void()>> posted_;
  std::vector<std::string> reported_;
  bool gathers_ = false;  // Then what comes waits for gather().
  std::weak_ptr<std::function<void()>> gather_;
  std::chrono::milliseconds gather_time_{0};
  std::unique_ptr<Documents> documents_;
};

}  // namespace kante::test
