// Words to whoever started this process and waits to hear how it is (systemd's protocol; any init
// may speak it).
#pragma once

#include <string_view>

namespace kante::cli {

// "READY=1", "RELOADING=1…", "STOPPING=1", "STATUS=…".  Nothing happens without $NOTIFY_SOCKET.
void notifySupervisor(std::string_view state);

}  // namespace kante::cli
