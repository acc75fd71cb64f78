// Who is at the other end of the API socket, by the kernel's word.
#pragma once

#include <sys/types.h>

#include <string>

#include "host/base/result.h"

namespace kante {

// kNo: /etc/group alone.  kYes: then whatever else this machine asks for groups, which may take its
// time.
enum class NameServices { kNo, kYes };
// The id of the group, or -1 when there is none of that name (or the name is empty).
gid_t findGroup(const std::string& group, NameServices ask);

// "operator/USER" for root, for the user that the host runs as, and for members of the group;
// kDenied for all others.  The name of a user without an account is the number.
Result<std::string> operatorOf(int socket_fd, gid_t group);

}  // namespace kante
