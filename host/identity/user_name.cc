#include "host/identity/user_name.h"

#include <vector>

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr std::string_view kVersion = "api-version=";

Error wrong(const char* what) { return fail(Errc::kInvalid, std::string("user name: ") + what); }

std::string_view lastSegment(std::string_view text) { return text.substr(text.rfind('/') + 1); }

// Name and value pairs; the first of a name counts, unknown ones are ignored.
Status readProperties(std::string_view text, UserName& out) {
  if (text.starts_with('?')) text.remove_prefix(1);
  std::string version;
  const std::pair<std::string_view, std::string*> known[] = {{"api-version", &version},
                                                             {"DeviceClientType", &out.product},
                                                             {"model-id", &out.model_id},
                                                             {"auth-chain", &out.auth_chain}};
  for (bool more = true; more;) {
    const std::size_t end = text.find('&');
    const std::string_view part = text.substr(0, end);
    more = end != std::string_view::npos;
    if (more) text.remove_prefix(end + 1);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    for (const auto& [name, value] : known) {
      if (part.substr(0, equals) != name || !value->empty()) continue;
      const auto decoded = percentDecode(part.substr(equals + 1));
      if (!decoded || !isUtf8(*decoded)) return wrong("a property is not percent-encoded UTF-8");
      *value = *decoded;
    }
  }
  if (version.find_first_not_of(" \t") == std::string::npos) return wrong("api-version is missing");
  return {};
}

}  // namespace

bool UserName::isIotHub(std::string_view text) {
  const std::string_view last = lastSegment(text);
  return text.find('/') != std::string_view::npos &&
         (last.starts_with('?') || last.find(kVersion) != std::string_view::npos);
}

Result<UserName> UserName::parse(std::string_view text) {
  if (text.size() > kBytesMax) return wrong("it is too long");
  if (!isIotHub(text)) {
    auto plain = PrincipalName::parse(text);
    if (!plain) return within("user name", plain.error());
    return UserName{Contract::kPlain, std::move(*plain), {}, {}, {}};
  }
  const std::string_view last = lastSegment(text);
  text.remove_suffix(last.size() + 1);
  std::vector<std::string_view> ids;
  for (bool more = true; more && ids.size() < 4;) {
    const std::size_t end = text.find('/');
    ids.push_back(text.substr(0, end));
    more = end != std::string_view::npos;
    if (more) text.remove_prefix(end + 1);
  }
  if (ids.size() < 2 || ids.size() > 3 || ids[0].empty())
    return wrong("it is HOST/ID/?api-version=… or HOST/ID/MODULE/?api-version=…");
  auto principal =
      ids.size() == 2 ? PrincipalName::device(ids[1]) : PrincipalName::deviceModule(ids[1], ids[2]);
  if (!principal) return within("user name", principal.error());
  UserName out{Contract::kIotHub, std::move(*principal), {}, {}, {}};
  KANTE_CHECK(readProperties(last, out));
  return out;
}

}  // namespace kante
