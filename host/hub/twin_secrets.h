// Desired properties as the module that they are for is told them: with the values of secrets in
// the place of their names.  Twins, operators and everybody else have the names.
#pragma once

#include "host/base/secret_references.h"
#include "host/hub/twins.h"

namespace kante {

// What is missing stays written as it was.
TwinSection withSecrets(TwinSection section, const Secrets& secrets);

// The members of the section, at its top, in which the secret of that name is, as a patch that
// changes nothing and tells them again; empty: it is in none.
std::string retold(const TwinSection& section, const std::string& secret);

}  // namespace kante
