// The topics of CONTRACTS.md section 8 on which signed documents come; what they say is for whoever
// takes them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/uplink/topics.h"

namespace kante {

enum class CommandTrust { kSigned, kBroker };

inline constexpr std::size_t kDocumentArrivalBytesMax = (std::size_t{4} << 20) + 65'536 + 56;

struct ArrivedDocument {
  // What its topic is for.
  enum class For {
    kDeployment,
    kLayer,
    kPatch,
    kDesired,
    kCommand,
    kSecrets,
    kTrust
  } use = For::kDeployment;
  std::string file;    // Empty: it was dropped, because there was no room for it.
  std::string source;  // The topic below the gateway's, without the id of a request.
  std::string name;    // The layer, the principal, the principal and '/' and the method; or empty.
  std::string request_id;    // Of a command.
  bool is_retained = false;  // It lay at the broker, maybe with others.
};

// Bounds what is on its way to who takes documents, in bytes and, without their files, in number.
// Any thread.
class DocumentRoom {
 public:
  static constexpr std::size_t kBytesMax = 32u << 20;
  static constexpr std::size_t kDroppedMax = 64;
  enum class Admission { kWhole, kWithoutFile, kNo };

  Admission admit(const ArrivedDocument& document);
  // It is there: what admit() said, of the same one.
  void arrived(const ArrivedDocument& document);
  std::uint64_t dropped() const { return dropped_; }  // Since start.

 private:
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> without_file_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

// `answer` is for commands: the status of a method and its payload, JSON.
using DocumentAnswer = std::function<void(int status, std::string payload)>;
using TakeDocument = std::function<void(ArrivedDocument document, DocumentAnswer answer)>;

// Below "kante/v1/GATEWAY/".  Twins and methods are here with CommandTrust::kSigned alone.
std::vector<std::string> documentFilters(CommandTrust commands);
bool isDeploymentTopic(std::string_view rest);
// kInvalid: not one of ours, or a name that cannot be.
Result<ArrivedDocument> parseDocumentTopic(std::string_view rest);

}  // namespace kante
