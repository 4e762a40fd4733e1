// The OpenAPI 3.1 document of the REST API: docs/reference/openapi.json, as it was built in.
#pragma once

#include <string_view>

namespace frameworks {

std::string_view openapi_document();

}  // namespace frameworks
