// kante secret …: names of secrets; values go in by standard input and never come out.
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <iostream>

#include "host/base/encoding.h"
#include "host/cli/host_command.h"
#include "host/cli/in_file.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"
#include "host/identity/secret_store.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

// One line from a terminal, which does not show it; else all there is, without a last line's end.
Result<std::string> readValue() {
  std::string value;
  termios before{};
  if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before) == 0) {
    std::fputs("value: ", stderr);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    std::getline(std::cin, value);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputs("\n", stderr);
    return value;
  }
  KANTE_TRY(all, readInput("-", SecretStore::kValueBytesMax + 1));
  value = std::move(all);
  if (value.ends_with('\n')) value.pop_back();
  return value;
}

Result<int> list(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/secrets"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(all, parseReply(body));
  Table table({{"SECRET"}, {"SET"}, {"BY"}});
  if (all.is_array())
    for (const json::value& one : all.as_array())
      table.add({printable(textOf(one, "name")), printable(textOf(one, "set")),
                 printable(textOf(one, "who"))});
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace

void addSecretCommands(CLI::App& app, Context& context) {
  CLI::App* secret = app.add_subcommand("secret", "Secrets that modules are configured with");
  secret->require_subcommand(1);
  const auto name = std::make_shared<std::string>();
  addHostCommand(*secret, context, "list", "Their names, never their values", Prints::kData, list);
  CLI::App* set =
      addHostCommand(*secret, context, "set", "Set one to what comes on standard input",
                     Prints::kNothing, [name](const HostOptions& options) -> Result<int> {
                       KANTE_TRY(client, options.connect());
                       KANTE_TRY(value, readValue());
                       if (value.empty())
                         return fail(Errc::kInvalid, "nothing came on standard input");
                       KANTE_CHECK(client.send("PUT", "/v1/secrets/" + percentEncode(*name), value,
                                               "application/octet-stream"));
                       std::fprintf(stderr, "secret %s is set\n", printable(*name).c_str());
                       return 0;
                     });
  set->add_option("NAME", *name, "As in ${secret:NAME}")->required();
  CLI::App* remove = addHostCommand(
      *secret, context, "remove", "Remove one", Prints::kNothing,
      [name](const HostOptions& options) -> Result<int> {
        KANTE_TRY(client, options.connect());
        KANTE_CHECK(client.send("DELETE", "/v1/secrets/" + percentEncode(*name), ""));
        std::fprintf(stderr, "secret %s is removed\n", printable(*name).c_str());
        return 0;
      });
  remove->add_option("NAME", *name, "Its name")->required();
}

}  // namespace kante::cli
