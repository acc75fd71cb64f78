#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <memory>

#include "host/base/fd.h"
#include "host/cli/command.h"
#include "host/cli/template_files.h"

namespace kante::cli {
namespace {

constexpr std::size_t kNameBytesMax = 64;

struct NewOptions {
  std::string name;
  std::string dir;
  std::string id;
};

struct Placeholder {
  std::string_view mark;
  std::string text;
};

bool isAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// As module names in deployments, which end up in targets, files and ids alike.
Status checkName(const std::string& name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax && isAlphanumeric(name[0]);
  for (const char c : name) good = good && (isAlphanumeric(c) || c == '-' || c == '_' || c == '.');
  for (const char* target : {"all", "clean", "edit_cache", "help", "install", "package",
                             "package_source", "preinstall", "rebuild_cache", "test"}) {
    if (name == target)
      return fail(Errc::kInvalid, "\"" + name +
                                      "\" cannot name a module: CMake has a target of this name; "
                                      "choose another one");
  }
  if (good) return {};
  return fail(Errc::kInvalid,
              "\"" + name +
                  "\" cannot name a module: letters, digits, \"-\", \"_\" and \".\" may, at "
                  "most 64, the first a letter or digit");
}

Status checkId(const std::string& id) {
  bool good = !id.empty() && id.size() <= 128 && id.front() != '.' && id.back() != '.' &&
              id.find("..") == std::string::npos;
  for (const char c : id) good = good && (isAlphanumeric(c) || c == '-' || c == '.');
  if (good) return {};
  return fail(
      Errc::kInvalid,
      "\"" + id +
          "\" cannot be the id of a module: a reversed domain name can, e.g. com.example.filter");
}

// "my-filter" → "MyFilter"; what C++ or the SDK would take for something else has "Module" in
// front.
std::string className(const std::string& name) {
  std::string out;
  bool begins_word = true;
  for (const char c : name) {
    if (!isAlphanumeric(c)) {
      begins_word = true;
      continue;
    }
    const bool is_lower = c >= 'a' && c <= 'z';
    out += begins_word && is_lower ? static_cast<char>(c - 'a' + 'A') : c;
    begins_word = false;
  }
  const bool is_taken = out == "Module" || (out[0] >= '0' && out[0] <= '9');
  return is_taken ? "Module" + out : out;
}

std::string idPart(std::string name) {
  for (char& c : name) {
    if (c == '_' || c == '.') c = '-';
  }
  while (name.back() == '-') name.pop_back();
  return name;
}

// Where this program was installed or built; the SDK lies beside it.
std::string ownPrefix() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  std::string prefix(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  for (int i = 0; i < 2; ++i) prefix.resize(std::min(prefix.rfind('/'), prefix.size()));
  return prefix.empty() ? "/usr" : prefix;
}

std::string filled(std::string_view text, const std::array<Placeholder, 4>& placeholders) {
  std::string out(text);
  for (const Placeholder& placeholder : placeholders) {
    for (std::size_t at = 0; (at = out.find(placeholder.mark, at)) != std::string::npos;) {
      out.replace(at, placeholder.mark.size(), placeholder.text);
      at += placeholder.text.size();
    }
  }
  return out;
}

Status writeProject(const NewOptions& options) {
  KANTE_CHECK(checkName(options.name));
  const std::string id = options.id.empty() ? "com.example." + idPart(options.name) : options.id;
  KANTE_CHECK(checkId(id));
  const std::string dir = options.dir.empty() ? options.name : options.dir;
  struct stat status {};
  if (::lstat(dir.c_str(), &status) == 0) {
    return fail(Errc::kConflict, dir + " exists and is not overwritten; choose another --dir");
  }
  const std::array<Placeholder, 4> placeholders = {{{"@NAME@", options.name},
                                                    {"@CLASS@", className(options.name)},
                                                    {"@ID@", id},
                                                    {"@PREFIX@", ownPrefix()}}};
  KANTE_TRY(folder, makeDirectory(dir, 0755));
  for (const TemplateFile& file : kTemplateFiles) {
    const std::string name = filled(file.name, placeholders);
    auto out = openAt(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    if (out.has_error()) return within(dir, out.error());
    KANTE_CHECK(writeAll(out->get(), filled(file.text, placeholders)));
  }
  fmt::print(stderr,
             "Made {0}/ with the module {1} ({2}). Next:\n"
             "  kante key init                      once, a key to sign with\n"
             "  cd {0} && cmake -B build && cmake --build build\n"
             "  ctest --test-dir build --output-on-failure\n"
             "  kante bundle inspect build/{1}.kmod\n",
             dir, options.name, id);
  return {};
}

}  // namespace

void addModuleNewCommand(CLI::App& module, Context& context) {
  auto options = std::make_shared<NewOptions>();
  CLI::App* command =
      module.add_subcommand("new", "Make a project for a module: sources, tests, manifest");
  command->add_option("NAME", options->name, "Name of the module, e.g. my-filter")->required();
  command->add_option("--dir", options->dir, "Folder to make (default: NAME)");
  command->add_option("--id", options->id, "Id of the module (default: com.example.NAME)");
  command->callback([options, &context] {
    const Status status = writeProject(*options);
    if (status.has_error()) context.exit_code = reportFailure("module new", status.error());
  });
}

}  // namespace kante::cli
