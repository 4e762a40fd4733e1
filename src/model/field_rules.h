// The rules that proto/ declares on fields, checked for every kind alike.
#pragma once

#include <functional>
#include <string>

#include "model/kind.h"

namespace frameworks {

// required, format, min, max, reference and (where `before` is given) immutable, for metadata and
// spec.
void check_field_rules(const Resource& resource, const Message* before, Validation& out);

// Calls `visit(field, kind, name)` for every reference that a message's spec holds.
using VisitReference =
    std::function<void(const std::string& field, const std::string& kind, const std::string& name)>;
void for_each_reference(const Message& message, const VisitReference& visit);

// True where resources of the kind may hold a reference to one of `target`.
bool may_reference(const Kind& kind, const std::string& target);

}  // namespace frameworks
