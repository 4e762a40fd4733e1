"""The OpenAPI 3.1 document of the REST API, from the declarations, options and comments of proto/."""
import json
import os
import re

from contract import FIELD, PACKAGE, ROOT, enum_words, short, words

KINDS = "Resource"
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
FORMATS = {
    "FORMAT_DNS_LABEL": {"pattern": f"^{LABEL}$"},
    "FORMAT_DNS_NAME": {"pattern": rf"^{LABEL}(\.{LABEL})*$", "maxLength": 253},
    "FORMAT_IP": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "FORMAT_CIDR": {"pattern": r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"},
    "FORMAT_CIDR4": {"pattern": r"^[0-9.]+/[0-9]{1,2}$"},
    "FORMAT_CIDR6": {"pattern": r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"},
    "FORMAT_PATH": {"pattern": "^/[!-~]*$"},
}
SCALARS = {
    FIELD.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FIELD.TYPE_FLOAT: {"type": "number", "format": "float"},
    FIELD.TYPE_INT64: {"type": "integer", "format": "int64"},
    FIELD.TYPE_INT32: {"type": "integer", "format": "int32"},
    FIELD.TYPE_UINT64: {"type": "integer", "minimum": 0},
    FIELD.TYPE_UINT32: {"type": "integer", "minimum": 0},
    FIELD.TYPE_BOOL: {"type": "boolean"},
    FIELD.TYPE_STRING: {"type": "string"},
    FIELD.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
WELL_KNOWN = {
    ".google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9.]+(e[+-]?[0-9]+)?(ns|us|ms|s|m|h|d)$",
                                  "examples": ["5s", "1h"]},
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Value": {"description": "Any JSON value."},
    ".google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    ".google.protobuf.Any": {"$ref": f"#/components/schemas/{KINDS}"},
}
# What may go wrong, by status; `components.responses` has one of each.
PROBLEMS = {
    "400": ("BadRequest", "The request is wrong; `violations` names every field at once."),
    "401": ("Unauthenticated", "No token, or one that is unknown, expired or revoked."),
    "403": ("PermissionDenied", "The caller's role does not suffice."),
    "404": ("NotFound", "There is no such thing, or none that the caller may see."),
    "406": ("NotAcceptable", "The answer has another media type than `Accept` wants."),
    "409": ("Conflict", "The fleet is not in the state that the request needs."),
    "410": ("Gone", "The revision is no longer retained, or not yet known: start again."),
    "412": ("PreconditionFailed", "The revision in `If-Match` is no longer the newest."),
    "413": ("ContentTooLarge", "The body is larger than the server takes."),
    "415": ("UnsupportedMediaType", "Bodies are application/json."),
    "429": ("TooManyRequests", "A limit is reached; try again after `Retry-After` seconds."),
    "default": ("Problem", "The server has failed, or is not available; `type` says which."),
}
PROBLEM = {
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference",
                 "description": "Path that answers with an explanation, e.g. /v1/problems/not-found."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "One clause about this case."},
        "code": {"type": "string", "description": "The canonical code of gRPC, or of HTTP's part."},
        "violations": {"type": "array", "items": {"$ref": "#/components/schemas/Violation"},
                       "description": "Everything that is wrong with the input."},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def ref(name):
    return {"$ref": f"#/components/schemas/{short(name)}"}


class Schemas:
    """The schemas of messages and enumerations; what requests and what responses reach."""

    def __init__(self, contract, methods):
        self.contract = contract
        self.kinds = [name for name, _ in contract.kinds()]
        self.sent = self.reach(method.input_type for method in methods)
        self.answered = self.reach([method.output_type for method in methods] + [PACKAGE + "Violation"])

    def reach(self, roots):
        seen, waiting = set(), list(roots)
        while waiting:
            name = waiting.pop()
            if name == ".google.protobuf.Any":
                waiting += self.kinds
            if name in seen or name not in self.contract.messages:
                continue
            seen.add(name)
            waiting += [field.type_name for field in self.contract.messages[name].field]
        return seen

    def enum(self, name):
        values = enum_words(self.contract, name)
        notes = [f"`{word}`: {words(note)}" for word, note in values if note]
        text = "\n".join([words(self.contract.comments[name])] + [f"* {note}" for note in notes])
        return {"description": text.strip() or short(name), "type": "string",
                "enum": [word for word, _ in values]}

    def single(self, field):
        if field.type == FIELD.TYPE_ENUM:
            return ref(field.type_name)
        if field.type == FIELD.TYPE_MESSAGE:
            return dict(WELL_KNOWN.get(field.type_name) or ref(field.type_name))
        return dict(SCALARS[field.type])

    def field(self, owner, field):
        """The schema of a field, with what its rules and comment say."""
        rules = self.contract.option(field, "rules")
        schema = self.single(field)
        if rules.min or rules.max:
            whole = schema.get("type") == "integer"
            schema.update({"minimum": int(rules.min) if whole else rules.min,
                           "maximum": int(rules.max) if whole else rules.max})
        if rules.format:
            schema.update(FORMATS[self.contract.enums[PACKAGE + "Format"].value[rules.format].name])
        if rules.secret and schema.get("type") == "string":
            schema["format"] = "password"
        if field.type_name in self.contract.maps:
            value = self.contract.maps[field.type_name].field[1]
            schema = {"type": "object", "additionalProperties": self.single(value)}
        elif field.label == FIELD.LABEL_REPEATED:
            schema = {"type": "array", "items": schema}
            if rules.required:
                schema["minItems"] = 1
        note = [words(self.contract.comments[f"{owner}.{field.name}"])]
        if rules.required and owner in self.answered:
            note.append("Required.")
        if rules.reference:
            note.append(f"Names a {rules.reference}.")
        if rules.immutable:
            note.append("Cannot change later.")
        if rules.secret:
            schema["writeOnly" if owner in self.sent else "readOnly"] = True
            if owner in self.sent:
                note.append("Reads `(secret)`.")
        text = " ".join(part for part in note if part)
        return {**schema, "description": text} if text else schema

    def message(self, name, without=()):
        """Responses leave fields with their default out, so only what is never answered requires any."""
        declared = self.contract.messages[name]
        fields = [field for field in declared.field if field.name not in without]
        properties = {field.json_name: self.field(name, field) for field in fields}
        required = [field.json_name for field in fields
                    if name not in self.answered and self.contract.option(field, "rules").required]
        if name in self.kinds:
            properties = {"apiVersion": {"type": "string", "const": "frameworks/v1"},
                          "kind": {"type": "string", "const": declared.name}, **properties}
            properties["status"]["readOnly"] = True
        schema = {"type": "object", "properties": properties}
        if self.contract.comments.get(name):
            schema["description"] = words(self.contract.comments[name])
        if required:
            schema["required"] = required
        if name in self.sent:
            schema["additionalProperties"] = False
        return schema

    def resource(self):
        return {"description": "A resource of one of the kinds.", "type": "object", "required": ["kind"],
                "oneOf": [ref(name) for name in self.kinds],
                "discriminator": {"propertyName": "kind", "mapping": {
                    short(name): ref(name)["$ref"] for name in self.kinds}}}


class Operations:
    """An operation for every method with a route."""

    def __init__(self, contract, schemas):
        self.contract, self.schemas = contract, schemas

    def paths(self, services):
        out = {}
        for service in services:
            for method in service.method:
                route = self.contract.option(method, "http")
                if route.path:
                    out.setdefault(route.path, {})[route.verb.lower()] = self.operation(service, method, route)
        return out

    def operation(self, service, method, route):
        fields = {field.name: field for field in self.contract.messages[method.input_type].field}
        in_path = re.findall(r"{(\w+)}", route.path)
        comment = words(self.contract.comments[f"{service.name}.{method.name}"])
        access = self.contract.enums[PACKAGE + "Access"].value[self.contract.option(method, "access")].name
        role = access.removeprefix("ACCESS_").lower()
        out = {
            "operationId": f"{service.name}.{method.name}",
            "tags": [service.name],
            "summary": re.split(r"(?<=[.;:])\s", comment)[0].rstrip(".;:"),
            "description": comment + ("" if role == "anybody" else f"\n\nNeeds the role `{role}` or a higher one.")
            + self.scope_text(method),
        }
        if role == "anybody":
            out["security"] = [{}]
        parameters = [self.parameter(method, fields[name], "path") for name in in_path]
        body = route.verb in ("POST", "PUT")
        if not body:
            for field in fields.values():
                if field.name not in in_path:
                    parameters += self.in_query(method, field)
        statuses = ["400", "404", "406", "429"]
        if role != "anybody":
            statuses += ["401", "403"]
        if self.contract.option(method, "writes"):
            statuses.append("409")
        parameters += self.headers(method, fields, statuses)
        if parameters:
            out["parameters"] = parameters
        if body and len(fields) > len(in_path):
            statuses += ["413", "415"]
            schema = self.schemas.message(method.input_type, in_path) if in_path else ref(method.input_type)
            out["requestBody"] = {"required": "required" in self.schemas.message(method.input_type, in_path),
                                  "content": {"application/json": {"schema": schema}}}
        out["responses"] = {**self.answers(method), **{
            status: {"$ref": f"#/components/responses/{PROBLEMS[status][0]}"}
            for status in sorted(statuses) + ["default"]}}
        return out

    def scope_text(self, method):
        scope = self.contract.enums[PACKAGE + "TenantScope"].value[self.contract.option(method, "tenant_scope")].name
        return {"TENANT_SCOPE_NONE": " Refused to callers that are bound to a tenant.",
                "TENANT_SCOPE_FIELD": " A caller that is bound to a tenant names its own.",
                "TENANT_SCOPE_FILTERED": " A caller that is bound to a tenant sees and changes what is its own.",
                "TENANT_SCOPE_OPEN": ""}[scope]

    def in_query(self, method, field):
        """A field's parameter; of a message those of its fields, "filter.tiers"."""
        if self.is_text(field):
            return [self.parameter(method, field, "query")]
        nested = field.label != FIELD.LABEL_REPEATED and self.contract.messages.get(field.type_name)
        if not nested:
            return []
        return [{**self.parameter(method, inner, "query", field.type_name),
                 "name": f"{field.json_name}.{inner.json_name}"} for inner in nested.field if self.is_text(inner)]

    @staticmethod
    def is_text(field):
        """Whether a query can carry the field."""
        return field.type != FIELD.TYPE_MESSAGE or field.type_name in (
            ".google.protobuf.Duration", ".google.protobuf.Timestamp")

    def parameter(self, method, field, place, owner=None):
        schema = self.schemas.field(owner or method.input_type, field)
        note = schema.pop("description", "")
        required = place == "path" or self.contract.option(field, "rules").required
        out = {"name": field.name if place == "path" else field.json_name, "in": place, "required": required}
        if note:
            out["description"] = note
        return {**out, "schema": schema}

    def headers(self, method, fields, statuses):
        """What headers say of revisions; adds the statuses that come of it."""
        out = []
        if self.is_tagged(method):
            out.append(("If-None-Match", "The `ETag` that the caller has: 304 while it is still good."))
        if "if_revision" in fields:
            out.append(("If-Match", "The `ETag` of what is to be changed: 412 when it has changed since."))
            statuses.append("412")
        if method.server_streaming and ("from_revision" in fields or "after" in fields):
            out.append(("Last-Event-ID", "The `id` of the last event that was seen: continues after it."))
            statuses.append("410")
        return [{"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
                for name, text in out]

    def is_tagged(self, method):
        fields = {field.name for field in self.contract.messages[method.input_type].field}
        answer = {field.name: field for field in self.contract.messages[method.output_type].field}
        resource = answer.get("resource")
        return (self.contract.option(method, "http").verb == "GET" and not method.server_streaming and
                ("if_none_match" in fields or "body" in answer or
                 (resource is not None and resource.label != FIELD.LABEL_REPEATED)))

    def answers(self, method):
        if method.server_streaming:
            return {"200": {
                "description": "Server-sent events: `data` is one message as JSON, `id` the place to continue from; "
                               "`event: error` carries a problem document, `event: end` ends the stream.",
                "content": {"text/event-stream": {"schema": {"type": "string", "x-event-data": ref(method.output_type)}}}}}
        done = {"description": "Done.", "content": {"application/json": {"schema": ref(method.output_type)}}}
        if any(field.name == "body" for field in self.contract.messages[method.output_type].field):
            done["content"] = {media: {"schema": {"type": "string"}} for media in ("text/plain", "text/csv")}
            done["content"]["application/json"] = {"schema": {"type": ["object", "array"], "items": {}}}
        if not self.is_tagged(method):
            return {"200": done}
        done["headers"] = {"ETag": {"description": "The version of what is shown.", "schema": {"type": "string"}}}
        return {"200": done, "304": {"description": "What the caller has is still good."}}


def text_operation(name, summary, media, parameters=()):
    out = {"operationId": f"Server.{name}", "tags": ["Server"], "summary": summary, "description": summary + ".",
           "security": [{}], "responses": {
               "200": {"description": "Done.", "content": {media: {"schema": {
                   "type": "object" if media == "application/json" else "string"}}}},
               "default": {"$ref": "#/components/responses/Problem"}}}
    if parameters:
        out["parameters"] = list(parameters)
    return out


def server_paths():
    """What is served beside the methods."""
    problem = {"name": "type", "in": "path", "required": True, "schema": {"type": "string"},
               "description": "Name of a type of problem, e.g. not-found."}
    return {
        "/healthz": {"get": text_operation("Health", "Whether the server answers", "text/plain")},
        "/metrics": {"get": text_operation("Metrics", "Metrics in Prometheus' text form", "text/plain")},
        "/v1/openapi.json": {"get": text_operation("OpenApi", "This document", "application/json")},
        "/v1/problems/{type}": {"get": text_operation("Problem", "What a type of problem means", "text/plain", [problem])},
    }


def version():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.search(r"project\(frameworks VERSION (\S+)", file.read()).group(1)


def openapi_document(contract):
    """The document as text."""
    services = [service for service in contract.services()
                if any(contract.option(method, "http").path for method in service.method)]
    methods = [method for service in services for method in service.method
               if contract.option(method, "http").path]
    schemas = Schemas(contract, methods)
    operations = Operations(contract, schemas)
    paths = {**operations.paths(services), **server_paths()}
    used = (schemas.sent | schemas.answered) - set(contract.maps)
    components = {short(name): schemas.message(name) for name in sorted(used)}
    components.update({short(name): schemas.enum(name) for name in contract.enums})
    components.update({KINDS: schemas.resource(), "Problem": PROBLEM})
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "FrameWorks infrastructure",
            "version": version(),
            "description": "The operator's REST API: resources, plans, watches, operations, tenants, access and audit. "
                           "The same methods are served by gRPC. Errors are problem documents (RFC 9457).",
            "contact": {"name": "FrameWorks"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "security": [{"bearer": []}],
        "tags": [{"name": service.name, "description": words(contract.comments[service.name]) or service.name}
                 for service in services] + [{"name": "Server", "description": "The server itself."}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer", "description": "The token of an account."}},
            "responses": {name: {"description": text, "content": {
                "application/problem+json": {"schema": ref(PACKAGE + "Problem")}}}
                for name, text in PROBLEMS.values()},
            "schemas": prune(components, paths),
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def prune(components, paths):
    """Without the schemas that nothing refers to."""
    seen, waiting = {"Problem"}, [json.dumps(paths), json.dumps(PROBLEM)]
    while waiting:
        for name in re.findall(r'#/components/schemas/([A-Za-z.]+)"', waiting.pop()):
            if name not in seen:
                seen.add(name)
                waiting.append(json.dumps(components[name]))
    return {name: components[name] for name in sorted(components) if name in seen}
