// What a client says of itself: a name that is taken has good ids, and is the same when it is
// written.

// fuzz-links: kante_identity
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "host/identity/user_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kante::UserName;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto user = UserName::parse(text);
  if (!user) return 0;
  if (!kante::checkId(user->principal.id())) std::abort();
  const auto again = kante::PrincipalName::parse(user->principal.name());
  if (!again || !(*again == user->principal)) std::abort();
  if ((user->contract == UserName::Contract::kIotHub) != UserName::isIotHub(text)) std::abort();
  return 0;
}
