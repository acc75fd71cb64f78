// What this machine is and how it is: kernel, system, processor, memory, disks, limits.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace kante {

// `data_dir`: which disk, and what lies on it, by name and size, at most kDataDirFilesMax.
inline constexpr std::size_t kDataDirFilesMax = 500;
boost::json::object machineFacts(const std::string& data_dir);

}  // namespace kante
