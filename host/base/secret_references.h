// How a document says "the secret of that name" where a text is wanted, and what it becomes when a
// module is given it:
//
//   "tcp://${secret:PLC_USER}@plc"    anywhere in a text, as often as wanted
//   {"$secret": "PLC_PASSWORD"}       in the place of a whole text
//
// Names are names ([A-Za-z0-9][A-Za-z0-9._-]{0,63}); there is no other way to write "${secret:" in
// a text.  Any thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

// The value of a name; null: there is none.  The text lives until the secrets change.
using Secrets = std::function<const std::string*(const std::string& name)>;

// Puts values in the place of their names, in texts at any depth; names of members stay.
// kNotFound: a name without a value; kInvalid: what is no name.  Both begin with the JSON pointer,
// below `pointer`; no error holds a value.  `value` is half done then.
Status substituteSecrets(boost::json::value& value, const Secrets& secrets,
                         const std::string& pointer);
// The names that it wants, as far as they are names.
std::set<std::string> secretsIn(const boost::json::value& value);

}  // namespace kante
